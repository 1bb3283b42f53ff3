// Package proxy is the data plane: it reads a request, judges it, records the
// decision, swaps the agent's token for the credential, and forwards what was
// judged.
//
// One goroutine carries a connection of an agent to an upstream and back, so a
// request is never handed over. Its upstream connection stays with it from one
// request to the next and goes to the pool of the endpoint when the agent is
// silent. Time is kept by one watchdog, which breaks the reads and writes of an
// exchange that lasts too long or whose credential was withdrawn.
//
// What is unknown denies: no state, no lease, no token, no record.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/authority"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/graphql"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/memory"
	"github.com/sallyport-dev/sallyport/sidecar/process"
	"github.com/sallyport-dev/sallyport/sidecar/tunnel"
)

// Options are what a Server is made of. Dialer and Audit are required.
type Options struct {
	Dialer *dial.Dialer
	Audit  *audit.Log
	// Handles are the constant tokens of the pod, by namespace/name.
	Handles map[string]credential.Handle
	// Pod is namespace/name for the records; PodUID is what scoped tokens must
	// be bound to.
	Pod, PodUID string
	// WithoutLeases serves without news from a broker for any time, where
	// there is none to have it from. ExpiresAt holds all the same.
	WithoutLeases bool
	// Authorities issue the certificates of tunnels; nil: there are none.
	Authorities *authority.Set
	// Tunnel lets proxy-mode listeners lead to where no credential is for.
	Tunnel bool
	// Log gets what an operator can act on; nil: nothing is logged.
	Log *slog.Logger
	// Now is the clock of leases and tokens; nil: time.Now.
	Now func() time.Time
}

// Server serves the listeners of one pod. Its methods are safe for concurrent
// use. Until the first [Server.Apply] every request is refused.
type Server struct {
	options Options
	log     *slog.Logger
	now     func() time.Time

	closing atomic.Bool
	stop    context.CancelFunc
	context context.Context // the life of the server: Shutdown ends it
	serving sync.WaitGroup  // watchdog, accepting, connections

	// documents reads those of GraphQL: bound once, as binding takes memory.
	documents func(text string) (*syntax.Document, error)
	memory    *memory.Budget // of what is read whole
	parsing   memory.Turns   // of that
	room      *lifetime.Room
	places    int64 // of it: connections that may be open
	pulse     *lifetime.Pulse
	exchanges limit.InFlight // of all credentials

	mu        sync.Mutex // of what follows; never held while a request is served
	holders   map[string]*holder
	listeners []*listener
	applied   *applied

	routes atomic.Pointer[routes] // of proxy-mode listeners; nil: nothing is applied yet
	nobody holder                 // of requests through them that are for no credential

	tunnels atomic.Int64 // that are open and not read
	open    atomic.Int64 // connections, whichever listener they are lent to
}

// applied is the state that listeners are served from.
type applied struct {
	state    *bundle.State
	received time.Time
}

// listener is one endpoint of one credential. In proxy mode it has no socket:
// the one that has it stands for no endpoint, and lends its connections out.
type listener struct {
	holder    *holder
	endpoint  string
	net       net.Listener // nil: reached through another
	authority string
	place     tunnel.Place // of one that is reached through another
	sessions  mcp.Sessions // of MCP servers

	view  atomic.Pointer[view]
	calls atomic.Bool  // were granted when something was
	shown atomic.Int64 // how many views were
	cut   overdue      // for the watchdog
	gone  bool         // the document that is served has no such endpoint; under the server's lock

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// What agents may take of a sidecar with the memory that it has by default, all
// listeners together. With more or less memory it is more or less.
const (
	// maxConnections bounds connections, idle ones included. One that takes more
	// than an idle one of HTTP/1.1 counts for several: a tunnel, a connection of
	// HTTP/2, and each call on one.
	maxConnections = 5120
	heavy          = 8

	// maxHeads bounds, in bytes, the heads that are being read, each counted as
	// what it may have.
	maxHeads = 8 << 20

	// maxExchanges bounds what is under way with upstreams.
	maxExchanges = 512
)

// maxHeld bounds, in bytes, what is held of bodies and messages that are read
// whole, with the memory that a sidecar has by default.
const maxHeld = 20 << 20

// tick is how often the watchdog looks: limits are kept to within it.
const tick = 200 * time.Millisecond

// New returns a Server; [Server.Shutdown] ends it.
func New(o Options) *Server {
	s := &Server{options: o, log: o.Log, now: o.Now, documents: new(graphql.Reader).Read, holders: map[string]*holder{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.memory = memory.NewBudget(memory.Fitting(maxHeld))
	s.nobody.all, s.nobody.most = &s.exchanges, memory.Fitting(maxExchanges)
	// An exchange needs a descriptor for its upstream, too.
	s.places = min(memory.Fitting(maxConnections), int64(process.Descriptors()/2))
	s.room = lifetime.NewRoom(int(s.places), int(memory.Fitting(maxHeads)))
	s.pulse = lifetime.NewPulse()
	s.context, s.stop = context.WithCancel(context.Background())
	s.serving.Go(func() { s.pulse.Run(s.context, tick, s.look) })
	return s
}

// Listen serves an endpoint of a credential, namespace/name, on l until
// Shutdown, which closes l.
func (s *Server) Listen(name, endpoint string, l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holder(name)
	one := &listener{
		holder: h, endpoint: endpoint, net: l, authority: l.Addr().String(),
		conns: map[*conn]struct{}{},
	}
	h.listeners = append(h.listeners, one)
	s.listeners = append(s.listeners, one)
	if s.applied != nil {
		_ = s.install(h, s.applied) // what cannot be served was reported by Apply
	}
	s.serving.Go(func() { s.accept(one) })
}

// holder returns that of a credential, perhaps a new one.
func (s *Server) holder(name string) *holder {
	if s.holders[name] == nil {
		s.holders[name] = &holder{name: name, handle: s.options.Handles[name], all: &s.exchanges, most: memory.Fitting(maxExchanges)}
	}
	return s.holders[name]
}

// Ready reports whether every listener has a document to judge by, or a reason
// to refuse.
func (s *Server) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if l.view.Load() == nil {
			return false
		}
	}
	return s.applied != nil && !s.closing.Load()
}

// Shutdown takes no new connection, lets exchanges under way end until ctx is
// done, and then cuts them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	var failures []error
	for _, l := range s.listening() {
		failures = append(failures, l.close())
		l.each(func(c *conn) { c.drain(ctx) })
	}
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	s.awaitConnections(ctx)
	s.stop()
	s.endAll(done)
	s.release()
	return errors.Join(failures...)
}

