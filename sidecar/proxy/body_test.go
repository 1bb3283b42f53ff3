package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
)

func post(fields string) string { return request("POST", "/notes") + fields + "\r\n" }

// bodies travel whole, whatever they were framed in.
var bodies = map[string]struct{ why, raw, want, framing string }{
	"sized":         {"as it came", post("Content-Length: 5\r\n") + "hello", "hello", "Content-Length: 5\r\n"},
	"empty":         {"said, since some want to know", post("Content-Length: 0\r\n"), "", "Content-Length: 0\r\n"},
	"chunked":       {"framed anew", post("Transfer-Encoding: Chunked\r\n") + "2\r\nhe\r\n0003\r\nllo\r\n0\r\n\r\n", "hello", "Transfer-Encoding: chunked\r\n"},
	"with trailers": {"which are dropped", post("Transfer-Encoding: chunked\r\nTrailer: X\r\n") + "5\r\nhello\r\n0\r\nX: evil\r\n\r\n", "hello", "\r\n5\r\nhello\r\n0\r\n\r\n"},
	"large":         {"more than any buffer", post("Content-Length: 1048576\r\n") + strings.Repeat("0123456789abcdef", 65536), strings.Repeat("0123456789abcdef", 65536), "Content-Length: 1048576\r\n"},
}

func TestBodies(t *testing.T) {
	f := newFixture(t, echo)
	for name, test := range bodies {
		t.Run(name, func(t *testing.T) {
			a := f.agent()
			go func() { _, _ = io.WriteString(a, test.raw) }()
			if got := a.read("POST"); got.StatusCode != 200 || got.body != test.want {
				t.Errorf("%s: got %d with %d bytes", test.why, got.StatusCode, len(got.body))
			}
			if !strings.Contains(f.upstream.bytes(), test.framing) || strings.Contains(f.upstream.bytes(), "evil") {
				t.Errorf("%s: upstream did not get %q", test.why, test.framing)
			}
		})
	}
}

// A body that turns out not to be allowed is never seen as whole.
func TestBodyBeyondItsBound(t *testing.T) {
	for name, test := range map[string]struct {
		raw    string
		status int
		reason string
	}{
		"too long":  {post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n100000\r\n", 413, "TooLarge"},
		"malformed": {post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n5;x\r\nworld\r\n0\r\n\r\n", 400, "Malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo)
			a := f.agent()
			a.send(test.raw)
			got := a.read("POST")
			if got.StatusCode != test.status || got.reason() != test.reason || !got.Close {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
			if strings.Contains(f.upstream.bytes(), "0\r\n\r\n") {
				t.Errorf("upstream got %q", f.upstream.bytes())
			}
			records := f.records.records(t)
			if len(records) != 2 || records[0].Verdict != "Allow" || records[1].Event != "outcome" || records[1].Reason != test.reason || records[0].ID != records[1].ID {
				t.Errorf("recorded %+v", records)
			}
		})
	}
}

func TestBodyCutOff(t *testing.T) {
	f := newFixture(t, echo)
	a := f.agent()
	a.send(post("Content-Length: 400\r\n") + "begin")
	a.Conn.(*net.TCPConn).CloseWrite()
	if got := a.read("POST"); got.StatusCode != 400 || got.reason() != "Malformed" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// The agent is told to go on only when everything but the body has passed.
func TestExpect(t *testing.T) {
	f := newFixture(t, echo)
	a := f.agent()
	a.send(post("Content-Length: 5\r\nExpect: 100-continue\r\n"))
	if line, err := a.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if _, err := a.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	a.send("hello")
	if got := a.read("POST"); got.StatusCode != 200 || got.body != "hello" {
		t.Errorf("got %d %q", got.StatusCode, got.body)
	}
	if strings.Contains(f.upstream.bytes(), "Expect") {
		t.Error("the expectation went upstream")
	}
}

// shortly sets the limits that a test waits for.
func shortly(limits bundle.Limits) func(*bundle.Credential) {
	return func(c *bundle.Credential) {
		c.Limits.RequestTimeout = or(limits.RequestTimeout, c.Limits.RequestTimeout)
		c.Limits.AnswerTimeout = or(limits.AnswerTimeout, c.Limits.AnswerTimeout)
		c.Limits.StreamTimeout = or(limits.StreamTimeout, c.Limits.StreamTimeout)
		c.Limits.Concurrency = or(limits.Concurrency, c.Limits.Concurrency)
	}
}

func or[T int | time.Duration](a, b T) T {
	if a == 0 {
		return b
	}
	return a
}

func TestSlowAgent(t *testing.T) {
	f := newFixture(t, echo, shortly(bundle.Limits{RequestTimeout: tick}))
	for _, raw := range []string{"GET /notes HTTP/1.1\r\nHo", post("Content-Length: 5\r\n") + "he", post("Transfer-Encoding: chunked\r\n") + "2\r\nhe\r\n"} {
		a := f.agent()
		a.send(raw)
		if got := a.read("POST"); got.StatusCode != 408 || got.reason() != "TooSlow" || !got.Close {
			t.Errorf("%q: got %d %s", raw, got.StatusCode, got.body)
		}
	}
}

func TestSlowUpstream(t *testing.T) {
	for name, test := range map[string]struct {
		limits bundle.Limits
		do     exchangeFunc
		status int
	}{
		"no answer":   {bundle.Limits{AnswerTimeout: tick}, silent, 504},
		"half a head": {bundle.Limits{AnswerTimeout: tick}, saying("HTTP/1.1 200 OK\r\nX: "), 504},
		"whole time":  {bundle.Limits{StreamTimeout: tick}, silent, 504},
		"half a body": {bundle.Limits{StreamTimeout: tick}, saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.do, shortly(test.limits))
			a := f.agent()
			a.send(request("GET", "/notes") + "\r\n")
			res, err := http.ReadResponse(a.r, nil)
			if err != nil || res.StatusCode != test.status {
				t.Fatalf("got %v, %v", res, err)
			}
			body, err := io.ReadAll(res.Body)
			if (err == nil) != (test.status == 504) {
				t.Errorf("body %q, %v", body, err)
			}
			if !eventually(func() bool { return len(f.records.records(t)) == 2 }) || f.records.records(t)[1].Reason != "UpstreamTimeout" {
				t.Errorf("recorded %+v", f.records.records(t))
			}
		})
	}
}

