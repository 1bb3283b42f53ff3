package proxy

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	rpc "github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/memory"
	"github.com/sallyport-dev/sallyport/sidecar/tunnel"
	"github.com/sallyport-dev/sallyport/sidecar/websocket"
)

// handshake refuses a request for an upgrade that is none to a WebSocket as it
// is spoken here. One that no grant has is refused like any other.
func (c *conn) handshake() refusal {
	wrong := func(detail string) refusal { return refusal{reason: scope.Malformed, detail: detail, close: true} }
	switch {
	case c.head.Upgrade == "":
		return refusal{}
	case !text.EqualFold(c.head.Upgrade, websocket.Protocol):
		return wrong("this credential grants no upgrade to another protocol than websocket")
	case !websocket.ValidKey(c.field("Sec-WebSocket-Key")):
		return wrong("send one Sec-WebSocket-Key of 16 bytes in Base64")
	case c.field("Sec-WebSocket-Version") != websocket.Version:
		return wrong("send Sec-WebSocket-Version: 13")
	}
	return refusal{}
}

// field returns the value of a header field that occurs once, else nothing.
func (c *conn) field(name string) string { return only(c.head.Fields, name) }

func only(fields []scope.Field, name string) string {
	value, n := "", 0
	for i := range fields {
		if text.EqualFold(fields[i].Name, name) {
			value = fields[i].Value
			n++
		}
	}
	if n != 1 {
		return ""
	}
	return value
}

// switched tells whether the answer opens the WebSocket that was asked for.
func (c *conn) switched() bool {
	chosen := only(c.answer.Fields, "Sec-WebSocket-Protocol")
	has := func(name string) bool {
		for i := range c.answer.Fields {
			if text.EqualFold(c.answer.Fields[i].Name, name) {
				return true
			}
		}
		return false
	}
	return text.EqualFold(c.answer.Upgrade, websocket.Protocol) &&
		only(c.answer.Fields, "Sec-WebSocket-Accept") == websocket.Accept(c.field("Sec-WebSocket-Key")) &&
		!has("Sec-WebSocket-Extensions") &&
		(!has("Sec-WebSocket-Protocol") || websocket.Offers(c.field("Sec-WebSocket-Protocol"), chosen))
}

// socket carries a WebSocket until one side has had enough. No request follows
// it.
func (c *conn) socket(up *dial.Conn) bool {
	if !c.switched() {
		c.drop()
		return c.fail(refusal{reason: scope.AnswerRefused, detail: "the upstream's answer opens no WebSocket that was asked for", close: true})
	}
	if !c.life.Extend(c.began.Add(c.view.limits.StreamTimeout)) || c.passSwitch() != nil {
		return c.broken(errLost)
	}
	c.masking.Start(c.view.swap.Mask())
	toUp, toAgent := websocket.NewWriter(up, true), websocket.NewWriter(c.agent, false)
	down := websocket.Upstream{From: up.Reader.Tunnel(), Up: toUp, Back: toAgent, Mask: c.maskMessage}
	ended := make(chan error, 1)
	go func() {
		err := down.Run()
		c.life.SeverAgent() // nothing more is taken from the agent
		ended <- err
	}()
	agent := websocket.Agent{From: c.reader.Tunnel(), Up: toUp, Back: toAgent, Most: c.view.limits.BodyBytes, Judge: c.judgeMessage, Hold: c.holdMessage}
	sent := agent.Run()
	c.life.Sever() // nothing more is taken from the upstream
	received := <-ended
	c.closeSocket(sent, received, toUp, toAgent)
	return false
}

// passSwitch tells the agent that the WebSocket is open.
func (c *conn) passSwitch() error {
	c.returned = true
	w := c.writer
	w.Response(c.answer.Status, c.head.Method)
	w.Upgrade(websocket.Protocol)
	for i := range c.answer.Fields {
		if f := &c.answer.Fields[i]; c.view.passes(f.Name) {
			c.passField(f.Name, f.Value, false)
		}
	}
	w.Body(http1.Framing{})
	return w.End()
}

// holdMessage bounds the memory for a message of the agent.
func (c *conn) holdMessage(bytes int64) error {
	if c.server.memory.Hold(&c.asks, bytes) != nil {
		return &messageError{crowded}
	}
	return nil
}

// judgeMessage decides about a message of the agent. A scope that has changed
// meanwhile ends the WebSocket: what was allowed may not be any more.
func (c *conn) judgeMessage(m *websocket.Message) error {
	if v := c.listener.view.Load(); v == nil || v != c.view && !v.judgesLike(c.view) {
		return &websocket.Error{Code: websocket.GoingAway, Msg: "the credential has changed"}
	}
	if why := c.standing(c.server.now()); why.is() {
		return &messageError{why}
	}
	ask := func(p *scope.Policy) scope.Decision {
		return p.DecideMessage(&c.request, scope.Content{Data: m.Data, Whole: true, Binary: !m.Text})
	}
	older := c.askOlder(ask)
	d := ask(c.view.rules.Policy)
	if why := verdict(&d, &older); why.is() {
		return &messageError{why}
	}
	if d.Verdict != scope.Allow || older.Verdict != scope.Allow {
		return &messageError{refusal{reason: scope.Malformed}}
	}
	return nil
}

