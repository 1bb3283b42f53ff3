package grpc

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

const patience = 20 * time.Second

// calls is a policy with two methods.
func calls(t testing.TB) *scope.Policy {
	t.Helper()
	p, err := scope.Compile(scope.Profile{}, []scope.Grant{{
		Name: "calls", Endpoint: "rpc", GRPC: &scope.GRPC{Methods: []string{"a.B/C", "a.B/Dd"}},
		Headers: map[string]scope.Matcher{"X-Tenant": {Type: scope.String}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asked is a request as one side of the wire read it.
type asked struct {
	head    http1.RequestHead
	request scope.Request
	allowed bool
	target  string
	body    []byte
}

// read reads and judges a call.
func read(c *Call, p *scope.Policy) (a asked, d scope.Decision) {
	if c.ReadHead(&a.head, 1<<20) != nil {
		return a, d
	}
	h := scope.Head{Method: a.head.Method, Target: a.head.Target, Fields: a.head.Fields, HasBody: !a.head.Framing.Empty(), HTTP2: true}
	if a.request.Parse(&h, nil) != nil {
		return a, d
	}
	d = p.Decide(&a.request)
	a.allowed, a.target = d.Verdict == scope.Allow, string(scope.AppendTarget(nil, "", &a.request, &d))
	return a, d
}

// wire is an agent's side that judges and asks, and an upstream's that reads
// what comes of it.
type wire struct {
	serve    func(net.Conn) // an agent
	upstream net.Listener
	carrier  *http.Transport
	sent     atomic.Value // the body of the call under way

	mu     sync.Mutex
	judged map[string]asked // by the number that a call carries upstream
	seen   int
	faults []string
}

func newWire(t testing.TB) *wire {
	t.Helper()
	w, policy := &wire{judged: map[string]asked{}}, calls(t)
	spoken := &http.Protocols{}
	spoken.SetUnencryptedHTTP2(true)
	w.carrier = &http.Transport{Protocols: spoken, DisableCompression: true}
	w.upstream = listen(t, func(c net.Conn) {
		NewServer(1<<20, func(c *Call) {
			a, _ := read(c, policy)
			a.body, _ = io.ReadAll(c.agent.Body)
			w.arrived(&a)
			c.Tell(&Refusal{Reason: scope.OutOfScope}) // any answer will do
		}).Serve(c, c)
	})
	w.serve = func(c net.Conn) {
		NewServer(1<<20, func(c *Call) { w.carry(c, policy) }).Serve(c, c)
	}
	t.Cleanup(w.carrier.CloseIdleConnections)
	return w
}

// carry does with a call what the data plane does.
func (w *wire) carry(c *Call, policy *scope.Policy) {
	a, d := read(c, policy)
	if a.allowed {
		a.body = w.sent.Load().([]byte)
		w.mu.Lock()
		number := strconv.Itoa(len(w.judged))
		w.judged[number] = a
		w.mu.Unlock()
		q := Question{
			To: w.carrier, Scheme: "http", Authority: w.upstream.Addr().String(), Host: "example.com", Target: a.target,
			Fields: func(to Fields) {
				to.Field(numbered, number)
				for _, f := range a.head.Fields {
					if scope.Forwards(&d, f.Name) {
						to.Field(f.Name, f.Value)
					}
				}
			},
			Message: 64, Total: 1 << 20, Sent: func() {},
		}
		if c.Ask(&q) == nil {
			_ = c.answer.Body.Close()
		}
	}
	c.Tell(&Refusal{Reason: scope.OutOfScope})
}

// listen serves every connection until the test ends.
func listen(t testing.TB, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// send sends a header list and a body as they are, and waits for the end.
func (w *wire) send(t testing.TB, fields [][2]string, body []byte) {
	t.Helper()
	c, agent := net.Pipe() // ports would run out
	defer c.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		w.serve(agent)
	}()
	defer func() { <-served }() // or a late call would be taken for one of the next body
	_ = c.SetDeadline(time.Now().Add(patience))
	var block, out bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	out.WriteString(Preface)
	framer := http2.NewFramer(&out, c)
	framer.AllowIllegalWrites = true
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: len(body) == 0})
	if len(body) > 0 {
		_ = framer.WriteData(1, true, body)
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	defer c.Close()
	writing.Go(func() { _, _ = c.Write(out.Bytes()) }) // it may be refused before it was read
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				return
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return
			}
		}
	}
}

// numbered is a field that goes upstream, in which each call has a number.
const numbered = "Grpc-Tags-Bin"

// arrived compares what reached the upstream with what was judged.
func (w *wire) arrived(seen *asked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	at := slices.IndexFunc(seen.head.Fields, func(f scope.Field) bool { return f.Name == numbered })
	if at < 0 {
		w.faults = append(w.faults, "a call without a number reached the upstream")
		return
	}
	judged, known := w.judged[seen.head.Fields[at].Value]
	if fault := differ(&judged, seen); fault != "" || !known {
		w.faults = append(w.faults, fault)
	}
}

// FuzzCall: what the upstream gets reads again as what was judged, and is allowed
// again; what was not allowed does not get there.
func FuzzCall(f *testing.F) {
	f.Add("POST", "/a.B/C", "example.com", "x-tenant", "acme", []byte{0, 0, 0, 0, 1, 'a'})
	f.Add("POST", "/a.B/%44d", "example.com", "grpc-timeout", "1S", []byte{})
	f.Add("POST", "/a.B/C?x=y", "example.com", "te", "trailers", []byte{0, 0, 0, 0, 9})
	f.Add("GET", "/a.B/../B/C", "a", "x_tenant", "a\r\nb", []byte{1})
	f.Add("POST", "/a.B/C#", "example.com", "content-length", "6", []byte{0, 0, 0, 0, 1, 'a'})
	f.Add("POST", "//a.B/C", "example.com", "host", "example.com", []byte{0, 0, 0, 0, 0})
	f.Add("CONNECT", "", "example.com", ":path", "/a.B/C", []byte{})
	f.Add("POST", "http://x/a.B/C", "example.com", "x-tenant", " a", []byte{0, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 2, 'b', 'c'})
	w := newWire(f)
	f.Fuzz(func(t *testing.T, method, path, authority, name, value string, body []byte) {
		if len(path)+len(name)+len(value) > 8<<10 || len(body) > 16<<10 {
			return
		}
		fields := [][2]string{{":method", method}, {":scheme", "http"}, {":authority", authority}, {":path", path}, {"content-type", "application/grpc"}, {name, value}}
		w.sent.Store(bytes.Clone(body)) // the fuzzer uses its memory again
		w.send(t, fields, body)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.faults) > 0 || w.seen > len(w.judged) {
			t.Errorf("%q, %q: %d were allowed, and %d reached the upstream: %q", fields, body, len(w.judged), w.seen, w.faults)
		}
		w.faults = nil
	})
}

