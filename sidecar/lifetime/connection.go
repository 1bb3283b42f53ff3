// Package lifetime says how long things may be used: a connection, which others
// than its goroutine end, and a credential of which there is no news.
package lifetime

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// Patience with connections on which nothing is under way.
const (
	idleTimeout = 5 * time.Minute // with an agent between requests
	pinTimeout  = 5 * time.Second // until another agent may use its upstream connection
)

// Why a life ended, besides the reasons of credentials that were withdrawn.
const (
	Alive    scope.Reason = ""
	TimeIsUp scope.Reason = "timeIsUp"
	Left     scope.Reason = "left"    // the agent has, during a stream
	Stopped  scope.Reason = "stopped" // the server is
)

// longAgo is a deadline that breaks every read and write at once.
var longAgo = time.Unix(1, 0)

// Connection is what others than its goroutine may do to a connection: end it
// when its time is up or its credential is withdrawn, and take its idle upstream
// connection. Deadlines of sockets are set when they strike, not for each
// request: a request costs a lock that nobody else holds.
//
// The zero Connection is to be opened. All its methods are safe for concurrent
// use.
type Connection struct {
	mu    sync.Mutex
	agent Peer
	up    *dial.Conn // nil: none
	busy  bool       // an exchange is under way: up belongs to it
	until time.Time
	since time.Time // idle, or reading a request

	streaming bool   // the upstream may be silent for long
	socket    Socket // of the agent; nil: it has none of its own

	admitted bool // the exchange counts against the limit of concurrent ones
	known    bool // one was admitted, or a call was taken
	pinned   bool // it is silent, and up is not nil
	place    place
	calls    int // on a connection of HTTP/2, whose own exchange is never under way
	ended    scope.Reason
	broke    bool // by interrupt

	cancel context.CancelFunc // of dialling; nil: nothing is dialled
}

// Peer is an agent as far as its life is concerned: a connection, or a call on
// one.
type Peer interface {
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	Close() error
}

// Socket is what is looked for in the socket of an agent while others read it.
type Socket interface {
	// Gone tells whether the agent has closed its side.
	Gone() bool
	// Unread tells whether bytes have come that nobody has read.
	Unread() bool
}

// Open begins the life of a connection with an agent. A nil socket is never
// looked at.
func (l *Connection) Open(agent Peer, socket Socket, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.agent, l.socket, l.since, l.until = agent, socket, now, now.Add(idleTimeout)
}

// Unread tells whether the agent has sent something that nobody has read.
func (l *Connection) Unread() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket != nil && l.socket.Unread()
}

// Up returns the upstream connection of the exchange under way, to which it
// belongs; nil: there is none.
func (l *Connection) Up() *dial.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// Busy tells whether an exchange is under way.
func (l *Connection) Busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy
}

// Start begins an exchange, or says that the connection has ended.
func (l *Connection) Start(now, until time.Time) bool {
	alive, full := l.start(now, until)
	if full {
		l.place.room.relieve()
	}
	return alive
}

func (l *Connection) start(now, until time.Time) (alive, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy, l.until, l.since = true, until, now
	l.pin(false)
	full = l.stand(reading)
	return l.ended == Alive, full
}

// Admit says that the request was read, and is one of those that are bounded.
func (l *Connection) Admit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.admitted, l.known = true, true
	l.stand(queues)
}

// Evict closes the connection unless a request of it was admitted meanwhile.
// Nothing is said: an agent that opens too many would keep that waiting, too.
func (l *Connection) Evict() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.admitted || l.calls > 0 || l.ended != Alive {
		return false
	}
	l.endLocked(Stopped)
	_ = l.agent.Close() // reading and writing report it
	if l.place.room != nil {
		l.place.room.Leave(l)
	}
	return true
}

// Extend sets the end of the next part of an exchange.
func (l *Connection) Extend(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
	return l.ended == Alive
}

// Stream says that what is under way may be silent for long. An agent that
// leaves is found by looking then: nothing is read from it, nor written to it.
func (l *Connection) Stream() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streaming = true
}

// Bind lets the exchange use up, or none.
func (l *Connection) Bind(up *dial.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = up
}

// Reusable tells whether up may carry another request. To find out touches
// the deadlines of up, so that nobody may end the life meanwhile.
func (l *Connection) Reusable(up *dial.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended == Alive && up.Reader.Reusable()
}

