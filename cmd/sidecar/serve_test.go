package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	canary   = "CANARY-7Qx/3w+Zp9="
	patience = 10 * time.Second
)

// synced is a buffer that is read while it is written to.
type synced struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// pod is a sidecar with a broker before it and an upstream behind it.
type pod struct {
	t              *testing.T
	address        string // of the listener
	handle         string
	records, log   synced
	stdout         io.Writer          // records, unless a test takes another
	acks           synced             // that the broker got
	state          chan *bundle.State // what the broker sends
	dialled        atomic.Int64       // connections to the upstream
	identity, tell string             // the identity token, and the agent's directory
	private        string             // the sidecar's
	stop           context.CancelFunc
	ended          chan error
}

// start runs what main would have run, with directories of this test.
func start(t *testing.T) *pod {
	t.Helper()
	return startOn(t, "--listen=notes/rest=", t.TempDir(), t.TempDir())
}

// startOn has it listen by a flag that a port is added to, with these
// directories of the sidecar and of the agent.
func startOn(t *testing.T, flag, private, tell string, more ...string) *pod {
	t.Helper()
	for {
		p := startAt(t, flag, free(t), private, tell, more...)
		if p.listens() {
			return p
		}
		p.stop() // somebody else was faster
	}
}

// startAt runs it with that port, which may be taken.
func startAt(t *testing.T, flag, port, private, tell string, more ...string) *pod {
	t.Helper()
	p := &pod{t: t, private: private, tell: tell}
	p.stdout = &p.records
	p.startAt(flag, port, more...)
	return p
}

func (p *pod) startAt(flag, port string, more ...string) {
	t := p.t
	t.Helper()
	p.handle, p.state, p.ended = token.NewHandle(), make(chan *bundle.State, 1), make(chan error, 1)
	p.identity = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(p.identity, []byte("header.claims.signature"), 0o600); err != nil {
		t.Fatal(err)
	}
	broker := p.broker()
	env := map[string]string{
		"POD_NAME": "pod-1", "POD_NAMESPACE": "agents", "POD_UID": "p1",
		"SALLYPORT_ROOTS": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: broker.Certificate().Raw})),
	}
	ctx, stop := context.WithCancel(t.Context())
	p.stop, p.address = stop, "127.0.0.1:"+port
	o, err := parse(append(more,
		"--broker="+broker.Listener.Addr().String(), "--health=127.0.0.1:0", flag+port, "--handle=notes="+p.handle,
	), func(name string) string { return env[name] }, &p.log)
	if err != nil {
		t.Fatal(err)
	}
	o.identityToken, o.privateDirectory, o.agentDirectory = p.identity, p.private, p.tell
	go func() { p.ended <- o.serve(ctx, p.stdout, &p.log) }()
	t.Cleanup(func() {
		stop()
		if err := <-p.ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
		if text := p.records.String() + p.log.String(); strings.Contains(text, canary) || strings.Contains(text, p.handle) {
			t.Errorf("a secret was printed:\n%s", text)
		}
	})
}

// free returns a port that nobody listens on just now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// listens waits until the sidecar does, or tells that somebody else has its
// port.
func (p *pod) listens() bool {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case err := <-p.ended:
			p.t.Fatalf("it ended with %v", err)
		default:
		}
		if strings.Contains(p.log.String(), portTaken) {
			return false
		}
		if c, err := net.Dial("tcp", p.address); err == nil {
			_ = c.Close()
			return true
		}
	}
	p.t.Fatal("it does not listen")
	return false
}

// portTaken is what is logged of a port that somebody else has.
const portTaken = "a port is taken"

// broker sends the states that the test gives it.
func (p *pod) broker() *httptest.Server {
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/ack" {
			_, _ = io.Copy(&p.acks, r.Body)
		}
		if r.URL.Path != "/v1/stream" || r.Header.Get("Authorization") != "Bearer header.claims.signature" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case st := <-p.state:
				line, err := bundle.EncodeFrame(&bundle.Frame{State: st})
				if err != nil {
					p.t.Error(err)
				}
				_, _ = w.Write(line)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	b.EnableHTTP2 = true
	b.StartTLS()
	p.t.Cleanup(b.Close)
	return b
}

