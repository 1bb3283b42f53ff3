package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
)

// apply serves the next version of the fixture's document, changed.
func (f *fixture) apply(changes ...func(*bundle.Credential)) {
	f.t.Helper()
	c := document()
	c.Generation++
	for _, change := range changes {
		change(c)
	}
	f.put(c)
}

// ceiling allows these paths to GET, and everything else to POST.
func ceiling(paths ...string) func(*bundle.Credential) {
	return func(c *bundle.Credential) {
		c.Ceiling = &bundle.Ceiling{Grants: []scope.Grant{
			{Name: "all", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: paths}},
			{Name: "post", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/notes"}}, Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20}},
		}}
	}
}

// TestChangedUnderWay changes the scope while a request is under way: it goes
// on where the new scope lets it, and is cut where that does not.
func TestChangedUnderWay(t *testing.T) {
	const note = `{"text":"note 1"}`
	stream := request("GET", "/notes") + "\r\n"
	grants := func(change func([]scope.Grant)) func(*bundle.Credential) {
		return func(c *bundle.Credential) { change(c.Grants) }
	}
	for name, test := range map[string]struct {
		why    string
		before []func(*bundle.Credential)
		raw    string
		after  []func(*bundle.Credential)
		reason scope.Reason // empty: it goes on
	}{
		"nothing": {"the same scope", nil, stream, nil, ""},
		"key": {"another key reads the same", nil, stream, []func(*bundle.Credential){func(c *bundle.Credential) {
			c.Secret, c.LeaseEnds = secret.New("another\n"), time.Now().Add(2*time.Hour)
		}}, ""},
		"wider": {"more is allowed", nil, stream, []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[0].HTTP.Paths = append(g[0].HTTP.Paths, "/more")
		})}, ""},
		"narrower elsewhere": {"this request is allowed still", nil, stream, []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[0].HTTP.Paths = []string{"/notes"}
		})}, ""},
		"path": {"it is not granted any more", nil, stream, []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[0].HTTP.Paths = []string{"/notes/{id}"}
		})}, scope.OutOfScope},
		"no grants": {"empty never means all", nil, stream, []func(*bundle.Credential){func(c *bundle.Credential) { c.Grants = nil }}, scope.OutOfScope},
		"query": {"its value is not granted any more", nil, request("GET", "/notes?q=a") + "\r\n", []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[0].Query.Params["q"] = scope.Matcher{Equals: ptr("b")}
		})}, scope.ParameterRefused},
		"ceiling": {"the owner of the upstream has lowered it", []func(*bundle.Credential){ceiling("/notes", "/notes/{id}")}, stream, []func(*bundle.Credential){
			ceiling("/notes/{id}"),
		}, scope.BeyondCeiling},
		"ceiling elsewhere": {"it is below it still", []func(*bundle.Credential){ceiling("/notes", "/notes/{id}")}, stream, []func(*bundle.Credential){
			ceiling("/notes"),
		}, ""},
		"earlier version": {"it must pass both", nil, stream, []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[0].HTTP.Paths = []string{"/notes/{id}"}
		}), func(c *bundle.Credential) { c.Generation = 1 }}, scope.VersionWentBack},
		"upstream": {"it leads elsewhere", nil, stream, []func(*bundle.Credential){func(c *bundle.Credential) {
			c.Endpoints[0].URL = "https://example.com/v2"
		}}, scope.Revoked},
		"answer": {"less of the answer is to be seen", nil, stream, []func(*bundle.Credential){keeping("/a")}, scope.OutOfScope},
		"judged body": {"the same is allowed of it", []func(*bundle.Credential){judging}, sized("application/json", note), []func(*bundle.Credential){judging, grants(func(g []scope.Grant) {
			g[1].Body.Fields["text"] = scope.Matcher{Required: true, Equals: ptr("note 1")}
		})}, ""},
		"body": {"its text is not granted any more", []func(*bundle.Credential){judging}, sized("application/json", note), []func(*bundle.Credential){judging, grants(func(g []scope.Grant) {
			g[1].Body.Fields["text"] = scope.Matcher{Required: true, Equals: ptr("note 2")}
		})}, scope.ParameterRefused},
		"body unseen": {"nobody can tell any more what it was", nil, sized("application/json", note), []func(*bundle.Credential){judging}, scope.NotReady},
		"opaque now":  {"it need not be looked into", []func(*bundle.Credential){judging}, sized("application/json", note), nil, ""},
		"shorter": {"it is longer than may be", nil, sized("text/plain", note), []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[1].Body.MaxBytes = 3
		})}, scope.TooLarge},
		"shorter, judged": {"it is longer than may be", []func(*bundle.Credential){judging}, sized("application/json", note), []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[1].Body.MaxBytes = 3
		})}, scope.TooLarge},
		"shorter, in chunks": {"it may be longer than may be", nil, post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n", []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[1].Body.MaxBytes = 100
		})}, scope.TooLarge},
		"longer, in chunks": {"it may be longer now", nil, post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n", []func(*bundle.Credential){grants(func(g []scope.Grant) {
			g[1].Body.MaxBytes = 2 << 20
		})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, silent, test.before...)
			a := f.agent()
			a.send(test.raw)
			if !eventually(func() bool { return strings.Contains(f.upstream.bytes(), "HTTP/1.1") }) {
				t.Fatal("nothing was forwarded")
			}
			f.apply(test.after...)
			if test.reason == "" {
				f.wantAlive(test.why)
				return
			}
			if got := a.read("GET"); got.reason() != string(test.reason) {
				t.Errorf("%s: got %d %s, want %s", test.why, got.StatusCode, got.body, test.reason)
			}
			if !a.closed() {
				t.Error("the connection is open")
			}
			if records := f.records.records(t); len(records) != 2 || records[1].Event != "outcome" || records[1].Reason != string(test.reason) {
				t.Errorf("recorded %+v", records)
			}
		})
	}
}

