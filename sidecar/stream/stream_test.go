package stream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const (
	identity = "header.claims.signature"
	patience = 20 * time.Second
)

// ca is an authority that is its own server.
type ca struct {
	pem  string
	leaf tls.Certificate
}

func authority(t *testing.T) ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return ca{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

// broker answers each stream in turn by the next of its functions, the last one
// for good.
type broker struct {
	*httptest.Server
	ca ca

	mu      sync.Mutex
	answers []http.HandlerFunc
	opened  []http.Header
	acks    []bundle.Ack
	onAck   func(bundle.Ack) // nil: nothing is done
}

func newBroker(t *testing.T, answers ...http.HandlerFunc) *broker {
	t.Helper()
	b := &broker{ca: authority(t), answers: answers}
	b.Server = httptest.NewUnstartedServer(b)
	b.EnableHTTP2 = true
	b.TLS = &tls.Config{Certificates: []tls.Certificate{b.ca.leaf}}
	b.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	b.StartTLS()
	t.Cleanup(b.Close)
	return b
}

func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/ack" {
		body, _ := io.ReadAll(r.Body)
		if a, err := bundle.DecodeAck(body); err == nil {
			if b.onAck != nil {
				b.onAck(*a)
			}
			b.mu.Lock()
			b.acks = append(b.acks, *a)
			b.mu.Unlock()
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.mu.Lock()
	b.opened = append(b.opened, r.Header)
	answer := b.answers[0]
	if len(b.answers) > 1 {
		b.answers = b.answers[1:]
	}
	b.mu.Unlock()
	answer(w, r)
}

func (b *broker) acked(t *testing.T, what string, wanted func(bundle.Ack) bool) {
	t.Helper()
	poll(t, what, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, a := range b.acks {
			if wanted(a) {
				return true
			}
		}
		return false
	})
}

// frames sends lines and leaves the stream open, or ends it.
func frames(open bool, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join(lines, ""))
		_ = http.NewResponseController(w).Flush()
		if open {
			<-r.Context().Done()
		}
	}
}

func line(t *testing.T, f *bundle.Frame) string {
	t.Helper()
	text, err := bundle.EncodeFrame(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// serving is a state with one credential, whose lease ends at a time from now.
func serving(t *testing.T, ends time.Duration) string {
	t.Helper()
	return line(t, &bundle.Frame{State: &bundle.State{
		Version: bundle.Version, Digest: "d", LeaseEnds: time.Now().Add(ends).UTC().Truncate(time.Second), TokenKeys: []bundle.TokenKey{},
		Credentials: []bundle.Credential{{Namespace: "agents", Name: "notes", Object: bundle.Object{UID: "c1", Generation: 1}, Token: "token-1"}},
	}})
}

// sidecar notes what it is told.
type sidecar struct {
	mu      sync.Mutex
	told    []string
	log     bytes.Buffer
	agent   string
	stopped chan error
}

func (s *sidecar) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, what)
}

func (s *sidecar) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *sidecar) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.told, " ")
}

func (s *sidecar) logged(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.log.String(), text)
}

// check refuses what is no token.
func (s *sidecar) check(st *bundle.State) (errs []bundle.ApplyError) {
	for _, c := range st.Credentials {
		s.note("tokens:" + c.Token)
		if c.Token == "bad" {
			errs = append(errs, bundle.ApplyError{Credential: c.Namespace + "/" + c.Name, Reason: bundle.SidecarRefused, Detail: "bad"})
		}
	}
	return errs
}

