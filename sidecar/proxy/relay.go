package proxy

import (
	"errors"
	"io"
	"os"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/memory"
)

// relay passes the answer on whose head was read. It tells whether another
// request may follow.
func (c *conn) relay(up *dial.Conn) bool {
	a := &c.answer
	if c.view.response.RefuseRedirects && isRedirect(a.Status) {
		c.drop()
		return c.fail(refusal{reason: scope.AnswerRefused, detail: redirected})
	}
	pending := a.Framing.Length > int64(up.Reader.Buffered()) || a.Framing.Kind > http1.Sized
	if pending && !c.life.Extend(c.began.Add(c.view.limits.StreamTimeout)) {
		return c.broken(os.ErrDeadlineExceeded)
	}
	if mcp.MediaOf(a.Fields) == mcp.Stream {
		c.life.Stream()
	}
	closing := c.closing()
	if err := c.pass(up, closing); err != nil {
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

// pass passes the answer on: its coding undone, cut, and masked. What an answer
// without a body says of one is what it would say with it.
func (c *conn) pass(up *dial.Conn, closing bool) error {
	c.masking.Start(c.view.swap.Mask())
	coding := answer.CodingOf(c.answer.Fields)
	switch {
	case c.speaksMCP():
		return c.passMCP(up, coding, closing)
	case c.cuts():
		return c.passCut(up, coding, closing)
	case coding == answer.Identity:
		return c.passWhole(up, closing)
	case c.bodiless() || c.answer.Framing.Empty():
		c.passHead(edits{dropped: answer.DescribesCoded, weak: true}, http1.Framing{}, closing)
		return c.writer.End()
	case coding == answer.Unknown || c.answer.Status == 206: // a part of what is coded means nothing
		return errCoding
	}
	return c.passDecoded(up, coding, closing)
}

// errCoding is an answer that cannot be searched for the secret.
var errCoding = errors.New("the answer has a content coding that is not undone")

// bodiless tells an answer that has no body.
func (c *conn) bodiless() bool {
	return c.head.Method == "HEAD" || c.answer.Status == 204 || c.answer.Status == 304
}

// passWhole passes an answer on as it comes.
func (c *conn) passWhole(up *dial.Conn, closing bool) error {
	c.passHead(edits{}, c.answer.Framing, closing)
	if _, err := c.writer.CopyBody(up.Reader.Body(), &c.masking); err != nil {
		return err
	}
	return c.writer.End()
}

// edits are what changes in the fields of an answer whose body is changed.
type edits struct {
	dropped func(name string) bool // nil: none
	weak    bool                   // its tag is
}

// passHead writes the head of the answer.
func (c *conn) passHead(e edits, framing http1.Framing, closing bool) {
	c.returned = true
	a, w := &c.answer, c.writer
	w.Response(a.Status, c.head.Method)
	for i := range a.Fields {
		if f := &a.Fields[i]; c.view.passes(f.Name) && (e.dropped == nil || !e.dropped(f.Name)) {
			c.passField(f.Name, f.Value, e.weak)
		}
	}
	if closing {
		w.ConnectionClose()
	}
	w.Body(framing)
}

// passField writes a field of the answer: with addresses of the upstream made
// the listener's, and without the secret.
func (c *conn) passField(name, value string, weak bool) {
	if weak && answer.IsETag(name) {
		value = answer.Weak(value)
	}
	m := c.view.swap.Mask()
	c.writer.Field(m.String(name), m.String(c.view.base.Value(name, value)))
}

// passDecoded passes on what a coded answer means.
func (c *conn) passDecoded(up *dial.Conn, coding answer.Coding, closing bool) error {
	decoder, err := answer.Decode(coding, &answer.Source{Body: up.Reader.Body(), Flush: c.writer.Flush})
	if err != nil {
		return err
	}
	defer decoder.Close()
	c.passHead(edits{dropped: answer.DescribesCoded, weak: true}, http1.Framing{Kind: http1.Chunked}, closing)
	return c.passRead(decoder)
}

// passRead passes on what is read from a body that is not the upstream's own
// any more, and ends the answer.
func (c *conn) passRead(from io.Reader) error {
	lent := memory.Text()
	defer func() { memory.Release(lent, *lent) }()
	*lent = slices.Grow(*lent, decodedAtOnce)
	for {
		n, err := from.Read((*lent)[:decodedAtOnce])
		_, _ = c.writer.Write(c.masking.Pass((*lent)[:n])) // its error sticks
		switch {
		case errors.Is(err, io.EOF):
			_, _ = c.writer.Write(c.masking.Rest())
			return c.writer.End()
		case err != nil:
			return err
		}
	}
}

const decodedAtOnce = 16 << 10

// passCut passes on what is kept of an answer. One that cannot be cut keeps
// its status and loses its body.
func (c *conn) passCut(up *dial.Conn, coding answer.Coding, closing bool) error {
	kept, ok, err := c.cutAnswer(up, coding)
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
	c.passHead(edits{dropped: dropped, weak: coding != answer.Identity}, framing, closing)
	return c.passText(kept)
}

// passText passes on a body that was read whole, and ends the answer. Errors of
// the writer stick.
func (c *conn) passText(text []byte) error {
	for part := range slices.Chunk(text, decodedAtOnce) { // masking copies what it passes
		_, _ = c.writer.Write(c.masking.Pass(part))
	}
	_, _ = c.writer.Write(c.masking.Rest())
	return c.writer.End()
}

// cuts tells whether something may be missing from the answer.
func (c *conn) cuts() bool {
	for _, keeps := range c.keeps {
		if len(keeps) > 0 {
			return true
		}
	}
	return false
}

// cutAnswer reads the answer's body and returns what is kept of it, and
// whether it could be cut.
func (c *conn) cutAnswer(up *dial.Conn, coding answer.Coding) (kept []byte, ok bool, err error) {
	if c.bodiless() {
		return nil, true, nil
	}
	if cut.IsJSON(c.answer.Fields) && coding != answer.Unknown {
		if kept, ok, err = c.cutJSON(up.Reader.Body(), coding); err != nil {
			return nil, false, err
		}
	}
	if !c.life.Reusable(up) {
		c.drop() // the rest is not worth reading
	}
	return kept, ok, nil
}

// cutJSON reads a body and returns what is kept of it, nothing where it is too
// large or cannot be decoded.
func (c *conn) cutJSON(body *http1.Body, coding answer.Coding) (kept []byte, ok bool, err error) {
	lent := memory.Text()
	text, err := c.readAnswer(body, coding, *lent)
	if err == nil {
		kept, ok = c.cut(text)
	}
	memory.Release(lent, text)
	if bad := (*http1.Error)(nil); errors.As(err, &bad) && bad.Err == nil || unreadable(err) {
		err = nil // it did not break off, and nothing more is read of it
	}
	return kept, ok, err
}

// readAnswer appends the whole body, decoded, to dst.
func (c *conn) readAnswer(body *http1.Body, coding answer.Coding, dst []byte) ([]byte, error) {
	from, limit := io.Reader(body), c.view.limits.BodyBytes
	if coding == answer.Identity {
		body.Limit(limit)
	} else {
		decoder, err := answer.Decode(coding, body)
		if err != nil {
			return dst, err
		}
		defer decoder.Close()
		from = decoder
	}
	dst, err := c.readAll(dst, from, limit)
	if err == nil && int64(len(dst)) > limit {
		err = answer.ErrInflated
	}
	return dst, err
}

// readAll appends what is read from the answer to dst: all of it, or where it is
// longer than limit, more than that of it.
func (c *conn) readAll(dst []byte, from io.Reader, limit int64) ([]byte, error) {
	for int64(len(dst)) <= limit {
		if len(dst) == cap(dst) {
			room := max(leastBody, len(dst)/4)
			if err := c.server.memory.Hold(&c.tells, int64(len(dst)+room)); err != nil {
				return dst, err
			}
			dst = slices.Grow(dst, room)
		}
		n, err := from.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
	return dst, nil
}

// unreadable tells an answer whose coding cannot be undone.
func unreadable(err error) bool {
	return errors.Is(err, errCoding) || errors.Is(err, answer.ErrCoding) || errors.Is(err, answer.ErrInflated)
}

// cut returns what each of the layers keeps of a text.
func (c *conn) cut(text []byte) (kept []byte, ok bool) {
	defer c.server.parsing.Take(len(text))()
	for _, keeps := range c.keeps {
		if len(keeps) == 0 {
			continue
		}
		if kept, ok = cut.JSON(text, keeps); !ok {
			return nil, false
		}
		text = kept
	}
	return kept, ok
}

// redirected is told of a redirect that is refused.
const redirected = "the upstream answered with a redirect, which this credential does not pass on"

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
	if c.life.Up() != nil {
		_ = c.life.Up().Close() // what is under way on it is given up
		c.life.Bind(nil)
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
	case !c.returned || c.call != nil: // a call says how it ended behind its answer
		return c.fail(c.settle(why))
	}
	c.stats().Failed(why.reason)
	_ = c.record(audit.Outcome, nil, why) // the exchange is broken already
	return false
}

// blame finds the reason of a broken exchange; there is none where the agent
// is gone.
func (c *conn) blame(err error) refusal {
	ended := c.life.Why()
	if ended != lifetime.Alive && ended != lifetime.TimeIsUp {
		return ofEnd(ended)
	}
	if c.call != nil {
		return c.blameCall(err, ended)
	}
	return c.blameExchange(err, ended)
}

// blameExchange finds the reason of an exchange that broke over HTTP/1.1.
func (c *conn) blameExchange(err error, ended scope.Reason) refusal {
	bad, unreachable, answered := (*bodyError)(nil), (*dial.Error)(nil), (*http1.Error)(nil)
	switch {
	case errors.As(err, &bad):
		return malformed(bad.err)
	case errors.As(err, &unreachable):
		return c.unreached(unreachable, ended)
	case errors.As(err, &answered):
		return ofAnswer(answered)
	case errors.Is(err, memory.ErrFull):
		return unheld
	case unreadable(err), errors.Is(err, mcp.ErrUnreadable):
		return ofUnreadable(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal{reason: scope.UpstreamTimeout}
	case c.returned || errors.Is(err, errLost):
		return refusal{}
	}
	return refusal{reason: scope.UpstreamUnreachable}
}

// ofEnd is the refusal of an exchange that was ended from outside.
func ofEnd(why scope.Reason) refusal {
	switch why {
	case lifetime.Left:
		return refusal{} // there is nobody to tell
	case lifetime.Stopped:
		return refusal{reason: scope.NotReady, detail: "the sidecar is being stopped", close: true}
	}
	return refusal{reason: why, close: true}
}

// ofUnreadable is the refusal of an answer that was not understood.
func ofUnreadable(err error) refusal {
	if errors.Is(err, mcp.ErrUnreadable) {
		return refusal{reason: scope.AnswerRefused, detail: "the server's answer is not one message of the protocol, or could be read in two ways"}
	}
	return refusal{reason: scope.AnswerRefused, detail: "the upstream's answer has a content coding that cannot be undone, so that it could not be searched for the credential: ask the upstream for none"}
}

// unreached is the refusal of an exchange whose upstream was not connected to.
func (c *conn) unreached(e *dial.Error, ended scope.Reason) refusal {
	if ended == lifetime.TimeIsUp { // connecting was cut short
		return refusal{reason: scope.UpstreamTimeout}
	}
	c.server.log.Warn("upstream not reached", "credential", c.listener.holder.name, "error", e)
	return refusal{reason: e.Reason}
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
