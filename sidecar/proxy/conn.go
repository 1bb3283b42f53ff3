package proxy

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
	"github.com/sallyport-dev/sallyport/sidecar/tunnel"
)

const (
	defaultHeaderBytes = 32 << 10 // until a document says otherwise
	idBytes            = 16
)

// conn is the connection of one agent. All but its life belongs to one
// goroutine, and what one request filled is filled again by the next.
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

	// Of the exchange under way.
	view     *view
	began    time.Time
	id       [2 * idBytes]byte
	head     http1.RequestHead
	request  scope.Request
	jti      string
	path     []byte
	target   []byte
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
	if l.holder == &s.nobody {
		c.front = l
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
		if !c.life.rest(time.Now()) || c.server.closing.Load() && c.reader.Buffered() == 0 {
			return
		}
	}
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

// next reads the head of the next request, and finds out what it is for. Where
// it is not to be judged, it tells whether another may follow.
func (c *conn) next() (ready, again bool) {
	if !c.begin() {
		return false, false
	}
	if err := c.reader.ReadRequest(&c.head); err != nil {
		return false, c.unread(err)
	}
	if c.front == nil {
		return true, false
	}
	if c.origin == "" && c.head.Method == "CONNECT" {
		return false, c.connect()
	}
	l, why := c.destination()
	if why.is() {
		return false, c.refuse(nil, why)
	}
	// The connection is lent before the view is read: as in begin, who swaps the
	// view misses no one.
	c.lend(l)
	c.view = l.view.Load()
	if c.view.limits.RequestTimeout > 0 {
		c.life.extend(c.began.Add(c.view.limits.RequestTimeout))
	}
	return true, false
}

// lend lets another listener look after the connection, if there is one.
func (c *conn) lend(to *listener) {
	if to == nil || to == c.listener {
		return
	}
	to.add(c)
	c.listener.remove(c)
	c.listener = to
}

// destination finds the endpoint that a request through a proxy is for, and
// leaves of its target what is below that.
func (c *conn) destination() (*listener, refusal) {
	origin := c.origin
	if origin == "" {
		var err error
		c.notePath()
		if origin, c.head.Target, err = tunnel.Absolute(c.head.Target); err != nil {
			return nil, refusal{reason: scope.Malformed, detail: err.Error(), close: true}
		}
		if !tunnel.Names(c.head.Host, origin) {
			return nil, refusal{reason: scope.Malformed, detail: "Host must be that of the URL", close: true}
		}
	}
	all, why := c.server.at(origin)
	if why.is() {
		return nil, why
	}
	if !strings.HasPrefix(c.head.Target, "/") {
		return all[0], refusal{} // which refuses it as any listener does
	}
	if why := c.nearest(all); why.is() {
		return nil, why
	}
	l, why := c.shown()
	if !why.is() {
		c.head.Target = c.head.Target[len(l.place.Base):]
		c.path = c.path[:0]
	}
	return l, why
}

// notePath has records show what was asked for and leads to no endpoint.
func (c *conn) notePath() {
	path, _, _ := strings.Cut(c.head.Target, "?")
	c.path = append(c.path[:0], path...)
}

// nearest notes of each credential the endpoint with the longest base path that
// fits.
func (c *conn) nearest(all []*listener) refusal {
	c.near = c.near[:0]
	for _, l := range all {
		switch l.place.Fit(c.head.Target) {
		case tunnel.Unclear:
			c.notePath()
			return refusal{reason: scope.Malformed, detail: "the path would be below the upstream's base path behind another decoding: write that as the upstream's URL has it", close: true}
		case tunnel.Below:
			i := slices.IndexFunc(c.near, func(n *listener) bool { return n.holder == l.holder })
			if i < 0 {
				c.near = append(c.near, l)
			} else if len(l.place.Base) > len(c.near[i].place.Base) {
				c.near[i] = l
			}
		}
	}
	if len(c.near) == 0 {
		c.notePath()
		return refusal{reason: scope.OutOfScope, detail: "the path is not below the base path of an endpoint at this host"}
	}
	return refusal{}
}