// messageError is a message that was refused.
type messageError struct{ refusal }

func (e *messageError) Error() string { return string(e.reason) }

// closeSocket says why a WebSocket ends, to those who are still there, and
// records what it was ended for.
func (c *conn) closeSocket(sent, received error, toUp, toAgent *websocket.Writer) {
	c.revive()
	code, why := websocket.GoingAway, refusal{}
	refused, bad := (*messageError)(nil), (*websocket.Error)(nil)
	switch ended := c.life.Why(); {
	case ended != lifetime.Alive:
		why = c.blame(sent)
		code = websocket.Refused
	case errors.As(sent, &refused):
		why, code = refused.refusal, websocket.Refused
	case errors.As(sent, &bad):
		code = bad.Code
		if bad.Code != websocket.GoingAway {
			why = refusal{reason: scope.Malformed}
		}
	case errors.As(received, &bad):
		why, code = refusal{reason: scope.AnswerRefused}, websocket.ProtocolError
	case sent == nil && received == nil || errors.Is(sent, io.EOF):
		code = websocket.Normal
	}
	// Who is gone cannot be told.
	_ = toAgent.Close(code)
	_ = toUp.Close(websocket.GoingAway)
	c.drop()
	if why.is() {
		c.stats().Denied(why.reason)
		_ = c.record(audit.Outcome, nil, why) // the WebSocket ends either way
	}
	c.linger()
}

// maskMessage covers the secret in what the upstream sends.
func (c *conn) maskMessage(dst, data []byte, end bool) []byte {
	dst = append(dst, c.masking.Pass(data)...)
	if end {
		dst = append(dst, c.masking.Rest()...)
	}
	return dst
}

// maxTunnels bounds those that are not read: they are the lesser part of
// [maxConnections], so that credentials are served beside them.
const maxTunnels = 128

// tunnelTimeout is how long nobody may speak in one.
const tunnelTimeout = 5 * time.Minute

// through opens a tunnel past all endpoints. Nothing of a credential is in it,
// and nothing follows it.
func (c *conn) through(target string) bool {
	s := c.server
	defer s.tunnels.Add(-1)
	if s.tunnels.Add(1) > maxTunnels {
		return c.refuse(nil, refusal{reason: scope.RateLimited, detail: "too many tunnels are open: wait for one to end"})
	}
	c.life.Admit()
	allowed := scope.Decision{Verdict: scope.Allow}
	if c.record(audit.Decision, &allowed, refusal{}) != nil {
		return c.refuseUnrecorded()
	}
	c.stats().Allowed.Add(1)
	c.past.Store(&target)
	defer c.past.Store(nil)
	c.drop() // the upstream connection of a request before
	host, port, _ := tunnel.Elsewhere(target)
	up, err := c.life.Dial(s.context, func(ctx context.Context) (*dial.Conn, error) { return s.options.Dialer.Tunnel(ctx, host, port) })
	if err != nil {
		return c.broken(err)
	}
	moved := func() bool { return c.life.Extend(time.Now().Add(tunnelTimeout)) }
	c.moved = &audit.Traffic{}
	if _, err := io.WriteString(c.agent, established); err == nil && moved() {
		c.moved.Out, c.moved.In = tunnel.Relay(c.agent, up.Conn, moved)
	}
	c.drop()
	why := refusal{}
	if ended := c.life.Why(); ended != lifetime.Alive && ended != lifetime.TimeIsUp {
		why = ofEnd(ended)
	}
	_ = c.record(audit.Outcome, &allowed, why) // it has ended either way
	return false
}

// admit judges a request to an MCP server by what is known of its session. Where
// a grant of another kind allows the request, it is none.
func (c *conn) admit(d *scope.Decision) refusal {
	if c.speaks != rpc.Protocol {
		return refusal{}
	}
	for i, names := range [...][]string{d.Grants, d.Above, c.older, c.olderAbove} {
		if c.layers[i] = c.view.rules.Shown(i, names, c.layers[i][:0]); len(c.layers[i]) > 0 {
			c.mcp.Layers = append(c.mcp.Layers, c.layers[i])
		}
	}
	if !c.speaksMCP() {
		return refusal{}
	}
	c.mcp.Read(c.head.Method, c.head.Fields, c.body)
	if c.server.memory.Hold(&c.asks, int64(cap(c.body))+c.mcp.Memory()) != nil {
		return crowded
	}
	switch a, detail := c.mcp.Admit(&c.listener.sessions, string(c.path)); a {
	case mcp.Admitted:
		return refusal{}
	case mcp.Unknown:
		return refusal{reason: scope.ParameterRefused, status: 404, detail: detail}
	default:
		return refusal{reason: scope.ParameterRefused, detail: detail}
	}
}

// speaksMCP tells an admitted exchange with an MCP server.
func (c *conn) speaksMCP() bool { return len(c.mcp.Layers) > 0 }