// Rest ends an exchange.
func (l *Connection) Rest(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy, l.admitted, l.streaming, l.since, l.until = false, false, false, now, now.Add(idleTimeout)
	l.pin(l.up != nil)
	l.standIdle()
	return l.ended == Alive
}

// standIdle puts a connection that is silent into its queue.
func (l *Connection) standIdle() {
	switch {
	case l.ended != Alive:
		l.stand(queues)
	case l.known:
		l.stand(resting)
	default:
		l.stand(fresh)
	}
}

// Join says that a call is under way on the connection, unless that has ended.
func (l *Connection) Join() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != Alive {
		return false
	}
	l.calls++
	l.known = true
	l.stand(queues)
	return true
}

// Part says that one of them is over.
func (l *Connection) Part(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls--
	l.since, l.until = now, now.Add(idleTimeout)
	if l.calls == 0 {
		l.standIdle()
	}
}

// Finish ends a life and hands over its upstream connection. It is sound if
// nobody has broken it.
func (l *Connection) Finish() (up *dial.Conn, sound bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	up, sound = l.up, l.ended == Alive
	l.up, l.ended = nil, Stopped
	l.pin(false)
	return up, sound
}

// Why returns why the life ended.
func (l *Connection) Why() scope.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// End breaks what is under way. The first reason stays.
func (l *Connection) End(why scope.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(why)
}

// EndBusy ends an exchange that is under way; a connection at rest stays, for
// the next request to be refused on.
func (l *Connection) EndBusy(why scope.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		l.endLocked(why)
	}
}

// EndIdle ends a connection on which nothing is under way.
func (l *Connection) EndIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy && l.calls == 0 {
		l.endLocked(Stopped)
	}
}

func (l *Connection) endLocked(why scope.Reason) {
	if l.ended != Alive {
		return
	}
	l.ended = why
	// A socket that takes no deadline is closed already.
	_ = l.agent.SetDeadline(longAgo)
	if l.up != nil {
		_ = l.up.SetDeadline(longAgo)
	}
	if l.cancel != nil {
		l.cancel()
	}
}

// Dial runs open with a context that ends with the exchange.
func (l *Connection) Dial(ctx context.Context, open func(context.Context) (*dial.Conn, error)) (*dial.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.cancel = cancel
	if l.ended != Alive {
		cancel()
	}
	l.mu.Unlock()
	up, err := open(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel, l.up = nil, up
	if up != nil && l.ended != Alive { // since it was opened
		_ = up.SetDeadline(longAgo) // one that takes none is closed already
	}
	return up, err
}

// Look ends the connection where its time is up or its agent has left a stream,
// and returns the upstream connection of an agent that is silent. One whose
// deadline was passed to end a life is of no use to others: it is closed with
// that.
func (l *Connection) Look(now time.Time) *dial.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case now.After(l.until) && l.calls == 0:
		l.endLocked(TimeIsUp)
	case l.hasLeft():
		l.endLocked(Left)
	}
	if l.busy || l.up == nil || l.ended != Alive || now.Sub(l.since) < pinTimeout {
		return nil
	}
	up := l.up
	l.up = nil
	l.pin(false)
	return up
}

// hasLeft tells whether the agent has closed its side during a stream.
func (l *Connection) hasLeft() bool {
	return l.streaming && l.socket != nil && l.ended == Alive && l.socket.Gone()
}

// Interrupt breaks the sending of a request whose answer is there already.
func (l *Connection) Interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broke = true
	_ = l.agent.SetReadDeadline(longAgo)
	if l.up != nil {
		_ = l.up.SetWriteDeadline(longAgo)
	}
}

// Resume takes an interrupt back.
func (l *Connection) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broke && l.ended == Alive {
		_ = l.agent.SetReadDeadline(time.Time{})
		if l.up != nil {
			_ = l.up.SetWriteDeadline(time.Time{})
		}
	}
	l.broke = false
}

// Interrupted tells whether the sending was broken by an answer.
func (l *Connection) Interrupted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broke
}

// SeverAgent breaks the reading from the agent.
func (l *Connection) SeverAgent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.agent.SetReadDeadline(longAgo)
}

// Sever breaks the reading of an answer.
func (l *Connection) Sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != nil {
		_ = l.up.SetDeadline(longAgo)
	}
}
