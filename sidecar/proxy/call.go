package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/grpc"
)

// opensHTTP2 tells whether HTTP/2 is spoken on the connection, as it may be where
// calls are granted.
func (c *conn) opensHTTP2() bool {
	if !c.listener.calls.Load() || !c.begin() {
		return false
	}
	opens, err := c.reader.HasPrefix(grpc.Preface)
	return c.life.rest(time.Now()) && opens && err == nil
}

// serveCalls takes calls until one side has had enough, and waits for those that
// are under way.
func (c *conn) serveCalls() {
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
	c.life.endIdle()
	if calls := c.calls.Load(); calls != nil {
		calls.Drain(ctx)
	}
}

// serveCall carries one call, which is judged and ended like any other request.
func (c *conn) serveCall(call *grpc.Call) {
	if !c.life.join() {
		return
	}
	one := &conn{server: c.server, listener: c.listener, call: call}
	one.life = life{agent: call}
	one.life.rest(time.Now())
	one.full = c.server.connections() >= maxConnections && !c.server.makeRoom()
	c.listener.add(one)
	defer func() {
		if v := recover(); v != nil { // as in close
			c.server.log.Error("serving a call failed", "credential", c.listener.holder.name)
		}
		c.listener.remove(one)
		c.life.part(time.Now())
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
		c.life.extend(c.began.Add(v.limits.StreamTimeout))
	}
	total := int64(0) // of an upload that nothing bounds
	if d.Body != nil {
		total = d.Body.MaxBytes
	}
	q := grpc.Question{
		To: v.target.HTTP2(), Scheme: v.target.Scheme(), Authority: v.target.Authority, Host: v.target.Host, Target: c.aim(d),
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
	c.life.extend(c.began.Add(v.limits.StreamTimeout))
	if err := c.call.Pass(&grpc.Editing{Field: c.passCallField, Masking: &c.masking, Mask: v.swap.Mask(), Message: v.limits.BodyBytes}); err != nil {
		return c.broken(err)
	}
	return false
}

// awaitAnswer sets the end of waiting for the answer to what was sent whole.
func (c *conn) awaitAnswer() {
	c.life.extend(c.until(time.Now().Add(c.view.limits.AnswerTimeout)))
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
	case ended == timeIsUp:
		return refusal{reason: scope.UpstreamTimeout}
	case c.call.Lost() || errors.Is(err, grpc.ErrLost):
		return refusal{}
	case errors.As(err, &known):
		return refusal{reason: known.Reason, detail: known.Detail}
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
