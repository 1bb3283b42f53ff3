package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
)

// judging makes bodies of POST /notes JSON with one field.
func judging(c *bundle.Credential) {
	c.Grants[1].Body = &scope.Body{
		Media: scope.JSON, MaxBytes: 100,
		Fields: map[string]scope.Matcher{"text": {Required: true, Glob: ptr("note *")}},
	}
}

// streaming adds a grant that takes larger bodies unseen.
func streaming(c *bundle.Credential) {
	judging(c)
	c.Grants = append(c.Grants, scope.Grant{
		Name: "upload", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/notes"}},
		Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20},
	})
}

func sized(media, body string) string {
	return request("POST", "/notes") + "Content-Type: " + media + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body)) + body
}

func chunked(media string, parts ...string) string {
	text := request("POST", "/notes") + "Content-Type: " + media + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, part := range parts {
		text += fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
	}
	return text + "0\r\n\r\n"
}

// TestJudgedBody: what was judged is what is sent, by its length, and what is
// refused leaves the upstream untouched.
func TestJudgedBody(t *testing.T) {
	const good, bad = `{ "text" : "note 1" }`, `{"text":"note 1","more":1}`
	long := `{"text":"note ` + strings.Repeat("x", 100) + `"}`
	tests := map[string]struct {
		why, text string
		status    int
		reason    scope.Reason
		closed    bool
	}{
		"good":            {"it passes", sized("application/json", good), 200, "", false},
		"chunked":         {"framing is no part of it", chunked("application/json", good[:5], good[5:]), 200, "", false},
		"unlisted":        {"fields are denied by default", sized("application/json", bad), 403, scope.ParameterRefused, false},
		"chunked bad":     {"the same", chunked("application/json", bad), 403, scope.ParameterRefused, false},
		"no body":         {"a field is required", request("POST", "/notes") + "\r\n", 403, scope.ParameterRefused, false},
		"empty":           {"zero bytes are no body", sized("application/json", ""), 403, scope.ParameterRefused, false},
		"empty chunked":   {"nor are none in chunks", chunked("application/json"), 403, scope.ParameterRefused, false},
		"malformed":       {"nobody knows what it is", sized("application/json", good+good), 400, scope.Malformed, true},
		"twice":           {"two readers, two values", sized("application/json", `{"text":"note 1","text":"x"}`), 400, scope.Malformed, true},
		"media":           {"it would be read otherwise", sized("text/plain", good), 415, scope.ParameterRefused, false},
		"charset":         {"it would be read otherwise", sized("application/json; charset=utf-16", good), 415, scope.ParameterRefused, false},
		"large":           {"the length is stated", sized("application/json", long), 413, scope.TooLarge, true},
		"large, chunked":  {"the chunk states it", chunked("application/json", long), 413, scope.TooLarge, true},
		"large, unstated": {"it shows while it is read", chunked("application/json", long[:60], long[60:]), 413, scope.TooLarge, true},
		"bad chunk":       {"its end is not known", request("POST", "/notes") + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, scope.Malformed, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo, judging)
			a := f.agent()
			a.send(test.text)
			got := a.read("POST")
			if got.StatusCode != test.status || got.reason() != string(test.reason) {
				t.Fatalf("%s: %d %s, want %d %s", test.why, got.StatusCode, got.body, test.status, test.reason)
			}
			sent := f.upstream.bytes()
			switch {
			case test.reason != "" && sent != "":
				t.Errorf("the upstream got %q", sent)
			case test.reason == "" && (!strings.HasSuffix(sent, "\r\n\r\n"+good) || !strings.Contains(sent, fmt.Sprintf("Content-Length: %d\r\n", len(good)))):
				t.Errorf("the upstream got %q", sent)
			}
			if test.closed {
				if !a.closed() {
					t.Error("the connection goes on")
				}
				return
			}
			a.send(sized("application/json", good))
			if again := a.read("POST"); again.StatusCode != 200 || again.body != good {
				t.Errorf("afterwards: %d %s", again.StatusCode, again.body)
			}
		})
	}
}