// granted is a state with one grant, whose upstream is at the given URL.
func granted(url string) *bundle.State {
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	return &bundle.State{
		Version: bundle.Version, Digest: "d", LeaseEnds: ends, TokenKeys: []bundle.TokenKey{},
		Credentials: []bundle.Credential{{
			Namespace: "agents", Name: "notes", Object: bundle.Object{UID: "c1", Generation: 1}, Upstream: bundle.Object{UID: "u1", Generation: 1},
			Endpoints: []bundle.Endpoint{{Name: "rest", URL: url, Inject: bundle.Inject{Bearer: &struct{}{}}}},
			Grants:    []scope.Grant{{Name: "read", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/notes"}}}},
			Secret:    secret.New(canary), MaxOffline: time.Hour, LeaseEnds: ends,
			Limits: bundle.Limits{HeaderBytes: 32 << 10, BodyBytes: 1 << 20, RequestTimeout: patience, AnswerTimeout: patience, StreamTimeout: patience, Concurrency: 4},
		}},
	}
}

// problem is an answer of the sidecar's own.
type problem struct {
	status  int
	media   string
	closing bool

	Reason    string
	RequestID string
}

// ask sends one raw request and reads the answer, to the end of the connection
// where the answer says that it ends.
func (p *pod) ask(raw string) problem {
	p.t.Helper()
	c, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.WriteString(c, raw); err != nil {
		p.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	got := problem{status: res.StatusCode, media: res.Header.Get("Content-Type"), closing: res.Close}
	if err := json.Unmarshal(body, &got); err != nil {
		p.t.Fatalf("%v in %s", err, body)
	}
	if got.closing {
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			p.t.Errorf("the connection is said to be closed: %v", err)
		}
	}
	return got
}

// recorded returns the events and reasons of the records with this id.
func (p *pod) recorded(id string) (told []string) {
	p.t.Helper()
	for line := range strings.Lines(p.records.String()) {
		var r struct{ ID, Event, Verdict, Reason string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			p.t.Fatalf("%v in %s", err, line)
		}
		if r.ID == id {
			told = append(told, strings.TrimSuffix(r.Event+" "+r.Verdict+" "+r.Reason, " "))
		}
	}
	return told
}

func eventually(ok func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return true
		}
	}
	return false
}

// TestServe asks the whole sidecar what it has to refuse: each refusal is told
// at once and recorded, and nothing of it is forwarded.
func TestServe(t *testing.T) {
	p := start(t)
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = upstream.Close() }()
	go func() {
		for c, err := upstream.Accept(); err == nil; c, err = upstream.Accept() {
			p.dialled.Add(1)
			_ = c.Close()
		}
	}()
	head := " HTTP/1.1\r\nHost: " + p.address + "\r\nAuthorization: Bearer " + p.handle + "\r\n\r\n"

	if got := p.ask("GET /notes" + head); got.status != 503 || got.Reason != "NotReady" {
		t.Errorf("before the first state: %+v", got)
	}
	p.state <- granted("https://" + upstream.Addr().String())
	if !eventually(func() bool { return strings.Contains(p.log.String(), "state is in force") }) {
		t.Fatalf("no state:\n%s", p.log.String())
	}
	for name, test := range map[string]struct {
		why, raw string
		status   int
		reason   string
		closing  bool
		records  []string
	}{
		"malformed":    {"two servers would read two paths", "GET /notes/../admin" + head, 400, "Malformed", true, []string{"decision Deny Malformed"}},
		"no request":   {"nobody knows what comes behind it", "GET /notes\r\n\r\n", 400, "Malformed", true, []string{"decision Deny Malformed"}},
		"out of scope": {"no grant", "GET /admin" + head, 403, "OutOfScope", false, []string{"decision Deny OutOfScope"}},
		"no token":     {"no agent", "GET /notes HTTP/1.1\r\nHost: " + p.address + "\r\n\r\n", 401, "Unauthenticated", false, []string{"decision Deny Unauthenticated"}},
		"loopback": {"no key is sent to where the agent may listen", "GET /notes" + head, 502, "DestinationRefused", false,
			[]string{"decision Allow", "outcome Deny DestinationRefused"}},
	} {
		raw := test.raw
		if !test.closing {
			raw = strings.TrimSuffix(raw, "\r\n") + "Connection: close\r\n\r\n" // so that the end is seen here, too
		}
		got := p.ask(raw)
		if got.status != test.status || got.Reason != test.reason || got.media != "application/problem+json; charset=utf-8" || !got.closing {
			t.Errorf("%s: got %+v: %s", name, got, test.why)
		}
		if told := p.recorded(got.RequestID); strings.Join(told, "; ") != strings.Join(test.records, "; ") {
			t.Errorf("%s: recorded %q, want %q", name, told, test.records)
		}
	}
	if n := p.dialled.Load(); n != 0 {
		t.Errorf("the upstream was dialled %d times", n)
	}
}