// wantAlive holds that what is under way was not ended: to apply a state has
// ended it, or does not.
func (f *fixture) wantAlive(why string) {
	f.t.Helper()
	n := 0
	for _, l := range f.server.listening() {
		l.each(func(c *conn) {
			n++
			if reason := c.life.Why(); reason != lifetime.Alive {
				f.t.Errorf("%s: it was ended: %s", why, reason)
			}
		})
	}
	if n != 1 {
		f.t.Errorf("%s: %d connections", why, n)
	}
}

// A stream that has begun is cut in the middle, so that nobody takes it for
// whole, and what was taken away before stays away whatever comes later.
func TestStreamsEndWithTheirScope(t *testing.T) {
	f := newFixture(t, dripping)
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	res, err := http.ReadResponse(a.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.apply(func(c *bundle.Credential) { c.Grants[0].HTTP.Paths = []string{"/notes", "/more"} })
	f.wantAlive("it is granted still")
	f.apply(func(c *bundle.Credential) { c.Generation, c.Grants = 5, c.Grants[1:] })
	if _, err := io.ReadAll(res.Body); err == nil || !a.closed() {
		t.Error("the stream ended as if it were whole")
	}
	if !eventually(func() bool { return len(f.records.records(t)) == 2 }) || f.records.records(t)[1].Reason != "OutOfScope" {
		t.Errorf("recorded %+v", f.records.records(t))
	}
}

// A head that comes slowly carries no old scope past a new one.
func TestScopeChangesWhileHeadIsRead(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*bundle.Credential)
		status int
	}{
		"narrower": {func(c *bundle.Credential) { c.Grants = c.Grants[1:] }, 403},
		"wider":    {func(c *bundle.Credential) { c.Grants[0].HTTP.Paths = append(c.Grants[0].HTTP.Paths, "/more") }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo)
			a := f.agent()
			raw := request("GET", "/notes") + "\r\n"
			a.send(raw[:20])
			if !eventually(func() bool { return f.reading() == 1 }) {
				t.Fatal("nothing is read")
			}
			f.apply(test.change)
			a.send(raw[20:])
			if got := a.read("GET"); got.StatusCode != test.status || (test.status == 200) != (f.upstream.bytes() != "") {
				t.Errorf("got %d %s, upstream %q", got.StatusCode, got.body, f.upstream.bytes())
			}
		})
	}
}

