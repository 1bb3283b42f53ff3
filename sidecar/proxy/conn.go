package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/grpc"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/memory"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
	"github.com/sallyport-dev/sallyport/sidecar/rules"
)

const (
	// Until a document says otherwise.
	defaultHeaderBytes    = 32 << 10
	defaultRequestTimeout = time.Minute
	idBytes               = 16
)

// conn is the connection of one agent, or a call on one that speaks HTTP/2. All
// but its life belongs to one goroutine, and what one request filled is filled
// again by the next.
type conn struct {
	server   *Server
	listener *listener
	agent    net.Conn
	front    *listener              // in proxy mode: the one that accepted it
	origin   string                 // of the upstream that a tunnel was opened to
	past     atomic.Pointer[string] // the target of a tunnel that is not read; nil: none is open
	near     []*listener
	reader   *http1.Reader
	writer   *http1.Writer
	life     lifetime.Connection
	held     held
	calls    atomic.Pointer[grpc.Server] // that are taken from agent; nil: HTTP/1.1 is spoken
	call     *grpc.Call                  // in place of agent, reader and writer; nil: none
	full     bool                        // too much is under way for this call

	// Of the exchange under way.
	view     *view
	began    time.Time
	ended    time.Time // zero: it was refused, or goes on
	id       [2 * idBytes]byte
	head     http1.RequestHead
	request  scope.Request
	decision scope.Decision // about request; its names are valid until the next
	jti      string
	path     []byte
	target   []byte
	signed   []scope.Field // as they go up, where the request is signed
	digest   string        // of the body, where it is
	answer   http1.ResponseHead
	problem  []byte
	returned bool           // a part of the answer may have been sent
	unsent   bool           // the answer came before the whole request was sent
	moved    *audit.Traffic // of a tunnel that is not read

	// Of a body that was read before it was judged: all of it where it is
	// whole, else its beginning.
	body   []byte
	memory *[]byte      // of a text
	asks   memory.Share // of what is read whole: the body, and the document that it is
	tells  memory.Share // likewise of the answer
	filter memory.Share // likewise by mcp
	read   bool
	whole  bool

	// What the grants that match, and those of the ceiling, keep to.
	floor             scope.Decision // of the floor, if there is one
	older, olderAbove []string       // names behind the floor
	buckets           [6][]*limit.Bucket
	keeps             [rules.Layers][]*cut.Keep // of answers; nil: all

	// What the grants speak that have method and path, and the exchange with an
	// MCP server, if it is one.
	speaks  scope.Protocol
	mcp     mcp.Exchange
	layers  [rules.Layers]mcp.Layer
	masking mask.Stream

	random [4 * idBytes]byte // ids to come
	left   int
}

func newConn(s *Server, l *listener, agent net.Conn) *conn {
	c := &conn{server: s, listener: l, agent: agent}
	c.reader, c.writer = http1.NewReader(agent, c.headerBytes()), http1.NewWriter(agent)
	if l.holder == &s.nobody {
		c.front = l
	}
	c.life.Open(agent, c.reader, time.Now())
	return c
}

// headerBytes is what the header of a request may have.
func (c *conn) headerBytes() int {
	if v := c.listener.view.Load(); v != nil && v.limits.HeaderBytes > 0 {
		return v.limits.HeaderBytes
	}
	return defaultHeaderBytes
}

func (c *conn) stats() *metrics.Credential { return &c.listener.holder.stats }

// closing tells whether no further request is wanted.
func (c *conn) closing() bool { return c.head.Close || c.server.closing.Load() }

// serve carries requests until one side has had enough.
func (c *conn) serve() {
	defer c.close()
	if c.reader.Wait() == nil && c.opensHTTP2() {
		c.serveCalls()
		return
	}
	for c.reader.Wait() == nil && c.exchange() {
		c.head.Release()
		c.answer.Release()
		c.letGo()
		if c.ended.IsZero() {
			c.ended = time.Now()
		}
		if !c.life.Rest(c.ended) || c.server.closing.Load() && c.reader.Buffered() == 0 {
			return
		}
	}
}

// letGo forgets the view between exchanges: a credential that is withdrawn stays
// in no connection that is silent.
func (c *conn) letGo() {
	c.view = nil
	c.masking.Start(mask.Mask{})
	c.trim()
}

