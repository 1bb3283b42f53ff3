package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

const (
	defaultHeaderBytes = 32 << 10 // until a document says otherwise
	lingerTimeout      = 2 * time.Second
	lingerBytes        = 4 << 20
	idBytes            = 16
)

// conn is the connection of one agent. All but its life belongs to one
// goroutine, and what one request filled is filled again by the next.
type conn struct {
	server   *Server
	listener *listener
	agent    net.Conn
	reader   *http1.Reader
	writer   *http1.Writer
	life     life

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
	limit := defaultHeaderBytes
	if v := l.view.Load(); v != nil && v.limits.HeaderBytes > 0 {
		limit = v.limits.HeaderBytes
	}
	c := &conn{
		server: s, listener: l, agent: agent,
		reader: http1.NewReader(agent, limit), writer: http1.NewWriter(agent),
	}
	c.life = life{agent: agent}
	c.life.rest(time.Now())
	return c
}

func (c *conn) stats() *metrics.Credential { return &c.listener.holder.stats }

// closing tells whether no further request is wanted.
func (c *conn) closing() bool { return c.head.Close || c.server.closing.Load() }

// serve carries requests until one side has had enough.
func (c *conn) serve() {
	defer c.close()
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

// begin readies c for the next request.
func (c *conn) begin() bool {
	c.began = time.Now()
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
