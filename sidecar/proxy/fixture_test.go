package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

const (
	theSecret = "CANARY-7Qx/3w+Zp9="
	theHandle = "spt_the-agents-own"
	theName   = "agents/notes"
	patience  = 10 * time.Second
)

// fixture is a sidecar with one listener between a test's agent and its
// upstream.
type fixture struct {
	t        testing.TB
	server   *Server
	address  string
	records  *ledger
	upstream *upstream
}

// ledger is an audit file.
type ledger struct {
	mu   sync.Mutex
	text bytes.Buffer
	full bool
}

func (l *ledger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return 0, os.ErrClosed
	}
	return l.text.Write(p)
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type record struct {
	Event, ID, TraceID, SpanID, JTI, Credential, Endpoint, Verdict, Reason, Method, Path string
	Grants                                                                               []string
	BytesOut, BytesIn                                                                    *int64
}

func (l *ledger) records(t testing.TB) []record {
	t.Helper()
	var list []record
	for line := range strings.Lines(l.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

// upstream is a TLS server that a test scripts, and that records every byte.
type upstream struct {
	net.Listener
	cert *x509.Certificate

	mu       sync.Mutex
	received bytes.Buffer
	accepted int
}

// exchangeFunc answers one request on a connection; an error closes it.
type exchangeFunc func(c net.Conn, r *bufio.Reader) error

// newUpstream answers each connection by do, until that fails.
func newUpstream(t testing.TB, do exchangeFunc) *upstream {
	t.Helper()
	template := httptest.NewUnstartedServer(nil)
	template.StartTLS()
	defer template.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{cert: template.Certificate(), Listener: tls.NewListener(l, &tls.Config{Certificates: template.TLS.Certificates})}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.accepted++
			u.mu.Unlock()
			open.Go(func() {
				s := tls.Server(c, &tls.Config{Certificates: template.TLS.Certificates})
				defer c.Close()
				r := bufio.NewReader(io.TeeReader(s, u))
				for do(s, r) == nil {
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return u
}

func (u *upstream) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received.Write(p)
}

func (u *upstream) bytes() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received.String()
}

func (u *upstream) connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.accepted
}

// echo answers every request with its body, and says what it saw.
func echo(c net.Conn, r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	res := &http.Response{
		StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header:        http.Header{"X-Seen": {req.Method + " " + req.RequestURI}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	return res.Write(c)
}

// saying answers every request, read to its end, with this text.
func saying(text string) exchangeFunc {
	return func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return err
		}
		_, err = io.WriteString(c, text)
		return err
	}
}

func ptr[T any](v T) *T { return &v }

// document is what the sidecar serves, unless a test changes it.
func document() *bundle.Credential {
	return &bundle.Credential{
		Namespace: "agents", Name: "notes", Object: bundle.Object{UID: "c1", Generation: 3}, Upstream: bundle.Object{UID: "u1", Generation: 2},
		Endpoints: []bundle.Endpoint{{
			Name: "rest", URL: "https://example.com", Inject: bundle.Inject{Bearer: &struct{}{}},
		}},
		Grants: []scope.Grant{
			{
				Name: "read", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "HEAD"}, Paths: []string{"/notes", "/notes/{id}"}},
				Query:   scope.Query{Params: map[string]scope.Matcher{"q": {Type: scope.String}}},
				Headers: map[string]scope.Matcher{"X-Tenant": {Equals: ptr("acme")}},
			},
			{
				Name: "write", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/notes"}},
				Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20},
			},
		},
		Secret: secret.New(theSecret + "\n"), MaxOffline: time.Hour, LeaseEnds: time.Now().Add(time.Hour),
		Limits: bundle.Limits{
			HeaderBytes: 32 << 10, BodyBytes: 1 << 20, RequestTimeout: patience, AnswerTimeout: patience,
			StreamTimeout: patience, Concurrency: 16,
		},
	}
}

