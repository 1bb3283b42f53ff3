package proxy

import (
	"errors"
	"io"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
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
	if !c.life.extend(c.began.Add(c.view.limits.StreamTimeout)) || c.passSwitch() != nil {
		return c.broken(errLost)
	}
	c.masking.Start(c.view.swap.Mask())
	toUp, toAgent := websocket.NewWriter(up, true), websocket.NewWriter(c.agent, false)
	down := websocket.Upstream{From: up.Reader.Tunnel(), Up: toUp, Back: toAgent, Mask: c.maskMessage}
	ended := make(chan error, 1)
	go func() {
		err := down.Run()
		_ = c.agent.SetReadDeadline(longAgo) // nothing more is taken from the agent
		ended <- err
	}()
	agent := websocket.Agent{From: c.reader.Tunnel(), Up: toUp, Back: toAgent, Most: c.view.limits.BodyBytes, Judge: c.judgeMessage}
	sent := agent.Run()
	c.life.sever() // nothing more is taken from the upstream
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

// judgeMessage decides about a message of the agent. A credential that has
// changed meanwhile ends the WebSocket: what was allowed may not be any more.
func (c *conn) judgeMessage(m *websocket.Message) error {
	if c.listener.view.Load() != c.view {
		return &websocket.Error{Code: websocket.GoingAway, Msg: "the credential has changed"}
	}
	if why := c.standing(c.server.now()); why.is() {
		return &messageError{why}
	}
	ask := func(p *scope.Policy) scope.Decision {
		return p.DecideMessage(&c.request, scope.Content{Data: m.Data, Whole: true, Binary: !m.Text})
	}
	older := c.askOlder(ask)
	d := ask(c.view.policy)
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
	switch ended := c.life.why(); {
	case ended != alive:
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