// TestServeUnreachable names an upstream that does not exist.
func TestServeUnreachable(t *testing.T) {
	p := start(t)
	p.state <- granted("https://upstream.invalid")
	raw := "GET /notes HTTP/1.1\r\nHost: upstream.invalid\r\nConnection: close\r\nAuthorization: Bearer " + p.handle + "\r\n\r\n"
	var got problem
	if !eventually(func() bool { got = p.ask(raw); return got.status == 502 }) || got.Reason != "UpstreamUnreachable" {
		t.Errorf("got %+v", got)
	}
	if told := p.recorded(got.RequestID); strings.Join(told, "; ") != "decision Allow; outcome Deny UpstreamUnreachable" {
		t.Errorf("recorded %q", told)
	}
}

// TestServeEnds stops the sidecar: it takes no connection any more, and says
// that all went well.
func TestServeEnds(t *testing.T) {
	p := start(t)
	idle, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	p.ended <- nil
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection stays open")
	}
	if c, err := net.Dial("tcp", p.address); err == nil {
		_ = c.Close()
		t.Error("connections are still taken")
	}
}

// TestPortIsTaken starts the sidecar where another container has been faster at
// its port, as while a sidecar restarts: it takes nothing from there, and the
// broker hears that it cannot serve. It serves once the port is free.
func TestPortIsTaken(t *testing.T) {
	thief, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = thief.Close() }()
	_, port, _ := net.SplitHostPort(thief.Addr().String())
	p := startAt(t, "--listen=notes/rest=", port, t.TempDir(), t.TempDir())
	p.state <- granted("https://upstream.invalid")
	if !eventually(func() bool { return strings.Contains(p.acks.String(), "SidecarRefused") }) {
		t.Fatalf("the broker heard %s\n%s", p.acks.String(), p.log.String())
	}
	if text := p.acks.String(); !strings.Contains(text, "agents/notes") || !strings.Contains(text, "no listener") {
		t.Errorf("the broker heard %s", text)
	}
	if text := p.log.String(); !strings.Contains(text, portTaken) || !strings.Contains(text, "notes/rest") {
		t.Errorf("logged %s", text)
	}
	_ = thief.Close()
	raw := "GET /notes HTTP/1.1\r\nHost: upstream.invalid\r\nConnection: close\r\nAuthorization: Bearer " + p.handle + "\r\n\r\n"
	if !p.served() {
		t.Fatalf("the port is free, and nobody listens:\n%s", p.log.String())
	}
	if !eventually(func() bool {
		select {
		case p.state <- granted("https://upstream.invalid"): // as a broker does to whoever connects
		default:
		}
		return p.ask(raw).status == 502
	}) {
		t.Errorf("nothing is served:\n%s", p.log.String())
	}
}

// served waits until somebody listens.
func (p *pod) served() bool {
	return eventually(func() bool {
		c, err := net.Dial("tcp", p.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}
