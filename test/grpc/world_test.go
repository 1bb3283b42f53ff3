// Package grpc runs real programs of gRPC through the data plane: client and
// server of google.golang.org/grpc, and a client that breaks every rule of
// HTTP/2.
package grpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // a coding of messages
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/proxy"
)

const (
	name     = "agents/calls"
	handle   = "spt_the-agents-own"
	key      = "CANARY-7Qx/3w+Zp9="
	patience = 20 * time.Second
	service  = "grpc.testing.TestService"
	host     = "example.com"
	port     = "8080" // of upstreams in clear text
)

// world is a data plane between a test's agent and a server of gRPC.
type world struct {
	t       *testing.T
	server  *proxy.Server
	address string
	clear   *relay // to upstreams in clear text
	plain   string // of another listener, without grants of grpc
	service *testService
	records *ledger
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
		return 0, syscall.ENOSPC
	}
	return l.text.Write(p)
}

type record struct {
	Event, ID, Verdict, Reason, Method, Path string
	Grants                                   []string
}

func (w *world) recorded() []record {
	w.t.Helper()
	w.records.mu.Lock()
	defer w.records.mu.Unlock()
	var all []record
	for line := range strings.Lines(w.records.text.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

func document() *bundle.Credential {
	return &bundle.Credential{
		Namespace: "agents", Name: "calls", Object: bundle.Object{UID: "c1", Generation: 1}, Upstream: bundle.Object{UID: "u1", Generation: 1},
		Endpoints: []bundle.Endpoint{
			{Name: "rpc", URL: "https://example.com", Inject: bundle.Inject{Bearer: &struct{}{}}},
			{Name: "rest", URL: "https://example.com", Inject: bundle.Inject{Bearer: &struct{}{}}},
		},
		Grants: []scope.Grant{
			{Name: "unary", Endpoint: "rpc", GRPC: &scope.GRPC{Methods: []string{service + "/EmptyCall", service + "/UnaryCall"}}, Headers: map[string]scope.Matcher{
				"X-Tenant": {Type: scope.String}, "X-Any-Bin": {Type: scope.String},
			}},
			{Name: "streams", Endpoint: "rpc", GRPC: &scope.GRPC{Methods: []string{
				service + "/StreamingOutputCall", service + "/StreamingInputCall", service + "/FullDuplexCall",
			}}},
			{Name: "read", Endpoint: "rpc", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/notes"}}},
			{Name: "rest", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "POST"}, Paths: []string{"/{any...}"}}},
		},
		Secret: secret.New(key), MaxOffline: time.Hour, LeaseEnds: time.Now().Add(time.Hour),
		Limits: bundle.Limits{
			HeaderBytes: 32 << 10, BodyBytes: 8 << 20, RequestTimeout: patience, AnswerTimeout: patience,
			StreamTimeout: 2 * patience, Concurrency: 64,
		},
	}
}

func state(c *bundle.Credential) *bundle.State {
	return &bundle.State{Version: bundle.Version, Credentials: []bundle.Credential{*c}}
}

// newWorld starts both, and looks when the test ends for what was left behind.
func newWorld(t *testing.T, change ...func(*bundle.Credential)) *world {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	t.Cleanup(func() {
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines+2 }) {
			buf := make([]byte, 64<<10)
			t.Errorf("%d goroutines are left, %d were there before\n%s", runtime.NumGoroutine(), goroutines, buf[:runtime.Stack(buf, true)])
		}
	})
	w := &world{t: t, service: &testService{}, records: &ledger{}}
	address, root := w.serve()
	w.clear = newRelay(t)
	w.start(address, root)
	c := document()
	for _, do := range change {
		do(c)
	}
	w.apply(c)
	return w
}

// serve starts the server of gRPC.
func (w *world) serve() (address string, root *x509.Certificate) {
	w.t.Helper()
	template := httptest.NewUnstartedServer(nil)
	template.StartTLS()
	defer template.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: template.TLS.Certificates})), grpc.MaxRecvMsgSize(64<<20))
	testpb.RegisterTestServiceServer(s, w.service)
	reflection.Register(s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	w.t.Cleanup(func() { s.Stop(); serving.Wait() })
	return l.Addr().String(), template.Certificate()
}

// relay leads to an address that is chosen later.
type relay struct {
	net.Listener
	to atomic.Value
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { r.carry(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	return r
}

// carry carries bytes in both directions until one side closes.
func (r *relay) carry(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", r.to.Load().(string))
	if err != nil {
		return
	}
	defer up.Close()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
	_, _ = io.Copy(up, c)
	_ = up.Close()
	back.Wait()
}

// elsewhere lets upstreams in clear text be at an address.
func (w *world) elsewhere(address string) { w.clear.to.Store(address) }

func (w *world) start(address string, root *x509.Certificate) {
	w.t.Helper()
	dialer, err := dial.New(dial.Options{Roots: []*x509.Certificate{root}, ConnectTo: map[string]string{host + ":443": address, host + ":" + port: w.clear.Addr().String()}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = proxy.New(proxy.Options{
		Dialer: dialer, Audit: audit.NewLog(w.records), Pod: "agents/pod-1", PodUID: "p1",
		Handles: map[string]credential.Handle{name: credential.HandleOf(handle)},
	})
	for endpoint, at := range map[string]*string{"rpc": &w.address, "rest": &w.plain} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		*at = l.Addr().String()
		w.server.Listen(name, endpoint, l)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			w.t.Error(err)
		}
		w.records.mu.Lock()
		defer w.records.mu.Unlock()
		if text := w.records.text.String(); strings.Contains(text, key) || strings.Contains(text, handle) {
			w.t.Error("a secret is in the records")
		}
	})
}

func (w *world) apply(c *bundle.Credential) {
	w.t.Helper()
	if errs := w.server.Apply(state(c)); len(errs) > 0 {
		w.t.Fatal(errs)
	}
}

// token shows a token with every call, in clear text.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

func (token) RequireTransportSecurity() bool { return false }

// client is an agent with a token.
func (w *world) client(shows string) testpb.TestServiceClient {
	return testpb.NewTestServiceClient(w.dial(shows))
}

func (w *world) dial(shows string, more ...grpc.DialOption) *grpc.ClientConn {
	w.t.Helper()
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(token(shows)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
	}, more...)
	c, err := grpc.NewClient("passthrough:///"+w.address, options...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// within is a context that ends where a test must have failed.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(ok func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		if ok() {
			return true
		}
	}
	return false
}
