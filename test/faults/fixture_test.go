// Package faults lets everything around the data plane go wrong at once: agents
// that are slow, rude or many, and upstreams that stall, break off or cannot be
// found. Whatever happens, a bystander with the same credential gets its right
// answers, memory stays within bounds, who can be told is told what is wrong,
// and nothing is left behind.
package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/proxy"
)

const (
	name     = "agents/notes"
	handle   = "spt_the-agents-own"
	host     = "notes.faults.svc"
	patience = 20 * time.Second
	soon     = time.Second // what the tests' limits are, where they are to strike
)

// fixture is a data plane between a test's agents and its upstream.
type fixture struct {
	t        *testing.T
	server   *proxy.Server
	address  string
	upstream *upstream
}

// options change what newFixture starts.
type options struct {
	limits   func(*bundle.Limits)
	grants   []scope.Grant // before the usual one
	resolver string        // instead of the upstream's address
}

// newFixture starts a data plane, and looks when the test ends for what was
// left behind.
func newFixture(t *testing.T, o options) *fixture {
	t.Helper()
	watchLeftovers(t)
	f := &fixture{t: t, upstream: startUpstream(t)}
	d := dial.Options{Resolver: o.resolver}
	if o.resolver == "" {
		d.ConnectTo = map[string]string{host + ":80": f.upstream.listener.Addr().String()}
	}
	dialer, err := dial.New(d)
	if err != nil {
		t.Fatal(err)
	}
	f.server = proxy.New(proxy.Options{
		Dialer: dialer, Audit: audit.NewLog(io.Discard), Pod: "agents/pod-1", PodUID: "p1", WithoutLeases: true,
		Handles: map[string]credential.Handle{name: credential.HandleOf(handle)},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	f.server.Listen(name, "rest", l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	state := &bundle.State{Version: bundle.Version, Credentials: []bundle.Credential{document(o)}}
	if errs := f.server.Apply(state); len(errs) > 0 {
		t.Fatal(errs)
	}
	return f
}

func document(o options) bundle.Credential {
	c := bundle.Credential{
		Namespace: "agents", Name: "notes", Object: bundle.Object{UID: "c1", Generation: 1}, Upstream: bundle.Object{UID: "u1", Generation: 1},
		Endpoints: []bundle.Endpoint{{Name: "rest", URL: "http://" + host, Plaintext: true, Inject: bundle.Inject{Bearer: &struct{}{}}}},
		Grants: []scope.Grant{{
			Name: "all", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "POST"}, Paths: []string{"/{what}"}},
			Body: &scope.Body{Media: scope.Opaque, MaxBytes: 64 << 20},
		}},
		Secret: secret.New("CANARY-7Qx/3w+Zp9="),
		Limits: bundle.Limits{
			HeaderBytes: 32 << 10, BodyBytes: 1 << 20, RequestTimeout: patience, AnswerTimeout: patience,
			StreamTimeout: 2 * patience, Concurrency: 256,
		},
	}
	c.Grants = append(o.grants[:len(o.grants):len(o.grants)], c.Grants...)
	if o.limits != nil {
		o.limits(&c.Limits)
	}
	return c
}

// watchLeftovers compares goroutines and descriptors at the end of the test,
// when all cleanups that come later have run, with those at the start.
func watchLeftovers(t *testing.T) {
	t.Helper()
	goroutines, open := runtime.NumGoroutine(), descriptors(t)
	t.Cleanup(func() {
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines+2 && descriptors(t) <= open+2 }) {
			buf := make([]byte, 64<<10)
			t.Errorf("%d goroutines and %d descriptors are left, %d and %d were there before\n%s",
				runtime.NumGoroutine(), descriptors(t), goroutines, open, buf[:runtime.Stack(buf, true)])
		}
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func eventually(ok func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		if ok() {
			return true
		}
	}
	return false
}

// heap is what is in use, of all that is in the process.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools have let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// agent is a raw connection to the data plane.
type agent struct {
	*net.TCPConn
	in *bufio.Reader
}

func (f *fixture) agent() *agent {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	a := &agent{TCPConn: c.(*net.TCPConn)}
	a.hurry()
	return a
}

// hurry gives the next answer its time.
func (a *agent) hurry() { _ = a.SetDeadline(time.Now().Add(2 * patience)) } // else reading fails

// get is a good request for what the upstream knows by this name.
func get(what string) string {
	return "GET /" + what + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + handle + "\r\n\r\n"
}

// send writes, as far as the other side lets it.
func (a *agent) send(text string) { _, _ = io.WriteString(a, text) }

// read reads one answer, whole.
func (a *agent) read() (status int, body string, err error) {
	if a.in == nil {
		a.in = bufio.NewReader(a)
	}
	res, err := http.ReadResponse(a.in, nil)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// wants sends a request, and wants this answer.
func (a *agent) wants(t *testing.T, text, body string) {
	t.Helper()
	a.hurry()
	a.send(text)
	if status, got, err := a.read(); err != nil || status != 200 || got != body {
		t.Fatalf("got %d %q, %v", status, got, err)
	}
	a.in = nil // our memory, not theirs
}

// want asks for one thing and fails where the answer is another.
func (f *fixture) want(what string, status int, part string) {
	f.t.Helper()
	a := f.agent()
	a.send(get(what))
	if got, body, err := a.read(); err != nil || got != status || !strings.Contains(body, part) {
		f.t.Errorf("%s: got %d %q, %v, want %d with %q", what, got, body, err, status, part)
	}
	_ = a.Close()
}

// bystander asks for good things all the time, until the function that is
// returned is called: each of its answers has to be right.
func (f *fixture) bystander() (stop func()) {
	f.t.Helper()
	a := f.agent()
	var over atomic.Bool
	var asking sync.WaitGroup
	asked, wrong := 0, error(nil)
	asking.Go(func() {
		for ; wrong == nil && (!over.Load() || asked == 0); asked++ {
			mark := fmt.Sprintf("good-%d", asked)
			a.hurry()
			a.send(get(mark))
			status, body, err := a.read()
			if err != nil || status != 200 || body != mark {
				wrong = errors.Join(err, fmt.Errorf("asked for %s, got %d %q", mark, status, body))
			}
		}
	})
	return func() {
		f.t.Helper()
		over.Store(true)
		asking.Wait()
		if wrong != nil {
			f.t.Errorf("a bystander suffers: %v", wrong)
		}
		_ = a.Close()
	}
}

// each calls do for n agents at once, and waits.
func (f *fixture) each(n int, do func(a *agent)) {
	f.t.Helper()
	var all sync.WaitGroup
	for range n {
		a := f.agent()
		all.Go(func() {
			do(a)
			_ = a.Close()
		})
	}
	all.Wait()
}