// endAll ends what is under way until nothing is: a connection that is being lent
// from one listener to another may be met with neither.
func (s *Server) endAll(done <-chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		for _, l := range s.listening() {
			l.each(func(c *conn) { c.life.End(lifetime.Stopped) })
		}
		select {
		case <-done:
			return
		case <-t.C:
		}
	}
}

// awaitConnections waits until no agent is connected, or ctx is done.
func (s *Server) awaitConnections(ctx context.Context) {
	t := time.NewTicker(tick / 20)
	defer t.Stop()
	for s.connections() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *Server) connections() int { return int(s.open.Load()) }

// release closes the idle connections to upstreams.
func (s *Server) release() {
	for _, l := range s.listening() {
		if v := l.view.Load(); v != nil && v.target != nil {
			v.target.Close()
		}
	}
}

func (s *Server) listening() []*listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners[:len(s.listeners):len(s.listeners)]
}

func (s *Server) accept(l *listener) {
	for {
		c, err := l.net.Accept()
		switch {
		case s.closing.Load() || errors.Is(err, net.ErrClosed):
			if err == nil {
				_ = c.Close() // it came too late
			}
			return
		case err != nil: // out of descriptors, say: others may be closed meanwhile
			s.log.Error("accepting failed", "listener", l.authority, "error", err)
			s.pause(tick)
		default:
			s.serve(l, c)
		}
	}
}

func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.context.Done():
	}
}

func (s *Server) serve(l *listener, agent net.Conn) {
	c := newConn(s, l, agent)
	if !s.room.Enter(&c.life, 1, c.headerBytes()) {
		_ = agent.Close() // too many are being served; nothing was read
		return
	}
	l.add(c)
	s.open.Add(1)
	s.pulse.Wake()
	s.serving.Go(func() {
		defer func() {
			c.listener.remove(c)
			s.open.Add(-1)
			s.room.Leave(&c.life)
		}()
		c.serve()
	})
}

// look keeps the time of all connections, and tells whether there is any.
func (s *Server) look(now time.Time) (more bool) {
	for _, l := range s.listening() {
		idle := l.sweep(now)
		l.expire(s.now())
		l.each(s.holdTunnel)
		more = more || idle
	}
	return more || s.connections() > 0
}

// sweep ends what lasts too long, takes upstream connections away from silent
// agents, and tells whether one of these is kept.
func (l *listener) sweep(now time.Time) (idle bool) {
	v := l.view.Load()
	l.each(func(c *conn) {
		up := c.life.Look(now)
		if up == nil {
			return
		}
		if v == nil || v.target == nil || !v.target.Owns(up) {
			_ = up.Close() // idle, and leads where nothing is sent any more
			return
		}
		v.target.Put(up, now)
	})
	return v != nil && v.target != nil && v.target.Sweep(now)
}

func (l *listener) close() error {
	if l.net == nil {
		return nil
	}
	if err := l.net.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing listener %s: %w", l.authority, err)
	}
	return nil
}

func (l *listener) each(do func(*conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		do(c)
	}
}

func (l *listener) add(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
}

func (l *listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}
