package proxy

import (
	"errors"
	"os"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// relay passes the answer on whose head was read. It tells whether another
// request may follow.
func (c *conn) relay(up *dial.Conn) bool {
	a := &c.answer
	if c.view.response.RefuseRedirects && isRedirect(a.Status) {
		c.drop()
		return c.fail(refusal{reason: scope.AnswerRefused, detail: "the upstream answered with a redirect, which this credential does not pass on"})
	}
	pending := a.Framing.Length > int64(up.Reader.Buffered()) || a.Framing.Kind > http1.Sized
	if pending && !c.life.extend(c.began.Add(c.view.limits.StreamTimeout)) {
		return c.broken(os.ErrDeadlineExceeded)
	}
	pass := c.passWhole
	if c.cuts() {
		pass = c.passCut
	}
	closing := c.closing()
	if err := pass(up, closing); err != nil {
		return c.broken(err)
	}
	if a.Close {
		c.drop()
	}
	if c.unsent {
		c.linger()
	}
	return !closing
}

// passWhole passes an answer on as it comes.
func (c *conn) passWhole(up *dial.Conn, closing bool) error {
	c.passHead(nil, c.answer.Framing, closing)
	if _, err := c.writer.CopyBody(up.Reader.Body()); err != nil {
		return err
	}
	return c.writer.End()
}

// passHead writes the head of the answer, without the fields that are dropped.
func (c *conn) passHead(dropped func(name string) bool, framing http1.Framing, closing bool) {
	c.returned = true
	a, w := &c.answer, c.writer
	w.Response(a.Status, c.head.Method)
	for i := range a.Fields {
		if name := a.Fields[i].Name; c.view.passes(name) && (dropped == nil || !dropped(name)) {
			w.Field(name, a.Fields[i].Value)
		}
	}
	if closing {
		w.ConnectionClose()
	}
	w.Body(framing)
}

// passCut passes on what is kept of an answer. One that cannot be cut keeps
// its status and loses its body.
func (c *conn) passCut(up *dial.Conn, closing bool) error {
	kept, ok, err := c.cutAnswer(up)
	if err != nil {
		return err
	}
	framing := http1.Framing{}
	if c.head.Method != "HEAD" { // whose length would be that of the whole
		framing = http1.Framing{Kind: http1.Sized, Length: int64(len(kept))}
	}
	dropped := cut.Describes
	if !ok {
		dropped = cut.DescribesAny
	}
	c.passHead(dropped, framing, closing)
	if _, err := c.writer.Write(kept); err != nil {
		return err
	}
	return c.writer.End()
}

// cutAnswer reads the answer's body and returns what is kept of it, and
// whether it could be cut.
func (c *conn) cutAnswer(up *dial.Conn) (kept []byte, ok bool, err error) {
	if c.head.Method == "HEAD" || c.answer.Status == 204 || c.answer.Status == 304 {
		return nil, true, nil
	}
	if cut.IsJSON(c.answer.Fields) {
		if kept, ok, err = c.cutJSON(up.Reader.Body()); err != nil {
			return nil, false, err
		}
	}
	if !c.life.reusable(up) {
		c.drop() // the rest is not worth reading
	}
	return kept, ok, nil
}

// cutJSON reads a body and returns what is kept of it, nothing where it is too
// large.
func (c *conn) cutJSON(body *http1.Body) (kept []byte, ok bool, err error) {
	memory := bodyMemory.Get().(*[]byte)
	text, err := body.AppendTo((*memory)[:0], c.view.limits.BodyBytes)
	if err == nil {
		kept, ok = c.cut(text)
	}
	if cap(text) <= mostKept {
		*memory = text[:0]
		bodyMemory.Put(memory)
	}
	if bad := (*http1.Error)(nil); errors.As(err, &bad) && bad.Err == nil {
		err = nil // it did not break off, and nothing more is read of it
	}
	return kept, ok, err
}

// cut returns what each of the layers keeps of a text.
func (c *conn) cut(text []byte) (kept []byte, ok bool) {
	for _, keeps := range c.keeps {
		if len(keeps) == 0 {
			continue
		}
		if kept, ok = c.cutter.Cut(nil, text, keeps); !ok {
			return nil, false
		}
		text = kept
	}
	return kept, ok
}

// isRedirect tells an answer that sends the client elsewhere.
func isRedirect(status int) bool { return status >= 300 && status < 400 && status != 304 }

// passes tells whether a field of an answer goes to the agent. A session that
// the upstream opens would be an authentication beside the credential.
func (v *view) passes(name string) bool {
	return v.response.KeepCookies || len(name) != len("Set-Cookie") && len(name) != len("Set-Cookie2") ||
		!text.EqualFold(name, "Set-Cookie") && !text.EqualFold(name, "Set-Cookie2")
}

// drop closes the connection to the upstream.
func (c *conn) drop() {
	if c.life.up != nil {
		_ = c.life.up.Close() // what is under way on it is given up
		c.life.bind(nil)
	}
}

// broken ends an exchange that err broke. Where a part of the answer may have
// been sent, the agent sees that it is not whole.
func (c *conn) broken(err error) bool {
	c.drop()
	why := c.blame(err)
	switch {
	case !why.is():
		return false
	case !c.returned:
		return c.fail(c.settle(why))
	}
	c.stats().Failed(why.reason)
	_ = c.record(audit.Outcome, nil, why) // the exchange is broken already
	return false
}

// blame finds the reason of a broken exchange; there is none where the agent
// is gone.
func (c *conn) blame(err error) refusal {
	switch ended := c.life.why(); ended {
	case alive, timeIsUp:
	case stopped:
		return refusal{reason: scope.NotReady, detail: "the sidecar is being stopped", close: true}
	default:
		return refusal{reason: ended, close: true}
	}
	bad, unreachable, answered := (*bodyError)(nil), (*dial.Error)(nil), (*http1.Error)(nil)
	switch {
	case errors.As(err, &bad):
		return malformed(bad.err)
	case errors.As(err, &unreachable):
		c.server.log.Warn("upstream not reached", "credential", c.listener.holder.name, "error", err)
		return refusal{reason: unreachable.Reason}
	case errors.As(err, &answered):
		return ofAnswer(answered)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal{reason: scope.UpstreamTimeout}
	case c.returned || errors.Is(err, errLost):
		return refusal{}
	}
	return refusal{reason: scope.UpstreamUnreachable}
}

// ofAnswer is the refusal of an answer that broke off, or that nobody should
// read.
func ofAnswer(e *http1.Error) refusal {
	switch {
	case e.Status == 504:
		return refusal{reason: scope.UpstreamTimeout}
	case e.Err != nil:
		return refusal{reason: scope.UpstreamUnreachable, detail: "the upstream broke off its answer"}
	}
	return refusal{reason: scope.AnswerRefused, detail: "the upstream's answer is malformed: " + e.Msg}
}
