package peers

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/isolate"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// The pod that the sidecar is of.
const (
	podName       = "bench"
	podUID        = "p1"
	credentialUID = "c1"
)

// heartbeatEvery is how often the operator says that nothing is new.
const heartbeatEvery = 15 * time.Second

// Broker gives the sidecar that connects one state, as the operator does, and
// never another one.
type Broker struct {
	address  string // HOST:PORT
	trust    Trust
	identity string // token that the sidecar shows
	key      token.Key
	server   *http.Server

	mu    sync.Mutex
	frame []byte
}

// NewBroker listens on loopback. It is to be closed.
func NewBroker() (*Broker, error) {
	trust, err := NewTrust()
	if err != nil {
		return nil, err
	}
	certificate, err := trust.Certificate(isolate.BrokerName)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for sidecars: %w", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b := &Broker{
		address: net.JoinHostPort(isolate.BrokerName, port), trust: trust, identity: "header.claims.signature", key: token.GenerateKey(),
	}
	b.server = &http.Server{
		Handler: b, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), // of connections that end
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
	}
	go func() { _ = b.server.ServeTLS(l, "", "") }() // until it is closed
	return b, nil
}

// Close ends the broker.
func (b *Broker) Close() error { return b.server.Close() }

// ServeHTTP is for the sidecar.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer "+b.identity:
		w.WriteHeader(http.StatusForbidden)
	case r.URL.Path == "/v1/stream":
		b.mu.Lock()
		frame := b.frame
		b.mu.Unlock()
		follow(r.Context(), w, frame)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}
}

// follow writes frame, and then that nothing is new, until ctx ends.
func follow(ctx context.Context, w http.ResponseWriter, frame []byte) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		if _, err := w.Write(frame); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			var err error
			beat := bundle.Heartbeat{Version: bundle.Version, Now: now.UTC(), LeaseEnds: now.Add(lease).UTC().Truncate(time.Second)}
			if frame, err = bundle.EncodeFrame(&bundle.Frame{Heartbeat: &beat}); err != nil {
				return
			}
		}
	}
}

// serve gives out c from now on.
func (b *Broker) serve(c bundle.Credential) (err error) {
	state := bundle.State{
		Version: bundle.Version, LeaseEnds: c.LeaseEnds, TokenKeys: []bundle.TokenKey{b.key.Public()},
		Roots: b.trust.PEM(), Credentials: []bundle.Credential{c},
	}
	if state.Digest, err = bundle.Digest(&state); err != nil {
		return err
	}
	frame, err := bundle.EncodeFrame(&bundle.Frame{State: &state})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frame = frame
	return nil
}

// mint makes what an agent shows, for a scope.
func (b *Broker) mint(scopeHash string) (string, error) {
	now := time.Now()
	return b.key.Mint(token.Claims{
		Issuer: "sallyport:bench", Subject: "system:serviceaccount:bench:bench", Audience: token.Audience,
		IssuedAt: now.Unix(), NotBefore: now.Add(-token.Leeway).Unix(), Expires: now.Add(token.MaxLifetime).Unix(),
		ID: strings.Repeat("j", 26), Pod: token.Pod{UID: podUID, Name: podName},
		Credential: token.Credential{Name: "bench", UID: credentialUID, Generation: 1},
		Scope:      scopeHash, Upstream: token.Upstream{UID: "u1", SecretVersion: "v1"},
	})
}
