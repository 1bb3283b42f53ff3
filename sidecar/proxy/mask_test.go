package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/test/canary"
)

// in answers with this body in as many pieces as it has.
func in(head string, pieces ...string) exchangeFunc {
	return func(c net.Conn, r *bufio.Reader) error {
		if _, err := http.ReadRequest(r); err != nil {
			return err
		}
		_, err := io.WriteString(c, head+"\r\n\r\n")
		for _, piece := range pieces {
			if err == nil {
				_, err = io.WriteString(c, piece)
			}
		}
		return err
	}
}

func zipped(text string) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return out.String()
}

// The secret is in no answer, whatever it is written in and however it comes.
func TestMaskedAnswer(t *testing.T) {
	pair := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + theSecret))
	echo := fmt.Sprintf(`{"id":"e1","authorization":"Bearer %s","basic":"%s","url":"/?key=%s","hex":"%s","mark":"end"}`,
		strings.ReplaceAll(theSecret, "/", `\/`), pair, url.QueryEscape(theSecret), hex.EncodeToString([]byte(theSecret)))
	sized := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d", len(echo))
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
	var chunks, letters []string
	for _, c := range strings.Split(echo, "") {
		chunks, letters = append(chunks, "1\r\n"+c+"\r\n"), append(letters, c)
	}
	coded := zipped(echo)
	tests := map[string]struct {
		why     string
		do      exchangeFunc
		decoded bool
	}{
		"at once":        {"the plain case", in(sized, echo), false},
		"byte by byte":   {"across reads", in(sized, letters...), false},
		"in chunks":      {"across chunks", in(chunked, append(chunks, "0\r\n\r\n")...), false},
		"until close":    {"without an end", once(in("HTTP/1.0 200 OK\r\nContent-Type: application/json", letters...)), false},
		"coded":          {"a coding hides nothing", in(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"x\"\r\nContent-Encoding: gzip\r\nDigest: x\r\nContent-Length: %d", len(coded)), coded), true},
		"error":          {"an answer like any other", in(strings.Replace(sized, "200 OK", "500 Internal Server Error", 1), echo), false},
		"partial":        {"text like any other", in(strings.Replace(sized, "200 OK", "206 Partial Content\r\nContent-Range: bytes 0-9/10", 1), echo), false},
		"after a header": {"fields, and their names", in(sized+"\r\nX-Echo: Bearer "+theSecret+"\r\nX-Basic: "+pair+"\r\nLocation: https://example.com/?"+url.QueryEscape(theSecret)+"\r\nX-"+hex.EncodeToString([]byte(theSecret))+": x", echo), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.do)
			a := f.agent()
			a.send(request("GET", "/notes") + "\r\n")
			got := a.read("GET")
			var head bytes.Buffer
			_ = got.Header.Write(&head)
			for _, text := range []string{head.String(), got.body} {
				if form := canary.Find(theSecret, text); form != "" {
					t.Errorf("%s: %s is in %s", test.why, form, text)
				}
			}
			if len(got.body) != len(echo) || !strings.HasPrefix(got.body, `{"id":"e1","authorization":"Bearer ****`) || !strings.HasSuffix(got.body, `"mark":"end"}`) {
				t.Errorf("%s: got %s", test.why, got.body)
			}
			if sized := got.ContentLength == int64(len(echo)); sized != (!test.decoded && got.TransferEncoding == nil) {
				t.Errorf("%s: a length of %d", test.why, got.ContentLength)
			}
			if h := got.Header; test.decoded && (h.Get("Content-Encoding") != "" || h.Get("Digest") != "" || h.Get("ETag") != `W/"x"`) {
				t.Errorf("%s: got %v", test.why, h)
			}
		})
	}
}