// TestWire: what [FuzzCall] looks at arrives.
func TestWire(t *testing.T) {
	w, body := newWire(t), []byte{0, 0, 0, 0, 1, 'a'}
	w.sent.Store(body)
	w.send(t, [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/a.B/C"}, {"content-type", "application/grpc"}, {"x-tenant", "a"}}, body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen != 1 || len(w.faults) > 0 {
		t.Errorf("%d calls reached the upstream, and %q", w.seen, w.faults)
	}
}

// differ compares what was judged with what came of it.
func differ(judged, seen *asked) string {
	if !judged.allowed || !seen.allowed {
		return fmt.Sprintf("judged %v, and what reached the upstream %v", judged.allowed, seen.allowed)
	}
	if seen.head.Method != "POST" || seen.head.Target != judged.target || seen.target != judged.target || seen.head.Host != "example.com" {
		return fmt.Sprintf("%s of %s reached the upstream, %s was judged", seen.head.Target, seen.head.Host, judged.target)
	}
	own := []string{"Te", "Accept-Encoding", "Grpc-Accept-Encoding", numbered}
	for _, f := range seen.head.Fields {
		if !slices.Contains(own, f.Name) && !slices.Contains(judged.head.Fields, f) {
			return fmt.Sprintf("the upstream got %v", f)
		}
	}
	if whole, rest := wholeMessages(seen.body, 64, true); !bytes.HasPrefix(judged.body, whole) || len(rest) > 0 && len(rest) < prefixBytes {
		return fmt.Sprintf("the upstream got %q of %q", seen.body, judged.body)
	}
	return ""
}

// TestTarget: a target that net/http would write otherwise is not sent.
func TestTarget(t *testing.T) {
	for target, want := range map[string]bool{
		"/a.B/C": true, "/base/a.B/C": true, "/b%2Fc/a.B/C": true, "/a.B/C?key=a%2Bb": true, "//host/a": true, "*": true,
		"": false, "a.B/C": false, "http://host/a": false, "/a b": false, "/a%zz": false,
	} {
		c := newCall(nil, &http.Request{Header: http.Header{}})
		r, err := c.request(&Question{Scheme: "https", Authority: "h:443", Host: "h", Target: target, Fields: func(Fields) {}})
		if (err == nil) != want || err == nil && r.URL.RequestURI() != target {
			t.Errorf("%q: %v", target, err)
		}
		if _, err := url.ParseRequestURI(target); want && err != nil {
			t.Errorf("%q cannot be read", target)
		}
	}
}

// TestDrain: a connection that is drained takes no further call, and closes.
func TestDrain(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s := NewServer(1<<10, func(c *Call) {
		close(started)
		<-release
		c.Tell(&Refusal{Reason: scope.OutOfScope, Status: 403})
	})
	ended := make(chan struct{})
	l := listen(t, func(c net.Conn) {
		s.Serve(c, c)
		close(ended)
	})
	spoken := &http.Protocols{}
	spoken.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: spoken}, Timeout: patience}
	answered := make(chan error, 1)
	go func() {
		res, err := client.Get("http://" + l.Addr().String() + "/")
		if err == nil {
			res.Body.Close()
		}
		answered <- err
	}()
	<-started
	s.Drain(t.Context())
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("what was under way: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the connection stays open")
	}
}

// TestUnanswered: a call that nobody answered is reset, as one whose handler
// failed.
func TestUnanswered(t *testing.T) {
	l := listen(t, func(c net.Conn) { NewServer(1<<10, func(*Call) {}).Serve(c, c) })
	spoken := &http.Protocols{}
	spoken.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: spoken}, Timeout: patience}
	defer client.CloseIdleConnections()
	if res, err := client.Get("http://" + l.Addr().String() + "/"); err == nil {
		t.Errorf("got %d", res.StatusCode)
		res.Body.Close()
	}
}

// TestOverdue reads deadlines as the protocol has them; what is none has not passed.
func TestOverdue(t *testing.T) {
	for value, ends := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "100m": 100 * time.Millisecond, "5u": 5 * time.Microsecond, "7n": 7,
		"99999999H": math.MaxInt64, "": math.MaxInt64, "S": math.MaxInt64, "1": math.MaxInt64, "1s": math.MaxInt64, "-1S": math.MaxInt64,
	} {
		c := &Call{agent: &http.Request{Header: http.Header{"Grpc-Timeout": {value}}}}
		if c.Overdue(ends-1) || ends < math.MaxInt64 && !c.Overdue(ends) {
			t.Errorf("%q ends at another time than %s", value, ends)
		}
	}
}