// reading counts connections on which a request has begun.
func (f *fixture) reading() (n int) {
	for _, l := range f.server.listening() {
		l.each(func(c *conn) {
			if c.life.Busy() {
				n++
			}
		})
	}
	return n
}

// A WebSocket on which the agent is silent ends when its messages are judged
// otherwise, or it is not granted any more.
func TestSocketEndsWithItsScope(t *testing.T) {
	for name, test := range map[string]struct {
		change []func(*bundle.Credential)
		want   string
	}{
		"gone": {nil, "88 \x03\xf0"},
		"messages": {[]func(*bundle.Credential){withSocket, func(c *bundle.Credential) {
			c.Grants[2].WebSocket.Messages.Fields["type"] = scope.Matcher{Required: true, In: []string{"pong"}}
		}}, "88 \x03\xf0"},
		"another grant": {[]func(*bundle.Credential){withSocket, func(c *bundle.Credential) { c.Grants[0].HTTP.Paths = []string{"/notes"} }}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			patient := func(c *bundle.Credential) { c.Limits.StreamTimeout = time.Hour }
			f := newFixture(t, switching(""), withSocket, patient)
			a := f.open()
			f.apply(append(test.change, patient)...)
			if test.want == "" {
				f.wantAlive("it is judged as before")
				return
			}
			if got := a.frame(); got != test.want || !a.closed() {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A stream of an MCP server shows what was granted when it began: it ends when
// that changes.
func TestMCPEndsWithItsScope(t *testing.T) {
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		if _, err := http.ReadRequest(r); err != nil {
			return err
		}
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: x\n\n")
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return orEOF(err)
	}, withMCP)
	a := f.agent()
	a.send(tell(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`))
	if !eventually(func() bool { return strings.Contains(f.upstream.bytes(), "initialize") }) {
		t.Fatal("nothing was forwarded")
	}
	f.apply(withMCP)
	f.wantAlive("the same is granted")
	f.apply(func(c *bundle.Credential) { c.Generation = 5 }, withMCP, func(c *bundle.Credential) {
		spec := c.Grants[len(c.Grants)-1].MCP
		spec.Tools = spec.Tools[:1]
	})
	if !eventually(func() bool { return len(f.records.records(t)) == 2 }) || f.records.records(t)[1].Reason != "OutOfScope" {
		t.Errorf("recorded %+v", f.records.records(t))
	}
}

// What is judged again is bounded, so that no agent puts off a change by long
// requests: those beyond the bound are cut, whatever they are.
func TestReviewIsBounded(t *testing.T) {
	body := `{"text":"note ` + strings.Repeat("x", maxReviewed/4) + `"}`
	long := func(more string) func(*bundle.Credential) {
		return func(c *bundle.Credential) {
			judging(c)
			c.Grants[1].Body.MaxBytes, c.Limits.BodyBytes = maxReviewed, maxReviewed
			c.Grants[0].HTTP.Paths = append(c.Grants[0].HTTP.Paths, more)
		}
	}
	f := newFixture(t, silent, long("/before"))
	const agents = 6
	for range agents {
		f.agent().send(sized("application/json", body))
	}
	held := func() (n int) {
		for _, l := range f.server.listening() {
			l.each(func(c *conn) {
				c.held.mu.Lock()
				defer c.held.mu.Unlock()
				if c.held.by != nil && c.life.Why() == lifetime.Alive {
					n++
				}
			})
		}
		return n
	}
	if !eventually(func() bool { return held() == agents }) {
		t.Fatalf("%d requests are under way", held())
	}
	f.apply(long("/after"))
	if n := held(); n != 3 {
		t.Errorf("%d go on, want those that fit into %d bytes", n, maxReviewed)
	}
	if !eventually(func() bool { return strings.Count(f.records.String(), `"NotReady"`) == agents-3 }) {
		t.Errorf("recorded %s", f.records)
	}
}