// An upstream that takes the time of the request to be connected to is too slow,
// not out of reach.
func TestSlowConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it takes connections, and nobody secures them
	f := startFixture(t, echo, Options{})
	d, err := dial.New(dial.Options{ConnectTo: map[string]string{"example.com:443": l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	f.server.options.Dialer = d
	c := document()
	c.Limits.RequestTimeout = tick
	if errs := f.server.Apply(state(c)); len(errs) > 0 {
		t.Fatal(errs)
	}
	f.want("slow", 504, scope.UpstreamTimeout)
}

// silent reads for ever.
func silent(_ net.Conn, r *bufio.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return fmt.Errorf("ended: %w", orEOF(err))
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// refusing answers as soon as the head is read, and closes when it is released.
func refusing(release chan struct{}) exchangeFunc {
	return func(c net.Conn, r *bufio.Reader) error {
		if _, err := http.ReadRequest(r); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"); err != nil {
			return err
		}
		<-release
		return io.EOF
	}
}

// An answer that comes before the whole request was sent ends the sending,
// whether the upstream goes away or just stops reading.
func TestEarlyAnswer(t *testing.T) {
	for name, stays := range map[string]bool{"closes": false, "stays": true} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			if !stays {
				close(release)
			}
			f := newFixture(t, refusing(release), func(c *bundle.Credential) { c.Grants[1].Body.MaxBytes = 1 << 30 })
			a := f.agent()
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(a, post("Content-Length: 104857600\r\n"))
				for block := strings.Repeat("x", 1<<16); err == nil; {
					_, err = io.WriteString(a, block)
				}
				sent <- err
			}()
			if got := a.read("POST"); got.StatusCode != 413 || got.body != "big" || !got.Close {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
			if got := f.records.records(t); len(got) != 1 {
				t.Errorf("recorded %+v", got)
			}
			a.Close()
			<-sent
			if stays {
				close(release)
			}
		})
	}
}

// An upstream that answers at once and goes on reading gets the whole body.
func TestEarlyGoodAnswer(t *testing.T) {
	whole := make(chan string, 1)
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return err
		}
		body, err := io.ReadAll(req.Body)
		whole <- string(body)
		return err
	})
	a := f.agent()
	a.send(post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n")
	if !eventually(func() bool { return strings.Contains(f.upstream.bytes(), "hello") }) {
		t.Fatal("the first chunk did not arrive")
	}
	a.send("6\r\n world\r\n0\r\n\r\n" + request("GET", "/admin") + "\r\n")
	if got := a.read("POST"); got.StatusCode != 202 || got.Close {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if got := <-whole; got != "hello world" {
		t.Errorf("upstream got %q", got)
	}
	if got := a.read("GET"); got.StatusCode != 403 {
		t.Errorf("the next got %d", got.StatusCode)
	}
}

// TestAnswerTimeoutRunsFromTheEndOfTheBody whatever there was in it: an agent that is
// slow leaves the upstream as much time as another.
func TestAnswerTimeoutRunsFromTheEndOfTheBody(t *testing.T) {
	for name, test := range map[string]struct {
		framing http1.Framing
		alive   bool
	}{
		"empty, in chunks": {http1.Framing{Kind: http1.Chunked}, true},
		"none":             {http1.Framing{}, false},
	} {
		now := time.Now()
		agent, _ := net.Pipe()
		c := &conn{began: now.Add(-time.Hour), whole: true, view: &view{limits: bundle.Limits{AnswerTimeout: time.Minute, StreamTimeout: 2 * time.Hour}}}
		c.head.Framing = test.framing
		c.life.Open(agent, nil, now)
		if !c.inquires() || !c.expect() {
			t.Fatalf("%s: it is not sent at once", name)
		}
		c.life.Look(now.Add(time.Second))
		if alive := c.life.Why() == lifetime.Alive; alive != test.alive {
			t.Errorf("%s: alive is %t", name, alive)
		}
	}
}
