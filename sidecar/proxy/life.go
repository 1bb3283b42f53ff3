package proxy

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

// Patience with what an agent sends behind its last answer.
const (
	lingerTimeout = 2 * time.Second
	lingerBytes   = 4 << 20
)

// Why a life ended, besides the reasons of credentials that were withdrawn.
const (
	alive    scope.Reason = ""
	timeIsUp scope.Reason = "timeIsUp"
	left     scope.Reason = "left"    // the agent has, during a stream
	stopped  scope.Reason = "stopped" // the server is
)

// long ago is a deadline that breaks every read and write at once.
var longAgo = time.Unix(1, 0)

// life is what others than its goroutine may do to a connection: end it when
// its time is up or its credential is withdrawn, and take its idle upstream
// connection. Deadlines of sockets are set when they strike, not for each
// request: a request costs a lock that nobody else holds.
type life struct {
	mu    sync.Mutex
	agent peer
	up    *dial.Conn // nil: none
	busy  bool       // an exchange is under way: up belongs to it
	until time.Time
	since time.Time // idle, or reading a request

	streaming bool        // the upstream may be silent for long
	gone      func() bool // tells whether the agent has closed its side

	admitted bool  // the exchange counts against the limit of concurrent ones
	held     *view // what allowed the exchange, whose request stays as it is; nil: none is held
	calls    int   // on a connection of HTTP/2, whose own exchange is never under way
	ended    scope.Reason
	broke    bool // by interrupt

	cancel context.CancelFunc // of dialling; nil: nothing is dialled
}

// peer is an agent as far as its life is concerned: a connection, or a call on
// one.
type peer interface {
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	Close() error
}

// start begins an exchange, or says that the connection has ended.
func (l *life) start(now, until time.Time) (*dial.Conn, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy, l.until, l.since = true, until, now
	return l.up, l.ended == alive
}

// admit says that the request was read, and is one of those that are bounded.
func (l *life) admit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.admitted = true
}

// hold says by which view the exchange was allowed. Until it is said that none
// is held, the request stays as it was judged.
func (l *life) hold(v *view) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = v
}

// waiting tells since when nothing but the agent has been waited for.
func (l *life) waiting() (since time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since, !l.admitted && l.calls == 0 && l.ended == alive
}

// evict closes the connection unless a request of it was admitted meanwhile.
// Nothing is said: an agent that opens too many would keep that waiting, too.
func (l *life) evict() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.admitted || l.calls > 0 || l.ended != alive {
		return false
	}
	l.endLocked(stopped)
	_ = l.agent.Close() // reading and writing report it
	return true
}

// extend sets the end of the next part of an exchange.
func (l *life) extend(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
	return l.ended == alive
}

// stream says that what is under way may be silent for long. An agent that
// leaves is found by looking then: nothing is read from it, nor written to it.
func (l *life) stream() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streaming = true
}

// bind lets the exchange use up, or none.
func (l *life) bind(up *dial.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = up
}

// reusable tells whether up may carry another request. To find out touches
// the deadlines of up, so that nobody may end the life meanwhile.
func (l *life) reusable(up *dial.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended == alive && up.Reader.Reusable()
}

// rest ends an exchange.
func (l *life) rest(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy, l.admitted, l.streaming, l.since, l.until = false, false, false, now, now.Add(idleTimeout)
	return l.ended == alive
}

// join says that a call is under way on the connection, unless that has ended.
func (l *life) join() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != alive {
		return false
	}
	l.calls++
	return true
}

// part says that one of them is over.
func (l *life) part(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls--
	l.since, l.until = now, now.Add(idleTimeout)
}

// finish ends a life and hands over its upstream connection. It is sound if
// nobody has broken it.
func (l *life) finish() (up *dial.Conn, sound bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	up, sound = l.up, l.ended == alive
	l.up, l.ended = nil, stopped
	return up, sound
}

// why returns why the life ended.
func (l *life) why() scope.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// end breaks what is under way. The first reason stays.
func (l *life) end(why scope.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(why)
}

// endBusy ends an exchange that is under way; a connection at rest stays, for
// the next request to be refused on.
func (l *life) endBusy(why scope.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		l.endLocked(why)
	}
}

// endIdle ends a connection on which nothing is under way.
func (l *life) endIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy && l.calls == 0 {
		l.endLocked(stopped)
	}
}

func (l *life) endLocked(why scope.Reason) {
	if l.ended != alive {
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

// dial runs open with a context that ends with the exchange.
func (l *life) dial(ctx context.Context, open func(context.Context) (*dial.Conn, error)) (*dial.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.cancel = cancel
	if l.ended != alive {
		cancel()
	}
	l.mu.Unlock()
	up, err := open(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel, l.up = nil, up
	return up, err
}

// look ends the connection where its time is up or its agent has left a stream,
// and returns the upstream
// connection of an agent that is silent. One whose deadline was passed to end a
// life is of no use to others: it is closed with that.
func (l *life) look(now time.Time) *dial.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.until) && l.calls == 0 {
		l.endLocked(timeIsUp)
	}
	if l.streaming && l.ended == alive && l.gone() {
		l.endLocked(left)
	}
	if l.busy || l.up == nil || l.ended != alive || now.Sub(l.since) < pinTimeout {
		return nil
	}
	up := l.up
	l.up = nil
	return up
}

// interrupt breaks the sending of a request whose answer is there already.
func (l *life) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broke = true
	_ = l.agent.SetReadDeadline(longAgo)
	if l.up != nil {
		_ = l.up.SetWriteDeadline(longAgo)
	}
}

// resume takes an interrupt back.
func (l *life) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broke && l.ended == alive {
		_ = l.agent.SetReadDeadline(time.Time{})
		if l.up != nil {
			_ = l.up.SetWriteDeadline(time.Time{})
		}
	}
	l.broke = false
}

// interrupted tells whether the sending was broken by an answer.
func (l *life) interrupted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broke
}

// sever breaks the reading of an answer.
func (l *life) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != nil {
		_ = l.up.SetDeadline(longAgo)
	}
}

// revive lets a connection whose life has ended say so.
func (c *conn) revive() { _ = c.agent.SetDeadline(time.Now().Add(lingerTimeout)) }

// linger lets the agent read the answer before the connection is reset for
// what it sent besides.
func (c *conn) linger() {
	half, ok := c.agent.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.agent.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	var scratch [4 << 10]byte
	for left := lingerBytes; left > 0; {
		n, err := c.agent.Read(scratch[:])
		if err != nil {
			return
		}
		left -= n
	}
}
