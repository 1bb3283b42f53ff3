package proxy

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/credential/sigv4"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/websocket"
)

// aside is how much of a body is sent without an eye on the answer: what the
// buffers between here and the upstream take, so that no write waits long.
const aside = 64 << 10

var (
	// errLost is an agent that is gone: there is nobody to answer.
	errLost = errors.New("the agent is gone")
	// errUnsent is a connection that cannot carry the request, which is sent on another.
	errUnsent = errors.New("the connection has ended, or carries what nobody asked for")
)

// forward brings an allowed request to the upstream and its answer back. It
// tells whether another request may follow.
func (c *conn) forward(d *scope.Decision) bool {
	if c.call != nil {
		return c.forwardCall(d)
	}
	if c.speaksMCP() {
		c.life.Stream() // a client that has left has cancelled its request, or resumes the answer
	}
	up, err := c.upstream()
	if err == nil && c.head.ExpectContinue && c.writer.Continue() != nil {
		err = errLost
	}
	if err == nil {
		up, err = c.ask(up, d)
	}
	if err != nil {
		return c.broken(err)
	}
	if c.answer.Status == 101 {
		return c.socket(up)
	}
	return c.relay(up)
}

// upstream returns the connection that the last request was sent on, or
// another, or none.
func (c *conn) upstream() (*dial.Conn, error) {
	up := c.life.Up() // an exchange is under way: nobody takes it
	if up != nil {
		if c.view.target.Owns(up) && (c.inquires() || c.life.Reusable(up)) {
			up.Used = true
			return up, nil
		}
		_ = up.Close() // the peer has ended it, or it leads elsewhere
		c.life.Bind(nil)
	}
	return c.life.Dial(c.server.context, c.view.target.Get)
}

// ask sends the request and reads the head of the answer. A connection that
// died while it was idle is replaced where asking twice does no harm.
func (c *conn) ask(up *dial.Conn, d *scope.Decision) (*dial.Conn, error) {
	err := c.send(up, d)
	for errors.Is(err, errUnsent) && c.life.Why() == lifetime.Alive {
		if up, err = c.replace(up, c.view.target.Get); err == nil {
			err = c.send(up, d)
		}
	}
	if err == nil || !c.mayRepeat(up, err) {
		return up, err
	}
	if up, err = c.replace(up, c.view.target.Open); err == nil {
		err = c.send(up, d)
	}
	return up, err
}

// replace closes a connection that is dead, and opens another.
func (c *conn) replace(up *dial.Conn, open func(context.Context) (*dial.Conn, error)) (*dial.Conn, error) {
	_ = up.Close()
	c.life.Bind(nil)
	return c.life.Dial(c.server.context, open)
}

// mayRepeat tells whether the upstream has closed the connection before it
// could have read the request, and the request can do nothing twice: whether a
// request was read cannot be known, so only safe methods are sent again
// (RFC 9110, 9.2.2), and none with a body.
func (c *conn) mayRepeat(up *dial.Conn, err error) bool {
	e := (*http1.Error)(nil)
	safe := c.head.Method == "GET" || c.head.Method == "HEAD" || c.head.Method == "OPTIONS"
	return up != nil && up.Used && safe && c.head.Framing.Empty() && c.life.Why() == lifetime.Alive &&
		!errors.As(err, &e) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errLost)
}

// inquires tells that the request is sent, and its answer awaited, at once.
func (c *conn) inquires() bool { return c.framing().Empty() }

// inquire sends a request without a body that was written, unless up has ended or
// speaks unasked, and reads the head of the answer.
func (c *conn) inquire(up *dial.Conn) error {
	if !c.expect() {
		return os.ErrDeadlineExceeded
	}
	sent, err := up.Ask()
	switch {
	case !sent && c.life.Why() != lifetime.Alive:
		return os.ErrDeadlineExceeded
	case !sent:
		return errUnsent
	case err != nil:
		return err
	}
	return c.receiveHead(up)
}