// close closes both connections. An upstream connection that is good is kept
// for others.
func (c *conn) close() {
	if v := recover(); v != nil {
		// A mistake of ours must not end the other agents' connections. What
		// was thrown may hold anything, and is not shown.
		c.server.log.Error("serving a connection failed", "credential", c.listener.holder.name)
		c.drop()
	}
	if up, sound := c.life.Finish(); up != nil {
		c.giveUp(up, sound)
	}
	_ = c.agent.Close() // all that was to be said was written
}

// begin readies c for the next request.
func (c *conn) begin() bool {
	c.began, c.ended = time.Now(), time.Time{}
	c.lend(c.front)
	timeout := defaultRequestTimeout
	if v := c.listener.view.Load(); v != nil && v.limits.RequestTimeout > 0 {
		timeout = v.limits.RequestTimeout
	}
	// First busy, then the view: who swaps the view and then cuts what is busy
	// misses no one.
	alive := c.life.Start(c.began, c.began.Add(timeout))
	if c.view = c.listener.view.Load(); c.view == nil {
		c.view = &view{withdrawn: scope.NotReady}
	}
	c.jti, c.path, c.returned, c.unsent, c.read, c.whole = "", c.path[:0], false, false, false, false
	c.speaks = ""
	c.mcp.Reset()
	for i := range c.keeps {
		c.keeps[i] = c.keeps[i][:0]
	}
	if c.left == 0 {
		_, _ = rand.Read(c.random[:]) // never fails
		c.left = len(c.random)
	}
	c.left -= idBytes
	hex.Encode(c.id[:], c.random[c.left:c.left+idBytes])
	return alive
}

