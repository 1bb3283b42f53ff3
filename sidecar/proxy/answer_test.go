package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// answered are answers of the upstream, and what the agent gets.
var answered = map[string]struct {
	why, method, raw string
	status           int
	want, reason     string
}{
	"sized":             {"as it is", "GET", "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok", 200, "ok", ""},
	"chunked":           {"framed anew", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n", 200, "ok", ""},
	"empty":             {"no body", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""},
	"not modified":      {"a length, and no body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, "", ""},
	"HEAD":              {"a length, and no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, "", ""},
	"hints":             {"dropped", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", ""},
	"redirect":          {"returned, not followed", "GET", "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 307, "", ""},
	"error":             {"the upstream's own", "GET", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno", 500, "no", ""},
	"switch, unasked":   {"to what?", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502, "", "AnswerRefused"},
	"two lengths":       {"readers differ", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 50\r\n\r\nok", 502, "", "AnswerRefused"},
	"two framings":      {"readers differ", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "", "AnswerRefused"},
	"bare line feed":    {"readers differ", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 502, "", "AnswerRefused"},
	"no HTTP":           {"what is it?", "GET", "SSH-2.0-x\r\n\r\n", 502, "", "AnswerRefused"},
	"long header":       {"bounded", "GET", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 502, "", "AnswerRefused"},
	"endless hints":     {"bounded", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n", 10000) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502, "", "AnswerRefused"},
	"broken off header": {"not whole", "POST", "HTTP/1.1 200 OK\r\nX: y", 502, "", "UpstreamUnreachable"},
	"nothing at all":    {"not whole", "POST", "", 502, "", "UpstreamUnreachable"},
}

// once answers by do and closes.
func once(do exchangeFunc) exchangeFunc {
	return func(c net.Conn, r *bufio.Reader) error { return errors.Join(do(c, r), io.EOF) }
}

func TestAnswers(t *testing.T) {
	for name, test := range answered {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, once(saying(test.raw)))
			a := f.agent()
			if test.method == "POST" {
				a.send(request("POST", "/notes") + "Content-Length: 1\r\n\r\nx")
			} else {
				a.send(request(test.method, "/notes") + "\r\n")
			}
			got := a.read(test.method)
			if got.StatusCode != test.status || test.reason == "" && got.body != test.want || got.reason() != test.reason {
				t.Errorf("%s: got %d %s", test.why, got.StatusCode, got.body)
			}
			records := f.records.records(t)
			if test.reason != "" && (len(records) != 2 || records[1].Event != "outcome" || records[1].Reason != test.reason || records[1].ID != records[0].ID) {
				t.Errorf("%s: recorded %+v", test.why, records)
			}
			if got.Close {
				t.Errorf("%s: the agent's connection was closed", test.why)
			}
			if n := f.upstream.connections(); n != 1 {
				t.Errorf("%s: asked %d times", test.why, n)
			}
		})
	}
}

// An answer that breaks off never looks whole.
func TestBrokenOffAnswers(t *testing.T) {
	for name, raw := range map[string]string{
		"sized":   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nw",
		"garbled": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, once(saying(raw)))
			a := f.agent()
			a.send(request("GET", "/notes") + "\r\n")
			if res, err := http.ReadResponse(a.r, nil); err == nil {
				if body, err := io.ReadAll(res.Body); err == nil {
					t.Errorf("read %q as whole", body)
				}
			}
			if !eventually(func() bool { return len(f.records.records(t)) == 2 }) {
				t.Errorf("recorded %+v", f.records.records(t))
			}
		})
	}
}

// An HTTP/1.0 answer ends with its connection; the agent gets chunks.
func TestAnswerUntilClose(t *testing.T) {
	f := newFixture(t, once(saying("HTTP/1.0 200 OK\r\n\r\nhello")))
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n" + request("GET", "/admin") + "\r\n")
	if got := a.read("GET"); got.body != "hello" || got.TransferEncoding == nil {
		t.Errorf("got %v %q", got.TransferEncoding, got.body)
	}
	if got := a.read("GET"); got.StatusCode != 403 {
		t.Errorf("the next got %d", got.StatusCode)
	}
}

func TestCookies(t *testing.T) {
	const raw = "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nSet-Cookie2: c\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n"
	for _, keep := range []bool{false, true} {
		f := newFixture(t, saying(raw), func(c *bundle.Credential) { c.Response.KeepCookies = keep })
		a := f.agent()
		a.send(request("GET", "/notes") + "\r\n")
		got := a.read("GET")
		if (got.Header.Get("Set-Cookie") != "") != keep || (got.Header.Get("Set-Cookie2") != "") != keep || got.Header.Get("X-Hop") != "" {
			t.Errorf("keep is %t: got %v", keep, got.Header)
		}
	}
}

func TestRefusedRedirect(t *testing.T) {
	f := newFixture(t, saying("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 5\r\n\r\nhello"),
		func(c *bundle.Credential) { c.Response.RefuseRedirects = true })
	a := f.agent()
	for range 2 {
		a.send(request("GET", "/notes") + "\r\n")
		if got := a.read("GET"); got.StatusCode != 502 || got.reason() != "AnswerRefused" || strings.Contains(got.body, "elsewhere") {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
	}
}

// Every event is passed on when it comes.
func TestEventStream(t *testing.T) {
	next := make(chan string)
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		if _, err := http.ReadRequest(r); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			return err
		}
		for event := range next {
			if _, err := io.WriteString(c, event); err != nil {
				return err
			}
		}
		return io.EOF
	})
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	res, err := http.ReadResponse(a.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewReader(res.Body)
	for _, event := range []string{"data: 1\n", "data: 2\n"} {
		next <- "8\r\n" + event + "\r\n"
		if got, err := events.ReadString('\n'); got != event || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	next <- "0\r\n\r\n"
	if rest, err := io.ReadAll(events); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	close(next)
}

// dying serves one request on each connection, and dies on the second without
// a word.
func dying(c net.Conn, r *bufio.Reader) error {
	if err := echo(c, r); err != nil {
		return err
	}
	_, err := http.ReadRequest(r)
	return orEOF(err)
}

// An idle connection that dies under a request is replaced where the request
// may be sent twice, and only there.
func TestDeadIdleConnection(t *testing.T) {
	f := newFixture(t, dying)
	a := f.agent()
	for range 3 {
		a.send(request("GET", "/notes") + "\r\n")
		if got := a.read("GET"); got.StatusCode != 200 {
			t.Fatalf("got %d %s", got.StatusCode, got.body)
		}
	}
	for i, body := range []string{"Content-Length: 1\r\n\r\nx", "Content-Length: 0\r\n\r\n"} {
		a.send(request("GET", "/notes") + "\r\n")
		if got := a.read("GET"); got.StatusCode != 200 {
			t.Fatalf("got %d %s", got.StatusCode, got.body)
		}
		a.send(request("POST", "/notes") + body)
		if got := a.read("POST"); got.StatusCode != 502 || got.reason() != "UpstreamUnreachable" {
			t.Errorf("a request that may have been done was done again: got %d %s", got.StatusCode, got.body)
		}
		if n := strings.Count(f.upstream.bytes(), "POST"); n != i+1 {
			t.Errorf("it was sent %d times", n)
		}
		a = f.agent()
	}
}

// A request that was not sent on a connection that had ended goes on another,
// whatever its method is, and is sent once.
func TestEndedIdleConnection(t *testing.T) {
	closed := make(chan struct{}, 10)
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		err := echo(c, r)
		c.Close()
		closed <- struct{}{}
		return orEOF(err)
	})
	a := f.agent()
	for i, method := range []string{"GET", "POST", "POST", "GET"} {
		a.send(request(method, "/notes") + "Content-Length: 0\r\n\r\n")
		if got := a.read(method); got.StatusCode != 200 {
			t.Fatalf("%d, %s: got %d %s", i, method, got.StatusCode, got.body)
		}
		<-closed
	}
	if sent, n := f.upstream.bytes(), f.upstream.connections(); strings.Count(sent, "POST") != 2 || n != 4 {
		t.Errorf("%d connections, and %q", n, sent)
	}
}

// The connection to the upstream outlives the agent's.
func TestPool(t *testing.T) {
	f := newFixture(t, echo)
	for range 4 {
		a := f.agent()
		a.send(request("GET", "/notes") + "Connection: close\r\n\r\n")
		if got := a.read("GET"); got.StatusCode != 200 || !got.Close || !a.closed() {
			t.Fatalf("got %d, %t", got.StatusCode, got.Close)
		}
		if !eventually(func() bool { return f.server.connections() == 0 }) {
			t.Fatal("the connection is still open")
		}
	}
	if n := f.upstream.connections(); n != 1 {
		t.Errorf("%d connections to the upstream, want 1", n)
	}
}