// send writes the request, and reads the head of the answer to it. An error of
// the agent's body is a [bodyError].
func (c *conn) send(up *dial.Conn, d *scope.Decision) error {
	if err := c.writeHead(up.Writer, d); err != nil {
		return err
	}
	framing := c.framing()
	switch {
	case framing.Kind == http1.Chunked || framing.Length > aside:
		return c.sendLong(up)
	case up.Used && c.inquires():
		return c.inquire(up)
	}
	if err := c.copyBody(up.Writer); err != nil {
		if bad := (*bodyError)(nil); errors.As(err, &bad) || c.life.Why() != lifetime.Alive {
			return err
		}
		// It may have answered before it closed, such as with a 413.
		return c.receive(up, err)
	}
	return c.receive(up, nil)
}

// receive reads the head of the answer. sent is why sending failed, which is
// the error where there is no answer either.
func (c *conn) receive(up *dial.Conn, sent error) error {
	if !c.expect() {
		return os.ErrDeadlineExceeded
	}
	return c.reconcile(sent, c.receiveHead(up))
}

// expect sets the end of waiting for the answer, unless the life has ended. It runs
// from when the request had come, with its body.
func (c *conn) expect() bool {
	now := c.began
	if !c.head.Framing.Empty() {
		now = time.Now()
	}
	return c.life.Extend(c.until(now.Add(c.view.limits.AnswerTimeout)))
}

func (c *conn) receiveHead(up *dial.Conn) error {
	if c.head.Upgrade != "" {
		return up.Reader.ReadUpgrade(&c.answer)
	}
	return up.Reader.ReadResponse(&c.answer, c.head.Method)
}

// reconcile decides between why sending failed and why receiving did. An
// answer that came all the same is passed on.
func (c *conn) reconcile(sent, received error) error {
	if sent == nil {
		return received
	}
	partly := (*http1.Error)(nil)
	switch {
	case received == nil:
		c.answer.Close = true
		c.head.Close, c.unsent = true, true
	case !errors.As(received, &partly) && !errors.Is(sent, os.ErrDeadlineExceeded):
		return sent
	}
	return received
}

// until bounds a part of the exchange by the end of the whole.
func (c *conn) until(t time.Time) time.Time {
	if end := c.began.Add(c.view.limits.StreamTimeout); end.Before(t) {
		return end
	}
	return t
}

// writeHead writes what was judged, and the credential last.
func (c *conn) writeHead(w *http1.Writer, d *scope.Decision) error {
	v := c.view
	w.Request(c.head.Method, c.aim(d), v.target.Host)
	c.signed = c.signed[:0]
	c.writeFields(w, d)
	if c.speaksMCP() {
		c.mcp.Mirror(func(name, value string) { c.writeField(w, name, value) })
	}
	if c.head.Upgrade != "" {
		w.Upgrade(websocket.Protocol)
	}
	// No coding: what comes back has to be read for the secret.
	c.writeField(w, "Accept-Encoding", "identity")
	v.swap.Write(w)
	if err := c.sign(w); err != nil {
		return err
	}
	w.Body(c.framing())
	return nil
}

// aim returns the target that was judged, with the credential where it goes there.
// It is valid until the next.
func (c *conn) aim(d *scope.Decision) []byte {
	v := c.view
	c.target = scope.AppendTarget(c.target[:0], v.target.BasePath, &c.request, d)
	c.target = v.swap.AppendQuery(c.target, len(c.request.Query()) > 0)
	c.spell()
	return c.target
}

// writeFields writes the fields of the agent that go upstream, and those that the
// endpoint sets.
func (c *conn) writeFields(w credential.Fields, d *scope.Decision) {
	cuts := c.cuts()
	for i := range c.head.Fields {
		f := &c.head.Fields[i]
		if c.forwards(d, f.Name) && !(isRange(f.Name) && (cuts || c.dropsCondition(d))) {
			c.writeField(w, f.Name, f.Value)
		}
	}
	for i := range c.view.headers {
		c.writeField(w, c.view.headers[i].Name, c.view.headers[i].Value)
	}
}

// framing is how the body is sent: one that was judged whole by its length.
func (c *conn) framing() http1.Framing {
	if c.whole {
		return http1.Framing{Kind: http1.Sized, Length: int64(len(c.body))}
	}
	return c.head.Framing
}