// readBody goes on reading the body into memory: all of it, or where it is longer
// than limit, more than that of it.
func (c *conn) readBody(limit int64) error {
	if c.memory == nil {
		c.memory = memory.Text()
		c.body, c.read = (*c.memory)[:0], true
	}
	b := c.reader.Body()
	for int64(len(c.body)) <= limit {
		if len(c.body) == cap(c.body) {
			// Memory follows the bytes that come, not the length that is claimed.
			room := c.bodyRoom(limit)
			if err := c.server.memory.Hold(&c.asks, int64(len(c.body)+room)); err != nil {
				return err
			}
			c.body = slices.Grow(c.body, room)
		}
		n, err := b.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if c.whole = errors.Is(err, io.EOF); c.whole {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bodyRoom is how much more of a body of at most limit bytes may be read next.
func (c *conn) bodyRoom(limit int64) int {
	if length := c.head.Framing.Length; length > 0 {
		limit = min(limit, length)
	}
	have := int64(len(c.body))
	return int(max(leastBody, min(have, limit+1-have)))
}

// leastBody is how much memory a body is given at first.
const leastBody = 4 << 10

// holdFilter bounds the memory for what is read of the answer of an MCP server
// before it is passed on.
func (c *conn) holdFilter(bytes int64) error { return c.server.memory.Hold(&c.filter, bytes) }

// forget gives the memory of the body back.
func (c *conn) forget() {
	c.hold(nil)
	if c.memory != nil {
		memory.Release(c.memory, c.body)
	}
	c.memory, c.body = nil, nil
	_ = c.server.memory.Hold(&c.asks, 0) // giving back never fails
	_ = c.server.memory.Hold(&c.tells, 0)
	_ = c.server.memory.Hold(&c.filter, 0)
	c.mcp.Reset()
}

// opensHTTP2 tells whether HTTP/2 is spoken on the connection, as it may be where
// calls are granted.
func (c *conn) opensHTTP2() bool {
	if !c.listener.calls.Load() || !c.begin() {
		return false
	}
	defer c.letGo()
	opens, err := c.reader.HasPrefix(grpc.Preface)
	return c.life.Rest(time.Now()) && opens && err == nil
}

// serveCalls takes calls until one side has had enough, and waits for those that
// are under way.
func (c *conn) serveCalls() {
	if !c.life.Weigh(heavy - 1) {
		return // too many are being served
	}
	calls := grpc.NewServer(c.headerBytes(), c.serveCall)
	c.calls.Store(calls)
	if c.server.closing.Load() { // Shutdown may have missed it
		c.drain(c.server.context)
	}
	calls.Serve(c.agent, c.reader.Tunnel())
}

// drain ends a connection on which nothing is under way, or lets its calls be the
// last ones.
func (c *conn) drain(ctx context.Context) {
	c.life.EndIdle()
	if calls := c.calls.Load(); calls != nil {
		calls.Drain(ctx)
	}
}

// serveCall carries one call, which is judged and ended like any other request.
func (c *conn) serveCall(call *grpc.Call) {
	if !c.life.Join() {
		return
	}
	one := &conn{server: c.server, listener: c.listener, call: call}
	one.life.Open(call, nil, time.Now())
	one.full = !c.server.room.Enter(&one.life, heavy, one.headerBytes())
	c.listener.add(one)
	defer func() {
		if v := recover(); v != nil { // as in close
			c.server.log.Error("serving a call failed", "credential", c.listener.holder.name)
		}
		c.listener.remove(one)
		c.server.room.Leave(&one.life)
		c.life.Part(time.Now())
	}()
	one.exchange()
}

// enter counts the exchange, unless too many are under way.
func (c *conn) enter() bool { return !c.full && c.listener.holder.enter(c.view.limits.Concurrency) }

// readHead reads the head of the next request, or of the call.
func (c *conn) readHead() error {
	if c.call != nil {
		return c.call.ReadHead(&c.head, c.headerBytes())
	}
	return c.reader.ReadRequest(&c.head)
}

// forwardCall brings an allowed call to the upstream, and its answer back.
func (c *conn) forwardCall(d *scope.Decision) bool {
	v := c.view
	defer v.target.Settle()
	if c.head.Framing.Empty() {
		c.awaitAnswer()
	} else {
		c.life.Extend(c.began.Add(v.limits.StreamTimeout))
	}
	total := int64(0) // of an upload that nothing bounds
	if d.Body != nil {
		total = d.Body.MaxBytes
	}
	q := grpc.Question{
		To: v.target.HTTP2(), Scheme: v.target.Scheme(), Authority: v.target.Authority, Host: v.target.Host, Target: string(c.aim(d)),
		Fields: func(w grpc.Fields) {
			c.writeFields(w, d)
			v.swap.Write(w)
		},
		Message: v.limits.BodyBytes, Total: total, Sent: c.awaitAnswer,
	}
	if err := c.call.Ask(&q); err != nil {
		return c.broken(err)
	}
	if v.response.RefuseRedirects && isRedirect(c.call.Status()) {
		return c.fail(refusal{reason: scope.AnswerRefused, detail: redirected})
	}
	c.life.Extend(c.began.Add(v.limits.StreamTimeout))
	if err := c.call.Pass(&grpc.Editing{Field: c.passCallField, Masking: &c.masking, Mask: v.swap.Mask(), Message: v.limits.BodyBytes}); err != nil {
		return c.broken(err)
	}
	return false
}

// awaitAnswer sets the end of waiting for the answer to what was sent whole.
func (c *conn) awaitAnswer() {
	c.life.Extend(c.until(time.Now().Add(c.view.limits.AnswerTimeout)))
}

// passCallField returns a field of the answer to a call as it is passed on.
func (c *conn) passCallField(name, value string) (string, string, bool) {
	m := c.view.swap.Mask()
	return m.String(name), m.String(c.view.base.Value(name, value)), c.view.passes(name)
}

// blameCall finds the reason of a broken call; there is none where the agent is
// gone.
func (c *conn) blameCall(err error, ended scope.Reason) refusal {
	unreachable, known := (*dial.Error)(nil), (*grpc.Error)(nil)
	switch fault := c.call.Fault(); {
	case fault != nil:
		return refusal{reason: fault.Reason, detail: fault.Detail}
	case errors.As(err, &unreachable):
		return c.unreached(unreachable, ended)
	case ended == lifetime.TimeIsUp:
		return refusal{reason: scope.UpstreamTimeout}
	case c.call.Lost() || errors.Is(err, grpc.ErrLost):
		return refusal{}
	case errors.As(err, &known):
		return refusal{reason: known.Reason, detail: known.Detail}
	case c.call.Overdue(time.Since(c.began)):
		return refusal{reason: scope.UpstreamTimeout, detail: "the deadline of the call has passed"}
	}
	return refusal{reason: scope.UpstreamUnreachable, detail: "the upstream broke off, or does not speak HTTP/2 as it should"}
}

// drained tells that nothing of a request is left to read: of a call, net/http
// drops it.
func (c *conn) drained() bool { return c.whole || c.call != nil }

// tellCall ends a call with a refusal.
func (c *conn) tellCall(why refusal) bool {
	a := answerTo(why)
	c.problem = c.appendProblem(c.problem[:0], why.reason, a)
	c.call.Tell(&grpc.Refusal{
		Reason: why.reason, Title: a.title, Detail: a.detail, Credential: c.listener.holder.name, ID: string(c.id[:]),
		RetryAfter: a.retryAfter, Status: a.status, Problem: c.problem,
	})
	return false
}