func state(credentials ...*bundle.Credential) *bundle.State {
	s := &bundle.State{Version: bundle.Version}
	for _, c := range credentials {
		s.Credentials = append(s.Credentials, *c)
	}
	return s
}

// newFixture starts a sidecar that serves document, changed by change.
func newFixture(t testing.TB, do exchangeFunc, change ...func(*bundle.Credential)) *fixture {
	t.Helper()
	f := startFixture(t, do, Options{})
	c := document()
	for _, do := range change {
		do(c)
	}
	if errs := f.server.Apply(state(c)); len(errs) > 0 {
		t.Fatal(errs)
	}
	return f
}

// startFixture starts a sidecar that serves nothing yet.
func startFixture(t testing.TB, do exchangeFunc, o Options) *fixture {
	t.Helper()
	before := runtime.NumGoroutine()
	f := &fixture{t: t, records: &ledger{}, upstream: newUpstream(t, do)}
	there := f.upstream.Addr().String()
	d, err := dial.New(dial.Options{
		Roots: []*x509.Certificate{f.upstream.cert},
		ConnectTo: map[string]string{
			"example.com:443": there, "b.example.com:443": there, "other.example:443": there, "other.example:22": there,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Dialer, o.Audit, o.Pod, o.PodUID = d, audit.NewLog(f.records), "agents/pod-1", "p1"
	o.Handles = map[string]credential.Handle{theName: credential.HandleOf(theHandle)}
	f.server = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	f.server.Listen(theName, "rest", l)
	t.Cleanup(func() { f.stop(before) })
	return f
}

// stop ends the sidecar and looks for what it left behind.
func (f *fixture) stop(goroutines int) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil {
		f.t.Error(err)
	}
	f.upstream.Close()
	if strings.Contains(f.records.String(), theSecret) || strings.Contains(f.records.String(), theHandle) {
		f.t.Error("a secret is in the records")
	}
	if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines+1 }) {
		buf := make([]byte, 1<<20)
		f.t.Errorf("%d goroutines, %d at the start\n%s", runtime.NumGoroutine(), goroutines, buf[:runtime.Stack(buf, true)])
	}
}

func eventually(ok func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		if ok() {
			return true
		}
	}
	return false
}

// awaitRest waits until no exchange is under way: an agent has read an answer
// before the sidecar is done with it.
func (f *fixture) awaitRest() {
	f.t.Helper()
	rests := func(c *conn) bool {
		return !c.life.Busy()
	}
	if !eventually(func() bool {
		all := true
		for _, l := range f.server.listening() {
			l.each(func(c *conn) { all = all && rests(c) })
		}
		return all
	}) {
		f.t.Fatal("an exchange does not end")
	}
}

// agent is a raw connection to the sidecar.
type agent struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (f *fixture) agent() *agent {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		f.t.Fatal(err)
	}
	return &agent{t: f.t, Conn: c, r: bufio.NewReader(c)}
}

// request is the start of a good request; more fields may follow.
func request(method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer " + theHandle + "\r\n"
}

func (a *agent) send(text string) {
	a.t.Helper()
	if _, err := io.WriteString(a, text); err != nil {
		a.t.Fatal(err)
	}
}

// reply is an answer that was read whole.
type reply struct {
	*http.Response
	body string
}

// read reads the answer to a request of this method.
func (a *agent) read(method string) reply {
	a.t.Helper()
	res, err := http.ReadResponse(a.r, &http.Request{Method: method})
	if err != nil {
		a.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return reply{res, string(body)}
}

// closed tells whether nothing more comes.
func (a *agent) closed() bool {
	_, err := a.r.ReadByte()
	return err != nil && !os.IsTimeout(err)
}

func (r reply) reason() string {
	var p struct{ Reason string }
	if json.Unmarshal([]byte(r.body), &p) != nil {
		return ""
	}
	return p.Reason
}