// What cannot be searched for the secret is not passed on.
func TestUnreadableCodings(t *testing.T) {
	tests := map[string]struct {
		why, method, raw string
		status           int
		reason           string
	}{
		"br":             {"not undone here", "GET", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nok", 502, "AnswerRefused"},
		"two":            {"nor two", "GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 2\r\n\r\nok", 502, "AnswerRefused"},
		"a lie":          {"it is none", "GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nhello, world", 502, "AnswerRefused"},
		"a part":         {"of what is coded", "GET", "HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", 502, "AnswerRefused"},
		"HEAD":           {"no body to search", "HEAD", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n", 200, ""},
		"not modified":   {"no body to search", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n", 304, ""},
		"nothing in it":  {"no body to search", "GET", "HTTP/1.1 302 Found\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 302, ""},
		"coded identity": {"no coding", "GET", "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 0\r\n\r\n", 200, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, saying(test.raw))
			a := f.agent()
			for range 2 {
				a.send(request(test.method, "/notes") + "\r\n")
				got := a.read(test.method)
				if got.StatusCode != test.status || got.reason() != test.reason {
					t.Errorf("%s: got %d %s", test.why, got.StatusCode, got.body)
				}
				if name != "coded identity" && (got.Header.Get("Content-Encoding") != "" || test.method == "HEAD" && got.ContentLength >= 0) {
					t.Errorf("%s: got %v, a length of %d", test.why, got.Header, got.ContentLength)
				}
			}
		})
	}
}

// A coded body that turns out broken never looks whole.
func TestBrokenCoding(t *testing.T) {
	text := zipped(strings.Repeat("hello, world ", 1000) + hex.EncodeToString([]byte(theHandle)))
	garbled := text[:len(text)-12] + "garbled text"
	f := newFixture(t, once(in(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d", len(garbled)), garbled)))
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	res, err := http.ReadResponse(a.r, nil)
	if err == nil {
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("it was read as whole")
	}
	if !eventually(func() bool { return len(f.records.records(t)) == 2 }) || f.records.records(t)[1].Reason != "AnswerRefused" {
		t.Errorf("recorded %+v", f.records.records(t))
	}
}

// An event is passed on when it comes, coded or not, though the next one may
// take its time; what may begin with the secret waits for what follows.
func TestEventsAreNotHeldBack(t *testing.T) {
	for _, coded := range []bool{false, true} {
		next := make(chan struct{})
		f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
			if _, err := http.ReadRequest(r); err != nil {
				return err
			}
			head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
			out := io.Writer(c)
			z := gzip.NewWriter(c)
			if coded {
				head, out = head+"Content-Encoding: gzip\r\n", z
			}
			_, err := io.WriteString(c, head+"\r\n")
			for _, event := range []string{"data: {\"a\":1}\n\n", "data: " + theSecret[:5], theSecret[5:] + "\n\n"} {
				if err == nil {
					_, err = io.WriteString(out, event)
				}
				if coded && err == nil {
					err = z.Flush()
				}
				<-next
			}
			if coded && err == nil {
				err = z.Close()
			}
			if err == nil {
				err = io.EOF
			}
			return err
		})
		a := f.agent()
		a.send(request("GET", "/notes") + "\r\n")
		res, err := http.ReadResponse(a.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		read := func(want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
				t.Fatalf("got %q, %v, want %q", got, err, want)
			}
			next <- struct{}{}
		}
		read("data: {\"a\":1}\n\n")
		read("data: ")
		read(strings.Repeat("*", len(theSecret)) + "\n\n")
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
			t.Errorf("and %q, %v", rest, err)
		}
	}
}

// The key is masked in whatever form it was injected, and in what is kept of an
// answer that is cut.
func TestMaskedForms(t *testing.T) {
	const key = "p4ss w/rd+=&"
	pair := base64.StdEncoding.EncodeToString([]byte("agent:" + theSecret))
	for name, test := range map[string]struct{ inject, echo string }{
		"basic": {"basic", pair},
		"query": {"query", url.QueryEscape(theSecret)},
		"cut":   {"", theSecret},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"id":%q,"other":"%s"}`, test.echo, key)
			coded := zipped(body)
			f := newFixture(t, in(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d", len(coded)), coded), func(c *bundle.Credential) {
				switch e := &c.Endpoints[0]; test.inject {
				case "basic":
					e.Inject = bundle.Inject{Basic: &bundle.BasicInjection{Username: "agent"}}
				case "query":
					e.Inject = bundle.Inject{Query: &bundle.QueryInjection{Name: "key"}}
				default:
					c.Grants[0].Response = &scope.Response{Keep: []string{"id"}}
				}
			})
			a := f.agent()
			switch test.inject {
			case "basic":
				a.send("GET /notes HTTP/1.1\r\nHost: example.com\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+theHandle)) + "\r\n\r\n")
			case "query":
				a.send("GET /notes?key=" + theHandle + " HTTP/1.1\r\nHost: example.com\r\n\r\n")
			default:
				a.send(request("GET", "/notes") + "\r\n")
			}
			got := a.read("GET")
			if got.StatusCode != 200 || !strings.Contains(got.body, `***"`) || canary.Find(theSecret, got.body) != "" {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
			if cut := !strings.Contains(got.body, key); cut != (test.inject == "") {
				t.Errorf("cut: %t: %s", cut, got.body)
			}
		})
	}
}

// References to the upstream lead to the listener.
func TestReferences(t *testing.T) {
	f := newFixture(t, saying("HTTP/1.1 302 Found\r\nLocation: https://EXAMPLE.com/base/notes/1?a=b\r\nContent-Location: /base/notes/2\r\nLink: <https://example.com/base/notes?page=2>; rel=\"next\"\r\nRefresh: 1; url=https://evil.org/base/\r\nContent-Length: 0\r\n\r\n"),
		func(c *bundle.Credential) { c.Endpoints[0].URL = "https://example.com/base" })
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	got := a.read("GET").Header
	for name, want := range map[string]string{
		"Location": "http://" + f.address + "/notes/1?a=b", "Content-Location": "/notes/2",
		"Link": "<http://" + f.address + `/notes?page=2>; rel="next"`, "Refresh": "1; url=https://evil.org/base/",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %s, want %s", name, got.Get(name), want)
		}
	}
}
