// Package check holds a proxy to the work that all of a benchmark have to do,
// before anything is measured: one that does less would look faster.
package check

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Seen is a request as it came to the upstream.
type Seen struct {
	Method, Path, Host string
	Header             http.Header
	Body               string
}

// Upstream notes what comes to it, and answers 200 with [Body]. A path that
// ends in stream- and a number is answered by an event, and by its end when the
// test says so.
type Upstream struct {
	Addr   netip.AddrPort
	server *http.Server
	end    chan struct{} // of a stream

	mu          sync.Mutex
	seen        []Seen
	connections int
}

// Body is what an Upstream answers.
const Body = "what the upstream has to say"

const event = "data: first\n\n"

// NewUpstream listens on address; with a certificate, by HTTPS.
func NewUpstream(address netip.AddrPort, certificate *tls.Certificate) (*Upstream, error) {
	l, err := net.Listen("tcp", address.String())
	if err != nil {
		return nil, err
	}
	u := &Upstream{Addr: l.Addr().(*net.TCPAddr).AddrPort(), end: make(chan struct{}, 1)}
	u.server = &http.Server{
		Handler: u, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), // of refused handshakes
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				u.mu.Lock()
				defer u.mu.Unlock()
				u.connections++
			}
		},
	}
	serve := func() error { return u.server.Serve(l) }
	if certificate != nil {
		u.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"http/1.1"}}
		serve = func() error { return u.server.ServeTLS(l, "", "") }
	}
	go func() { _ = serve() }() // until it is closed
	return u, nil
}

// Close ends the upstream.
func (u *Upstream) Close() error { return u.server.Close() }

// ServeHTTP is for the proxy.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the proxy broke it off
	}
	u.mu.Lock()
	u.seen = append(u.seen, Seen{r.Method, r.URL.Path, r.Host, r.Header, string(body)})
	u.mu.Unlock()
	if r.URL.Path != streamPath {
		_, _ = io.WriteString(w, Body)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	_, _ = io.WriteString(w, event)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-u.end:
	case <-r.Context().Done():
	}
}

// take returns what has come since it was called before, and over how many
// connections.
func (u *Upstream) take() ([]Seen, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen, connections := u.seen, u.connections
	u.seen, u.connections = nil, 0
	return seen, connections
}