// bodyError is a body of the agent that cannot be read to its end. The
// upstream never gets to see it as whole.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// copyBody sends the agent's body: what was read of it, and the rest.
func (c *conn) copyBody(w *http1.Writer) error {
	if _, err := w.Write(c.body); err != nil {
		return err
	}
	if c.whole {
		return w.End()
	}
	if _, err := w.CopyBody(c.reader.Body(), nil); err != nil {
		if e := (*http1.Error)(nil); errors.As(err, &e) {
			return &bodyError{err}
		}
		return err
	}
	return w.End()
}

// sendLong sends a body that may take its time while another goroutine waits
// for the answer. An answer that refuses the request ends the sending; any
// other is passed on when all was sent.
func (c *conn) sendLong(up *dial.Conn) error {
	received := make(chan error, 1)
	go func() {
		err := up.Reader.ReadResponse(&c.answer, c.head.Method)
		if err != nil || c.answer.Status >= 400 {
			c.life.Interrupt()
		}
		received <- err
	}()
	sent := c.copyBody(up.Writer)
	bad := (*bodyError)(nil)
	cut := errors.As(sent, &bad) && !c.life.Interrupted()
	switch {
	case sent == nil:
		c.life.Extend(c.until(time.Now().Add(c.view.limits.AnswerTimeout)))
	case cut:
		c.life.Sever()
	}
	err := <-received
	if cut {
		return sent // the answer, if there is one, is to half a request
	}
	c.life.Resume()
	return c.reconcile(sent, err)
}

// signable refuses a request that shows its token in a signature which cannot
// be replaced.
func (c *conn) signable() refusal {
	signer := c.view.swap.Signer()
	if signer == nil {
		return refusal{}
	}
	if r := signer.Refuses(c.head.Fields); r != nil {
		return refusal{reason: scope.ParameterRefused, status: r.Status, detail: r.Detail}
	}
	return refusal{}
}

// unsigned leaves an allowed request undecided while its body is still to be
// read, where the digest of that is signed: the length that is allowed is the
// shorter one of the grant's and of bodies that are read.
func (c *conn) unsigned(d scope.Decision) scope.Decision {
	signer := c.view.swap.Signer()
	if signer == nil || d.Verdict != scope.Allow || c.whole || c.head.Framing.Empty() || !signer.Whole(c.view.target.TLS) {
		return d
	}
	most := min(d.Body.MaxBytes, c.view.limits.BodyBytes)
	return scope.Decision{Verdict: scope.Undecided, Protocol: d.Protocol, Read: most, Most: most}
}

// writeField writes a field, and keeps it where it is to be signed.
func (c *conn) writeField(w credential.Fields, name, value string) {
	w.Field(name, value)
	if c.view.swap.Signer() != nil {
		c.signed = append(c.signed, scope.Field{Name: name, Value: value})
	}
}

// spell writes the target as it is signed, if it is.
func (c *conn) spell() {
	if c.view.swap.Signer() != nil {
		c.target = sigv4.Spell(nil, c.target)
	}
}

// sign signs what was written of the request, if that is how the credential is
// shown.
func (c *conn) sign(w *http1.Writer) error {
	signer := c.view.swap.Signer()
	if signer == nil {
		return nil
	}
	r := sigv4.Request{
		Method: c.head.Method, Target: string(c.target), Host: c.view.target.Host,
		Fields: c.signed, Digest: c.digest,
	}
	if f := c.framing(); f.Kind == http1.Sized {
		r.Length = f.Length
	}
	return signer.Sign(c.server.context, &r, c.server.now(), w.Field)
}

// trim lets a connection that is silent keep what usual requests need again, not
// what the largest one took.
func (c *conn) trim() {
	const bytes, fields = 2 << 10, 64
	if cap(c.path)+cap(c.target)+cap(c.problem) > bytes {
		c.path, c.target, c.problem = nil, nil, nil
	}
	if max(cap(c.head.Fields), cap(c.answer.Fields), cap(c.signed)) > fields {
		c.head, c.answer, c.signed = http1.RequestHead{}, http1.ResponseHead{}, nil
	}
	c.request.Release()
	if up := c.life.Up(); up != nil && c.server.room.Pins() >= int(c.listener.holder.most) {
		c.life.Bind(nil)
		c.giveUp(up, true)
	}
}
