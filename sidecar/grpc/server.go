package grpc

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Preface is what a connection begins with on which HTTP/2 is spoken without
// being agreed on (RFC 9113, 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Bounds of one connection of an agent. What is sent before it is read is kept in
// memory: of one call, and of all. Not more calls than maxCalls are open at the
// same time, and net/http ends a connection on which four times as many were reset
// before they were looked at.
const (
	maxCalls     = 100
	callBuffer   = 64 << 10
	callsBuffer  = 1 << 20
	frameBytes   = 16 << 10
	stallTimeout = time.Minute // of a write, of which not a byte goes out
)

// Server speaks HTTP/2 with one agent. The zero value is of no use: see
// [NewServer].
type Server struct {
	server http.Server
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	over  bool // no call begins any more
	calls sync.WaitGroup
}

// NewServer returns a Server that has each call handled by handle, each in a
// goroutine of its own. A header that is longer than twice headerBytes net/http
// refuses by itself: the bound itself is for [Call.ReadHead], whose refusals can be
// recorded.
func NewServer(headerBytes int, handle func(*Call)) *Server {
	s := &Server{closed: make(chan struct{})}
	spoken := &http.Protocols{}
	spoken.SetUnencryptedHTTP2(true)
	s.server = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.enter() {
				panic(http.ErrAbortHandler)
			}
			defer s.calls.Done()
			serve(w, r, handle)
		}),
		Protocols:                    spoken,
		MaxHeaderBytes:               2 * headerBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // what agents send belongs into no log
		ConnState:                    s.watch,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxCalls, MaxReadFrameSize: frameBytes,
			MaxReceiveBufferPerStream: callBuffer, MaxReceiveBufferPerConnection: callsBuffer,
			WriteByteTimeout: stallTimeout,
		},
	}
	return s
}

// serve lets handle answer a call. One that got no whole answer is reset: an
// empty one would look like one.
func serve(w http.ResponseWriter, r *http.Request, handle func(*Call)) {
	c := newCall(w, r)
	defer c.finish()
	handle(c)
	if !c.told {
		panic(http.ErrAbortHandler) // net/http resets the stream
	}
}

func (s *Server) watch(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		s.once.Do(func() { close(s.closed) })
	}
}

// Serve speaks with the agent on c, of which the bytes are read from from, the
// preface first. It returns when c is closed and every call is over.
func (s *Server) Serve(c net.Conn, from io.Reader) {
	l := &listener{conn: connection{c, from}}
	_ = s.server.Serve(l) // it ends when the one connection was taken
	if !l.taken {
		_ = c.Close() // it was drained before
		return
	}
	<-s.closed
	s.mu.Lock()
	s.over = true // net/http may be about to begin one
	s.mu.Unlock()
	s.calls.Wait()
}

// enter counts a call, unless it comes too late.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.calls.Add(1)
	}
	return !s.over
}

// Drain tells the agent that no further call is taken. Those that are under way go
// on.
func (s *Server) Drain(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	cancel() // nothing is waited for
	_ = s.server.Shutdown(ctx)
}

// listener has one connection.
type listener struct {
	conn  connection
	taken bool
}

var errTaken = errors.New("there is no further connection")

func (l *listener) Accept() (net.Conn, error) {
	if l.taken {
		return nil, errTaken
	}
	l.taken = true
	return l.conn, nil
}

func (l *listener) Close() error { return nil }

func (l *listener) Addr() net.Addr { return l.conn.LocalAddr() }

// connection is one of which some bytes were read already.
type connection struct {
	net.Conn
	from io.Reader
}

func (c connection) Read(p []byte) (int, error) { return c.from.Read(p) }

// SetReadDeadline does nothing: net/http would take a deadline away by which the
// connection was ended.
func (c connection) SetReadDeadline(time.Time) error { return nil }

// SetDeadline does nothing, too.
func (c connection) SetDeadline(time.Time) error { return nil }