// connect runs a client of b that trusts roots, until the test ends.
func connect(t *testing.T, b *broker, roots string) *sidecar {
	t.Helper()
	s := &sidecar{stopped: make(chan error, 1)}
	store, _, agent := stored(t)
	s.agent = agent
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(identity+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		s.stopped <- Run(ctx, Options{
			Broker: b.Listener.Addr().String(), TokenFile: file, Roots: roots, Version: "v1", Store: store,
			Apply:       func(st *bundle.State) []bundle.ApplyError { s.note("state:" + st.Digest); return nil },
			CheckTokens: s.check,
			Revoke:      func(uid string, reason scope.Reason) { s.note("revoke:" + uid + ":" + string(reason)) },
			Extend:      func(time.Time) { s.note("extend") },
			Log:         slog.New(slog.NewTextHandler(s, nil)),
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-s.stopped; err != nil {
			t.Error(err)
		}
	})
	return s
}

func poll(t *testing.T, what string, wanted func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !wanted(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestFrames(t *testing.T) {
	now := time.Now().UTC()
	b := newBroker(t, frames(true, serving(t, time.Hour),
		line(t, &bundle.Frame{Heartbeat: &bundle.Heartbeat{Version: 1, Now: now, LeaseEnds: now.Add(time.Hour)}}),
		line(t, &bundle.Frame{Heartbeat: &bundle.Heartbeat{Version: 1, Now: now.Add(-2 * time.Hour), LeaseEnds: now.Add(-time.Hour)}}), // came late
		line(t, &bundle.Frame{Revoke: &bundle.Revoke{UID: "c1", Reason: scope.Suspended}})))
	s := connect(t, b, b.ca.pem)
	poll(t, "the revocation", func() bool { return strings.Contains(s.all(), "revoke") })
	if got := s.all(); got != "tokens:token-1 state:d extend revoke:c1:Suspended" {
		t.Errorf("told %s", got)
	}
	holds(t, filepath.Join(s.agent, "notes", "token"), "token-1", 0o644)
	b.acked(t, "an acknowledgement of the state", func(a bundle.Ack) bool { return a.Applied && a.Digest == "d" })
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.opened[0]; h.Get("Authorization") != "Bearer "+identity || h.Get("Sallyport-Document") != "1" || h.Get("Sallyport-Version") != "v1" || h.Get("Sallyport-Applied") != "" {
		t.Errorf("opened with %v", h)
	}
}

// TestBadFrames sends what is no frame: nothing of it is applied, the broker is
// told, and the next stream is as good as the first.
func TestBadFrames(t *testing.T) {
	good := serving(t, time.Hour)
	for name, bad := range map[string]string{
		"unknown field": strings.Replace(good, `{"state":{`, `{"state":{"more":1,`, 1),
		"unknown kind":  `{"grant":{}}` + "\n",
		"two kinds":     `{"heartbeat":null,"revoke":null}` + "\n",
		"no JSON":       "hello\n",
		"empty":         "\n",
		"twice":         strings.Replace(good, `"digest":"d"`, `"digest":"d","digest":"e"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, frames(true, bad), frames(true, good))
			s := connect(t, b, b.ca.pem)
			poll(t, "the good state", func() bool { return strings.Contains(s.all(), "state") })
			if got := s.all(); got != "tokens:token-1 state:d" {
				t.Errorf("told %s", got)
			}
			b.acked(t, "a refusal", func(a bundle.Ack) bool {
				return !a.Applied && len(a.Errors) == 1 && a.Errors[0].Reason == bundle.SidecarRefused
			})
		})
	}
}

// TestLateState sends a state that was held up beyond its own end.
func TestLateState(t *testing.T) {
	b := newBroker(t, frames(true, serving(t, -time.Minute)), frames(true, serving(t, time.Hour)))
	s := connect(t, b, b.ca.pem)
	poll(t, "the state in time", func() bool { return strings.Contains(s.all(), "state") })
	b.acked(t, "a refusal", func(a bundle.Ack) bool {
		return !a.Applied && len(a.Errors) == 1 && a.Errors[0].Reason == scope.ClockSkew
	})
	if got := s.all(); got != "tokens:token-1 state:d" {
		t.Errorf("told %s", got)
	}
}

// TestForbidden takes everything away on the broker's word, and nothing where
// the broker is just not able to answer.
func TestForbidden(t *testing.T) {
	refusal := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"reason":"AttestationFailed","detail":"a\u001b[2Jb"}`)
		}
	}
	b := newBroker(t, frames(false, serving(t, time.Hour)), refusal(500), refusal(401), refusal(302), refusal(403))
	s := connect(t, b, b.ca.pem)
	poll(t, "the revocation", func() bool { return strings.Contains(s.all(), "revoke") })
	if got := s.all(); got != "tokens:token-1 state:d revoke:c1:Revoked" {
		t.Errorf("told %s", got)
	}
	poll(t, "the token is gone", func() bool {
		_, err := os.Stat(filepath.Join(s.agent, "notes", "token"))
		return errors.Is(err, os.ErrNotExist)
	})
	poll(t, "the reason", func() bool { return s.logged("AttestationFailed") })
	if s.logged("\x1b") || s.logged(identity) {
		t.Error("a control character of the broker's or the token is in the log")
	}
}

// TestImpostor is a broker by another authority: it is not told the token.
func TestImpostor(t *testing.T) {
	b := newBroker(t, frames(true, serving(t, time.Hour)))
	s := connect(t, b, authority(t).pem)
	poll(t, "a failure", func() bool { return s.logged("certificate") })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.opened) > 0 || s.all() != "" {
		t.Errorf("it was asked: %v, and told %s", b.opened, s.all())
	}
}

func TestGoAway(t *testing.T) {
	b := newBroker(t, frames(true, serving(t, time.Hour), line(t, &bundle.Frame{GoAway: &bundle.GoAway{Reason: "moving", RetryAfter: time.Millisecond}})), frames(true))
	s := connect(t, b, b.ca.pem)
	poll(t, "another stream", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.opened) == 2 && b.opened[1].Get("Sallyport-Applied") == "d"
	})
	if !s.logged("moving") {
		t.Error("the reason is not in the log")
	}
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", bundle.MaxFrame)
	for name, test := range map[string]struct {
		text, want string
		err        error
	}{
		"one":      {"a\nb\n", "a\n", nil},
		"long":     {long[1:] + "\n", long[1:] + "\n", nil},
		"too long": {long + "\n", "", bundle.ErrTooLarge},
		"endless":  {long + long, "", bundle.ErrTooLarge},
		"cut":      {"a", "a", io.EOF},
	} {
		got, err := readLine(bufio.NewReaderSize(strings.NewReader(test.text), 16<<10))
		if string(got) != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestJitter(t *testing.T) {
	for failures := range 200 {
		if d := jitter(failures); d < 0 || d > maxDelay || failures == 0 && d > firstDelay {
			t.Errorf("after %d failures: %s", failures, d)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no port":  func(o *Options) { o.Broker = "broker" },
		"no host":  func(o *Options) { o.Broker = ":9443" },
		"no roots": func(o *Options) { o.Roots = "" },
		"no token": func(o *Options) { o.TokenFile = "" },
		"no apply": func(o *Options) { o.Apply = nil },
		"no check": func(o *Options) { o.CheckTokens = nil },
	} {
		o := Options{
			Broker: "broker:9443", TokenFile: "f", Roots: authority(t).pem, Apply: func(*bundle.State) []bundle.ApplyError { return nil },
			CheckTokens: func(*bundle.State) []bundle.ApplyError { return nil },
			Revoke:      func(string, scope.Reason) {}, Extend: func(time.Time) {},
		}
		change(&o)
		if err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReadToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]bool{
		"a.b.c": true, "a.b.c\n": true, "": false, "\n": false, "a b": false, "a\nb": false, "a\r\n": false, strings.Repeat("a", maxToken+1): false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readToken(file); (err == nil) != want || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestSeenIsNotLost has an acknowledgement overtaken by a newer one: what it
// would have told of goes with that, once.
func TestSeenIsNotLost(t *testing.T) {
	a := newAcks()
	seen := []bundle.Seen{{Credential: "agents/notes", Reason: scope.OutOfScope, Count: 3}}
	a.tell(bundle.Ack{Digest: "old"}, seen)
	a.send(bundle.Ack{Digest: "new"})
	if whole, _ := a.take(); whole.Digest != "new" || len(whole.Seen) != 1 || whole.Seen[0] != seen[0] {
		t.Errorf("posted %+v", whole)
	}
	if whole, _ := a.take(); len(whole.Seen) != 0 {
		t.Errorf("told twice: %+v", whole.Seen)
	}
}

// TestSeenOnceAMinute beats faster than decisions are told of.
func TestSeenOnceAMinute(t *testing.T) {
	now := time.Now()
	asked := 0
	c := &client{Options: Options{
		Now: func() time.Time { return now },
		Seen: func() []bundle.Seen {
			asked++
			return []bundle.Seen{{Credential: "agents/notes", Reason: scope.OutOfScope, Count: 1}}
		},
	}}
	a := newAcks()
	c.count(a)
	if asked != 0 {
		t.Error("told before a state is in force")
	}
	c.acked.Digest = "d"
	for range 9 { // two minutes of heartbeats
		c.count(a)
		now = now.Add(15 * time.Second)
	}
	if asked != 3 {
		t.Errorf("told %d times within two minutes", asked)
	}
}