// wordMCP puts a refusal of a message that was read into a JSON-RPC error, and
// reports whether there is one to answer.
func (c *conn) wordMCP(reason scope.Reason, a *telling) bool {
	if c.speaks != rpc.Protocol || !c.whole || a.status == 404 {
		return false
	}
	c.mcp.Read(c.head.Method, c.head.Fields, c.body)
	if c.mcp.ID() == nil {
		return false
	}
	a.status = 200
	c.problem = c.appendError(c.problem[:0], reason, a)
	return true
}

// codeOther is the code of a JSON-RPC error that has no meaning of its own.
const codeOther = -32000

// appendError appends the JSON-RPC error (JSON-RPC 2.0, 5.1) that refuses the
// request that was read.
func (c *conn) appendError(dst []byte, reason scope.Reason, a *telling) []byte {
	code, granted := codeOther, c.view.rules.Revisions()
	if reason == scope.ParameterRefused {
		m, h := c.mcp.Message()
		code = rpc.Code(m, h, granted)
	}
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), c.mcp.ID()...)
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = audit.AppendString(dst, a.title+": "+a.detail)
	dst = append(dst, `,"data":{"reason":`...)
	dst = audit.AppendString(dst, string(reason))
	dst = append(dst, `,"credential":`...)
	dst = audit.AppendString(dst, c.listener.holder.name)
	dst = append(dst, `,"requestId":`...)
	dst = audit.AppendString(dst, c.id[:])
	if code == rpc.CodeRevision || code == rpc.CodeParams && c.mcp.IsHandshake() {
		m, h := c.mcp.Message()
		dst = append(dst, `,"requested":`...)
		dst = audit.AppendString(dst, rpc.Requested(m, h))
		dst = append(dst, `,"supported":[`...)
		for i, name := range granted {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = audit.AppendString(dst, name)
		}
		dst = append(dst, ']')
	}
	return append(dst, "}}}"...)
}

// passMCP passes on what the agent gets to see of an MCP server's answer.
func (c *conn) passMCP(up *dial.Conn, coding answer.Coding, closing bool) error {
	a := &c.answer
	session := c.mcp.Opened(c.head.Method, a.Status, a.Fields)
	edit := edits{weak: true, dropped: func(name string) bool {
		return cut.Describes(name) || answer.DescribesCoded(name) || !session && text.EqualFold(name, rpc.SessionHeader)
	}}
	if c.bodiless() || a.Framing.Empty() {
		c.passHead(edit, http1.Framing{}, closing)
		return c.writer.End()
	}
	return c.passMessages(up, coding, edit, closing)
}

// passMessages undoes the coding of an answer and passes its messages on.
func (c *conn) passMessages(up *dial.Conn, coding answer.Coding, edit edits, closing bool) error {
	a := &c.answer
	var from io.Reader = &answer.Source{Body: up.Reader.Body(), Flush: c.writer.Flush}
	kind := mcp.MediaOf(a.Fields)
	if coding == answer.Unknown {
		kind = mcp.Unreadable
	}
	if coding != answer.Identity && coding != answer.Unknown {
		decoder, err := answer.Decode(coding, from)
		if err != nil {
			return err
		}
		defer decoder.Close()
		from = decoder
	}
	if kind == mcp.Stream && a.Status < 300 {
		return c.passEvents(from, edit, closing)
	}
	return c.passMessage(up, from, kind, edit, closing)
}

// passMessage passes on an answer that is one message. Where one has to come
// and something else does, it is refused; else what cannot be read is left out.
func (c *conn) passMessage(up *dial.Conn, from io.Reader, kind mcp.Media, edit edits, closing bool) error {
	lent := memory.Text()
	text, err := *lent, mcp.ErrUnreadable
	if kind == mcp.Message {
		limit := c.view.limits.BodyBytes
		text, err = c.readAll(text, c.mcp.Answers(from, false, limit, c.holdFilter), limit)
	}
	defer memory.Release(lent, text)
	if errors.Is(err, mcp.ErrUnreadable) {
		if c.answer.Status < 300 && c.mcp.Expects(c.head.Method) {
			return err
		}
		described := edit.dropped
		edit.dropped = func(name string) bool { return described(name) || cut.DescribesAny(name) }
		text, err = nil, nil
		if !c.life.Reusable(up) {
			c.drop() // the rest is not worth reading
		}
	}
	if err != nil {
		return err
	}
	c.passHead(edit, http1.Framing{Kind: http1.Sized, Length: int64(len(text))}, closing)
	return c.passText(text)
}

// passEvents passes on a stream of events, each at once. Where something else
// comes, a request is told so by an event, and the stream ends.
func (c *conn) passEvents(from io.Reader, edit edits, closing bool) error {
	c.passHead(edit, http1.Framing{Kind: http1.Chunked}, closing)
	err := c.passRead(c.mcp.Answers(from, true, c.view.limits.BodyBytes, c.holdFilter))
	if !errors.Is(err, mcp.ErrUnreadable) || c.mcp.ID() == nil {
		return err
	}
	c.drop()
	return c.tellEvent(c.blame(err))
}