// shown finds, among those that are near, the one whose token the request
// shows. A single one finds out itself. Where none is live that fits, one that
// was withdrawn says so.
func (c *conn) shown() (*listener, refusal) {
	if len(c.near) == 1 {
		return c.near[0], refusal{}
	}
	var found, gone *listener
	for _, l := range c.near {
		v := l.view.Load()
		switch {
		case v == nil || v.swap == nil:
			gone = l
		case !c.shows(l, v):
		case found != nil:
			return nil, refusal{reason: scope.Malformed, detail: "the tokens of two credentials are shown: send one", close: true}
		default:
			found = l
		}
	}
	switch {
	case found != nil:
		return found, refusal{}
	case gone != nil:
		return gone, refusal{}
	}
	c.notePath()
	return nil, refusal{reason: scope.Unauthenticated, detail: "several credentials are for this host, and the token of none of them is where its upstream's credential would go"}
}

// shows tells whether the request shows a token of l's credential.
func (c *conn) shows(l *listener, v *view) bool {
	head := scope.Head{Method: c.head.Method, Target: c.head.Target[len(l.place.Base):], Fields: c.head.Fields}
	_ = c.request.Parse(&head, &v.profile) // for a token in the query: what cannot be read shows none there
	text, err := v.swap.Take(c.head.Fields, &c.request)
	if err != nil {
		return false
	}
	_, ok := v.tokens.Check(text, c.server.now())
	return ok
}

// handshakeTimeout bounds the TLS handshake of an agent.
const handshakeTimeout = 10 * time.Second

// connect opens a tunnel and ends the agent's TLS in it. What follows is read
// and judged like any other request.
func (c *conn) connect() bool {
	c.notePath()
	origin := tunnel.Connect(c.head.Target)
	all, why := c.server.at(origin)
	switch {
	case why.is():
	case !tunnel.Names(c.head.Host, origin):
		why = refusal{reason: scope.Malformed, detail: "Host must be that of the tunnel", close: true}
	case c.head.Upgrade != "":
		why = refusal{reason: scope.Malformed, detail: "a tunnel is no upgrade", close: true}
	case c.reader.Buffered() > 0:
		why = refusal{reason: scope.Malformed, detail: "wait for the answer to CONNECT before anything is sent through the tunnel", close: true}
	}
	if why.is() {
		return c.refuse(nil, why)
	}
	if err := c.shakeHands(all); err != nil {
		return c.unsecured(err)
	}
	c.origin = origin
	return true
}

func (c *conn) shakeHands(all []*listener) error {
	if _, err := io.WriteString(c.agent, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return err
	}
	if !c.life.extend(time.Now().Add(handshakeTimeout)) {
		return os.ErrDeadlineExceeded
	}
	limit := defaultHeaderBytes
	for _, l := range all { // of the one that is meant nothing is known yet
		if v := l.view.Load(); v != nil && v.limits.HeaderBytes > 0 {
			limit = min(limit, v.limits.HeaderBytes)
		}
	}
	agent := tls.Server(c.agent, c.server.options.Authorities.Config(all[0].place.Host))
	if err := agent.Handshake(); err != nil {
		return err
	}
	c.agent, c.reader, c.writer = agent, http1.NewReader(agent, limit), http1.NewWriter(agent)
	return nil
}

// unsecured records a tunnel without TLS as it has to be. There is no way to
// say so to an agent that speaks something else.
func (c *conn) unsecured(err error) bool {
	why := refusal{reason: scope.Malformed}
	switch c.life.why() {
	case alive:
	case timeIsUp:
		why.reason = scope.TooSlow
	default:
		return false
	}
	c.server.log.Warn("securing a tunnel failed", "host", string(c.path), "error", err)
	c.stats().Denied(why.reason)
	_ = c.record(audit.Decision, nil, why) // it ends in a refusal either way
	return false
}