// TestCoding: a coded body is not looked into, and not sent.
func TestCoding(t *testing.T) {
	f := newFixture(t, echo, judging)
	a := f.agent()
	a.send(strings.Replace(sized("application/json", `{"text":"note 1"}`), "Content-Type", "Content-Encoding: gzip\r\nContent-Type", 1))
	if got := a.read("POST"); got.StatusCode != 415 || f.upstream.bytes() != "" {
		t.Errorf("got %d, upstream %q", got.StatusCode, f.upstream.bytes())
	}
}

// TestContinue: 100 Continue is sent once everything but the body has passed,
// and not before.
func TestContinue(t *testing.T) {
	const body = `{"text":"note 1"}`
	expecting := func(text string) string { return strings.Replace(text, "\r\n", "\r\nExpect: 100-continue\r\n", 1) }
	f := newFixture(t, echo, judging)
	for name, text := range map[string]string{
		"media": sized("text/plain", body), "query": strings.Replace(sized("application/json", body), "/notes", "/notes?x=1", 1),
		"size": request("POST", "/notes") + "Content-Type: application/json\r\nContent-Length: 101\r\n\r\n", "token": strings.Replace(sized("application/json", body), theHandle, "x", 1),
	} {
		a := f.agent()
		head, _, _ := strings.Cut(expecting(text), "\r\n\r\n")
		a.send(head + "\r\n\r\n")
		if got := a.read("POST"); got.StatusCode < 400 {
			t.Errorf("%s: answered %d", name, got.StatusCode)
		}
	}
	a := f.agent()
	a.send(strings.TrimSuffix(expecting(sized("application/json", body)), body))
	if got := a.read("POST"); got.StatusCode != 100 {
		t.Fatalf("got %d, want 100", got.StatusCode)
	}
	a.send(body)
	if got := a.read("POST"); got.StatusCode != 200 || got.body != body {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	a.send(strings.TrimSuffix(expecting(sized("application/json", `{"text":"x"}`)), `{"text":"x"}`))
	if got := a.read("POST"); got.StatusCode != 100 {
		t.Fatalf("got %d, want 100", got.StatusCode)
	}
	a.send(`{"text":"x"}`)
	if got := a.read("POST"); got.StatusCode != 403 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	a.send(sized("application/json", body)) // the connection is good: the body was read
	if got := a.read("POST"); got.StatusCode != 200 {
		t.Errorf("afterwards: %d %s", got.StatusCode, got.body)
	}
}

// TestStreamedBesideJudged: where one grant looks into bodies and another does
// not, what is too long for the one streams under the other.
func TestStreamedBesideJudged(t *testing.T) {
	f := newFixture(t, echo, streaming)
	a := f.agent()
	long := strings.Repeat("0123456789abcdef", 4000)
	for name, test := range map[string]struct {
		text, body string
		grants     string
	}{
		"judged":        {sized("application/json", `{"text":"note 1"}`), `{"text":"note 1"}`, "upload,write"},
		"refused there": {sized("application/json", `{"text":"x"}`), `{"text":"x"}`, "upload"},
		"malformed":     {sized("application/json", `{"text"`), `{"text"`, "upload"},
		"other media":   {sized("text/plain", "hello"), "hello", "upload"},
		"long":          {sized("application/json", long), long, "upload"},
		"long, chunked": {chunked("application/json", long[:50], long[50:60], long[60:]), long, "upload"},
	} {
		before := len(f.records.records(t))
		a.send(test.text)
		if got := a.read("POST"); got.StatusCode != 200 || got.body != test.body {
			t.Fatalf("%s: got %d, %d bytes", name, got.StatusCode, len(got.body))
		}
		if r := f.records.records(t)[before]; strings.Join(r.Grants, ",") != test.grants {
			t.Errorf("%s: recorded %v, want %s", name, r.Grants, test.grants)
		}
	}
	a.send(sized("application/json", strings.Repeat("x", 1<<20+1)[:1<<20]))
	if got := a.read("POST"); got.StatusCode != 200 {
		t.Errorf("the largest: %d", got.StatusCode)
	}
	b := f.agent()
	b.send(request("POST", "/notes") + "Content-Type: application/json\r\nContent-Length: 1048577\r\n\r\n")
	if got := b.read("POST"); got.StatusCode != 413 {
		t.Errorf("one byte more: %d", got.StatusCode)
	}
}

// TestScopeChangesWhileBodyIsRead: a slow body must not carry an old scope past
// a new one, nor a revoked credential on.
func TestScopeChangesWhileBodyIsRead(t *testing.T) {
	const body = `{"text":"note 1"}`
	start := func(t *testing.T) (*fixture, *agent) {
		f := newFixture(t, echo, judging)
		a := f.agent()
		a.send(strings.TrimSuffix(sized("application/json", body), body) + body[:3])
		if !eventually(func() bool { return f.busy() == 1 }) {
			t.Fatal("nothing is under way")
		}
		return f, a
	}
	change := func(f *fixture, do func(*bundle.Credential)) {
		c := document()
		judging(c)
		c.Generation++
		do(c)
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			f.t.Fatal(errs)
		}
	}
	t.Run("narrower", func(t *testing.T) {
		f, a := start(t)
		change(f, func(c *bundle.Credential) { c.Grants[1].Body.Fields["text"] = scope.Matcher{Equals: ptr("other")} })
		a.send(body[3:])
		if got := a.read("POST"); got.StatusCode != 403 || f.upstream.bytes() != "" {
			t.Errorf("got %d %s, upstream %q", got.StatusCode, got.body, f.upstream.bytes())
		}
	})
	t.Run("no grant", func(t *testing.T) {
		f, a := start(t)
		change(f, func(c *bundle.Credential) { c.Grants = c.Grants[:1] })
		a.send(body[3:])
		if got := a.read("POST"); got.reason() != string(scope.OutOfScope) || f.upstream.bytes() != "" {
			t.Errorf("got %d %s, upstream %q", got.StatusCode, got.body, f.upstream.bytes())
		}
	})
	t.Run("the same", func(t *testing.T) {
		f, a := start(t)
		change(f, func(*bundle.Credential) {})
		a.send(body[3:])
		if got := a.read("POST"); got.StatusCode != 200 || got.body != body {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
	})
	t.Run("opaque now", func(t *testing.T) {
		f, a := start(t)
		change(f, func(c *bundle.Credential) { c.Grants[1].Body = &scope.Body{Media: scope.Opaque, MaxBytes: 100} })
		a.send(body[3:])
		if got := a.read("POST"); got.StatusCode != 200 || got.body != body {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		f, a := start(t)
		f.server.Revoke("c1", scope.Revoked)
		if got := a.read("POST"); got.reason() != string(scope.Revoked) || f.upstream.bytes() != "" {
			t.Errorf("got %d %s, upstream %q", got.StatusCode, got.body, f.upstream.bytes())
		}
	})
}

// busy counts exchanges under way.
func (f *fixture) busy() int {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	return int(f.server.holders[theName].inFlight.Load())
}

// TestOlderScopeJudgesBodies: an earlier version that arrives later has its say
// about bodies, too.
func TestOlderScopeJudgesBodies(t *testing.T) {
	f := newFixture(t, echo, judging)
	older := document()
	judging(older)
	older.Generation--
	older.Grants[1].Body.Fields["text"] = scope.Matcher{Equals: ptr("note 2")}
	if errs := f.server.Apply(state(older)); len(errs) > 0 {
		t.Fatal(errs)
	}
	a := f.agent()
	a.send(sized("application/json", `{"text":"note 1"}`))
	if got := a.read("POST"); got.reason() != string(scope.VersionWentBack) || f.upstream.bytes() != "" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	a.send(sized("application/json", `{"text":"note 2"}`))
	if got := a.read("POST"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

func TestSlowBody(t *testing.T) {
	f := newFixture(t, echo, judging, func(c *bundle.Credential) { c.Limits.RequestTimeout = 50 * time.Millisecond })
	a := f.agent()
	a.send(request("POST", "/notes") + "Content-Type: application/json\r\nContent-Length: 17\r\n\r\n{")
	if got := a.read("POST"); got.StatusCode != 408 || got.reason() != string(scope.TooSlow) || f.upstream.bytes() != "" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

func TestRateLimit(t *testing.T) {
	var c clock
	f := startFixture(t, echo, Options{Now: c.now})
	limited := document()
	limited.Grants[0].Limits = &scope.Limits{Requests: scope.Rate{Count: 2, Per: time.Minute}}
	limited.Requests = &scope.Rate{Count: 5, Per: time.Hour}
	limited.LeaseEnds = time.Now().Add(24 * time.Hour)
	limited.MaxOffline = 24 * time.Hour
	apply := func(c *bundle.Credential) {
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	apply(limited)
	a := f.agent()
	get := func(path string) reply {
		a.send(request("GET", path) + "\r\n")
		return a.read("GET")
	}
	for i, want := range []int{200, 200, 429} {
		if got := get("/notes"); got.StatusCode != want {
			t.Fatalf("request %d: %d %s", i, got.StatusCode, got.body)
		}
	}
	got := get("/notes")
	if got.reason() != string(scope.RateLimited) || got.Header.Get("Retry-After") != "30" {
		t.Errorf("got %s, retry after %q", got.body, got.Header.Get("Retry-After"))
	}
	if get("/other").StatusCode != 403 {
		t.Error("what is refused is charged")
	}
	changed := *limited
	changed.Generation++
	changed.Grants = append([]scope.Grant{}, limited.Grants...)
	changed.Grants[1].Body = &scope.Body{Media: scope.Opaque, MaxBytes: 7}
	apply(&changed)
	if get("/notes").StatusCode != 429 {
		t.Error("another grant was changed, and the bucket is full again")
	}
	f.server.Revoke("c1", scope.Revoked)
	again := changed
	again.Generation++
	apply(&again)
	if get("/notes").StatusCode != 429 {
		t.Error("the credential was away, and the bucket is full again")
	}
	c.set(30 * time.Second)
	for i, want := range []int{200, 429} {
		if got := get("/notes"); got.StatusCode != want {
			t.Fatalf("after half a minute, request %d: %d %s", i, got.StatusCode, got.body)
		}
	}
	a.send(sized("text/plain", "1") + sized("text/plain", "2") + sized("text/plain", "3"))
	for i, want := range []int{200, 200, 429} {
		if got := a.read("POST"); got.StatusCode != want {
			t.Fatalf("of all grants, request %d: %d %s", i, got.StatusCode, got.body)
		}
	}
}

// TestTwoGrantsOneRequest: it is counted against both, and passes while one
// has something left.
func TestTwoGrantsOneRequest(t *testing.T) {
	f := newFixture(t, echo, func(c *bundle.Credential) {
		more := c.Grants[0]
		more.Name = "more"
		c.Grants[0].Limits = &scope.Limits{Requests: scope.Rate{Count: 1, Per: time.Hour}}
		more.Limits = &scope.Limits{Requests: scope.Rate{Count: 3, Per: time.Hour}}
		c.Grants = append(c.Grants, more)
	})
	a := f.agent()
	for i, want := range []int{200, 200, 200, 429} {
		a.send(request("GET", "/notes") + "\r\n")
		if got := a.read("GET"); got.StatusCode != want {
			t.Fatalf("request %d: %d", i, got.StatusCode)
		}
	}
}

// keeping cuts the answers of GET to a few fields.
func keeping(paths ...string) func(*bundle.Credential) {
	return func(c *bundle.Credential) {
		c.Grants[0].Response = &scope.Response{Keep: paths}
		c.Grants[0].Headers["Range"] = scope.Matcher{Type: scope.String}
		c.Limits.BodyBytes = 1000
	}
}

// TestCutAnswer: what is not kept does not reach the agent, whatever the
// answer looks like.
func TestCutAnswer(t *testing.T) {
	answer := func(status, fields, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(body), body)
	}
	const media, body = "Content-Type: application/json\r\n", `{"id":"e1","secret":"CANARY","items":[{"id":1,"x":"CANARY"}]}`
	long := `{"id":"e1","secret":"` + strings.Repeat("CANARY", 200) + `"}`
	const kept = `{"id":"e1","items":[{"id":1}]}`
	tests := map[string]struct {
		why, method, answer string
		status              int
		body                string
	}{
		"json":         {"cut", "GET", answer("200 OK", media, body), 200, kept},
		"error":        {"errors are answers", "GET", answer("409 Conflict", media, body), 409, kept},
		"chunked":      {"framing is no part of it", "GET", "HTTP/1.1 200 OK\r\n" + media + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 9, body[:9], len(body)-9, body[9:]), 200, kept},
		"html":         {"not JSON", "GET", answer("200 OK", "Content-Type: text/html\r\n", "<p>CANARY</p>"), 200, ""},
		"mislabelled":  {"not JSON, whatever it says", "GET", answer("200 OK", media, "CANARY"), 200, ""},
		"key twice":    {"readers would differ", "GET", answer("200 OK", media, `{"id":"CANARY","id":1}`), 200, ""},
		"no type":      {"nobody said that it is JSON", "GET", answer("200 OK", "", body), 200, ""},
		"coded":        {"it cannot be read", "GET", answer("200 OK", media+"Content-Encoding: br\r\n", "CANARY"), 200, ""},
		"too large":    {"it is not read", "GET", answer("200 OK", media, long), 200, ""},
		"too large, c": {"nor in chunks", "GET", "HTTP/1.1 200 OK\r\n" + media + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(long), long), 200, ""},
		"no content":   {"there is none", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		"not modified": {"there is none", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, ""},
		"head":         {"there is none", "HEAD", "HTTP/1.1 200 OK\r\n" + media + "Content-Length: 54321\r\n\r\n", 200, ""},
		"until close":  {"the end is the connection's", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\n" + media + "\r\n" + body, 200, kept},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			do := saying(test.answer)
			if name == "until close" {
				do = func(c net.Conn, r *bufio.Reader) error {
					if err := saying(test.answer)(c, r); err != nil {
						return err
					}
					return io.EOF
				}
			}
			f := newFixture(t, do, keeping("id", "items[].id"))
			a := f.agent()
			for range 2 {
				a.send(request(test.method, "/notes") + "Range: bytes=0-3\r\nIf-Range: \"a\"\r\n\r\n")
				got := a.read(test.method)
				if got.StatusCode != test.status || got.body != test.body {
					t.Fatalf("%s: got %d %q, want %d %q", test.why, got.StatusCode, got.body, test.status, test.body)
				}
				if test.method == "HEAD" && got.Header.Get("Content-Length") != "" {
					t.Error("the length of the whole is told")
				}
			}
			if sent := f.upstream.bytes(); strings.Contains(sent, "Range:") {
				t.Errorf("a part was asked for: %q", sent)
			}
		})
	}
}

// TestUncutAnswer: all of it is kept where one grant keeps it, and Range is
// sent.
func TestUncutAnswer(t *testing.T) {
	f := newFixture(t, saying("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"), keeping("id"), func(c *bundle.Credential) {
		all := c.Grants[0]
		all.Name, all.Response, all.Query = "all", nil, scope.Query{}
		c.Grants = append(c.Grants, all)
	})
	a := f.agent()
	for target, want := range map[string]string{"/notes": `{"a":1}`, "/notes?q=x": `{}`} {
		a.send(request("GET", target) + "Range: bytes=0-3\r\n\r\n")
		if got := a.read("GET"); got.body != want {
			t.Errorf("%s: got %q, want %q", target, got.body, want)
		}
	}
	if n := strings.Count(f.upstream.bytes(), "Range: bytes=0-3"); n != 1 {
		t.Errorf("Range was sent %d times, want 1", n)
	}
}

// TestConditionalRange: a part of one version is asked for on that condition or
// not at all.
func TestConditionalRange(t *testing.T) {
	for name, test := range map[string]struct {
		why, listed, sent, want string
	}{
		"both":         {"as it was asked", "Range If-Range", "range: bytes=5-\r\nif-range: \"a\"\r\n", "range if-range"},
		"no condition": {"none was set", "Range", "Range: bytes=5-\r\n", "Range"},
		"not listed":   {"the part may be one of something else", "Range", "Range: bytes=5-\r\nIf-Range: \"a\"\r\n", ""},
		"other order":  {"the order says nothing", "Range", "If-Range: \"a\"\r\nRange: bytes=5-\r\n", ""},
		"alone":        {"it says nothing without a part", "If-Range", "If-Range: \"a\"\r\nRange: bytes=5-\r\n", "If-Range"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo, func(c *bundle.Credential) {
				for field := range strings.FieldsSeq(test.listed) {
					c.Grants[0].Headers[field] = scope.Matcher{Type: scope.String}
				}
			})
			a := f.agent()
			a.send(request("GET", "/notes") + test.sent + "\r\n")
			a.read("GET")
			var got []string
			for line := range strings.Lines(f.upstream.bytes()) {
				if name, _, _ := strings.Cut(line, ":"); strings.Contains(strings.ToLower(name), "range") {
					got = append(got, name)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%s: upstream got %q, want %s", test.why, got, test.want)
			}
		})
	}
}

// TestCeilingRules: the limits and cuts of the ceiling hold as well.
func TestCeilingRules(t *testing.T) {
	f := newFixture(t, saying("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"a\":1,\"b\":2,\"c\":3}"), func(c *bundle.Credential) {
		c.Grants[0].Response = &scope.Response{Keep: []string{"a", "b"}}
		top := c.Grants[0]
		top.Response = &scope.Response{Keep: []string{"b", "c"}}
		top.Limits = &scope.Limits{Requests: scope.Rate{Count: 1, Per: time.Hour}}
		c.Ceiling = &bundle.Ceiling{Grants: []scope.Grant{top}}
	})
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n" + request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.body != `{"b":2}` {
		t.Errorf("got %q", got.body)
	}
	if got := a.read("GET"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %d", got.StatusCode)
	}
}

// counter is a clock that counts how often it was asked.
type counter struct{ asked atomic.Int64 }

func (c *counter) now() time.Time {
	c.asked.Add(1)
	return time.Now()
}

// A scope that changes while more of a body is read, because its beginning did
// not tell, counts: a slow push must not carry the scope before past it.
func TestChangeWhileMoreIsRead(t *testing.T) {
	granted := func(action git.Action, generation int64) *bundle.Credential {
		c := document()
		c.Generation = generation
		c.Grants = []scope.Grant{{Name: "push", Endpoint: "rest", Git: &git.Spec{
			Repos: scope.Matcher{Equals: ptr("acme/docs")},
			Push:  &git.Push{Refs: []string{"refs/heads/**"}, Actions: []git.Action{action}, MaxBytes: 1 << 20, MaxCommands: 5000},
		}}}
		return c
	}
	var list strings.Builder
	for i := range 3000 {
		line := fmt.Sprintf("%040d %040d refs/heads/%d\n", 0, 1, i)
		fmt.Fprintf(&list, "%04x%s", len(line)+4, line)
	}
	list.WriteString("0000PACK\x00\x00\x00\x02\x00\x00\x00\x00" + strings.Repeat("x", 20))
	body := list.String()
	const begun = 100 << 10 // more than is asked for at first, less than the list has
	for name, test := range map[string]struct {
		change bool
		status int
	}{"as it was": {false, 200}, "narrowed": {true, 503}} {
		t.Run(name, func(t *testing.T) {
			var c counter
			f := startFixture(t, echo, Options{Now: c.now})
			if errs := f.server.Apply(state(granted(git.Create, 3))); len(errs) > 0 {
				t.Fatal(errs)
			}
			before := c.asked.Load()
			a := f.agent()
			a.send(request("POST", "/acme/docs.git/git-receive-pack") +
				fmt.Sprintf("Content-Type: application/x-git-receive-pack-request\r\nContent-Length: %d\r\n\r\n", len(body)) + body[:begun])
			// Once for the head, and once when the beginning was read.
			if !eventually(func() bool { return c.asked.Load() >= before+2 }) {
				t.Fatal("the beginning was not read")
			}
			if test.change {
				if errs := f.server.Apply(state(granted(git.Delete, 4))); len(errs) > 0 {
					t.Fatal(errs)
				}
			}
			a.send(body[begun:])
			if got := a.read("POST"); got.StatusCode != test.status {
				t.Errorf("got %d %.200s", got.StatusCode, got.body)
			}
			if forwarded := strings.Contains(f.upstream.bytes(), "refs/heads/"); forwarded == test.change {
				t.Errorf("forwarded is %t", forwarded)
			}
		})
	}
}
