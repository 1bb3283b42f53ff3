package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/grpc"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

const (
	defaultHeaderBytes = 32 << 10 // until a document says otherwise
	idBytes            = 16
)

// conn is the connection of one agent, or a call on one that speaks HTTP/2. All
// but its life belongs to one goroutine, and what one request filled is filled
// again by the next.
type conn struct {
	server   *Server
	listener *listener
	agent    net.Conn
	front    *listener // in proxy mode: the one that accepted it
	origin   string    // of the upstream that a tunnel was opened to
	near     []*listener
	reader   *http1.Reader
	writer   *http1.Writer
	life     life
	calls    atomic.Pointer[grpc.Server] // that are taken from agent; nil: HTTP/1.1 is spoken
	call     *grpc.Call                  // in place of agent, reader and writer; nil: none
	full     bool                        // too much is under way for this call

	// Of the exchange under way.
	view     *view
	began    time.Time
	id       [2 * idBytes]byte
	head     http1.RequestHead
	request  scope.Request
	jti      string
	path     []byte
	target   []byte
	signed   []scope.Field // as they go up, where the request is signed
	digest   string        // of the body, where it is
	answer   http1.ResponseHead
	problem  []byte
	returned bool // a part of the answer may have been sent
	unsent   bool // the answer came before the whole request was sent

	// Of a body that was read before it was judged: all of it where it is
	// whole, else its beginning.
	body   []byte
	memory *[]byte // of bodyMemory
	read   bool
	whole  bool

	// What the grants that match, and those of the ceiling, keep to.
	floor             scope.Decision // of the floor, if there is one
	older, olderAbove []string       // names behind the floor
	buckets           [6][]*limit.Bucket
	keeps             [4][]*cut.Keep // of answers; nil: all
	cutter            cut.Cutter

	// What the grants speak that have method and path, and the exchange with an
	// MCP server, if it is one.
	speaks  scope.Protocol
	mcp     mcp.Exchange
	layers  [4]mcp.Layer
	masking mask.Stream

	random [16 * idBytes]byte // ids to come
	left   int
}

func newConn(s *Server, l *listener, agent net.Conn) *conn {
	c := &conn{server: s, listener: l, agent: agent}
	c.reader, c.writer = http1.NewReader(agent, c.headerBytes()), http1.NewWriter(agent)
	if l.holder == &s.nobody {
		c.front = l
	}
	c.life = life{agent: agent, gone: c.reader.Gone}
	c.life.rest(time.Now())
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
		if !c.life.rest(time.Now()) || c.server.closing.Load() && c.reader.Buffered() == 0 {
			return
		}
	}
}

// letGo forgets the view between exchanges: a credential that is withdrawn stays
// in no connection that is silent.
func (c *conn) letGo() {
	c.view = nil
	c.masking.Start(mask.Mask{})
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
	if up, sound := c.life.finish(); up != nil {
		if v := c.listener.view.Load(); sound && v != nil && v.target != nil && v.target.Owns(up) && up.Reader.Reusable() {
			v.target.Put(up, time.Now())
		} else {
			_ = up.Close() // nothing is under way on it
		}
	}
	_ = c.agent.Close() // all that was to be said was written
}

// begin readies c for the next request.
func (c *conn) begin() bool {
	c.began = time.Now()
	c.lend(c.front)
	timeout := time.Minute
	if v := c.listener.view.Load(); v != nil && v.limits.RequestTimeout > 0 {
		timeout = v.limits.RequestTimeout
	}
	// First busy, then the view: who swaps the view and then cuts what is busy
	// misses no one.
	_, alive := c.life.start(c.began, c.began.Add(timeout))
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

// record writes what was decided about the request.
func (c *conn) record(event audit.Event, d *scope.Decision, why refusal) error {
	l := c.listener
	r := audit.Record{
		Time: c.began, Event: event, ID: c.id[:], Token: c.jti, Credential: l.holder.name, Endpoint: l.endpoint,
		Reason: why.reason, Method: c.head.Method, Path: c.path, Pod: c.server.options.Pod,
	}
	if event == audit.Outcome {
		r.Time = time.Now()
	}
	r.Trace, r.Span = c.trace()
	if d != nil {
		r.Verdict, r.Grants = d.Verdict, d.Grants
	}
	if why.is() {
		r.Verdict = scope.Deny
	}
	err := c.server.options.Audit.Write(&r)
	if err != nil {
		c.server.log.Error("recording failed", "credential", l.holder.name, "error", err)
	}
	return err
}

// trace returns what the agent says this request is part of. Where it says so
// twice, neither counts. It is recorded, never forwarded.
func (c *conn) trace() (trace, span string) {
	times := 0
	for i := range c.head.Fields {
		if f := &c.head.Fields[i]; text.EqualFold(f.Name, "Traceparent") {
			trace, span, _ = audit.TraceOf(f.Value)
			times++
		}
	}
	if times > 1 {
		return "", ""
	}
	return trace, span
}

// readBody goes on reading the body into memory: all of it, or where it is longer
// than limit, more than that of it.
func (c *conn) readBody(limit int64) error {
	if c.memory == nil {
		c.memory = bodyMemory.Get().(*[]byte)
		c.body, c.read = (*c.memory)[:0], true
	}
	b := c.reader.Body()
	for int64(len(c.body)) <= limit {
		if len(c.body) == cap(c.body) {
			// Memory follows the bytes that come, not the length that is claimed.
			c.body = slices.Grow(c.body, max(leastBody, len(c.body)))
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

// bodyMemory has the memory of bodies that were read.
var bodyMemory = sync.Pool{New: func() any { return &[]byte{} }}

const (
	leastBody = 4 << 10
	mostKept  = 64 << 10
)

// forget gives the memory of the body back.
func (c *conn) forget() {
	c.life.hold(nil)
	if c.memory != nil {
		giveBack(c.memory, c.body)
	}
	c.memory, c.body = nil, nil
}

// giveBack gives memory of [bodyMemory] back, which text may have outgrown.
func giveBack(memory *[]byte, text []byte) {
	if cap(text) <= mostKept {
		*memory = text[:0]
		bodyMemory.Put(memory)
	}
}
