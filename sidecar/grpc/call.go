package grpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
)

// Call is one request of an agent over HTTP/2, which may be a call. Its methods
// belong to one goroutine, but for those that end it.
type Call struct {
	writer http.ResponseWriter
	agent  *http.Request
	ctx    context.Context // of what is asked for the agent
	cancel context.CancelFunc

	up     upload
	answer *http.Response // of the upstream; nil: none yet
	began  bool           // some of an answer was given
	told   bool           // all of one was
	scrap  *[]byte        // memory for what is passed on

	mu       sync.Mutex
	answered bool // the head of the upstream's answer has come

	ending sync.Mutex
	over   bool // writer is of no use any more
}

func newCall(w http.ResponseWriter, r *http.Request) *Call {
	c := &Call{writer: w, agent: r}
	c.ctx, c.cancel = context.WithCancel(r.Context())
	return c
}

// SetDeadline ends what is under way for the call, from any goroutine: a deadline
// is set on a call to break it, at once. The agent can still be told why.
func (c *Call) SetDeadline(time.Time) error {
	c.cancel()
	c.ending.Lock()
	defer c.ending.Unlock()
	if c.over {
		return nil
	}
	// Who sends messages waits for more of them, and who passes them on for the
	// agent to read.
	w := http.NewResponseController(c.writer)
	return errors.Join(w.SetReadDeadline(longAgo), w.SetWriteDeadline(time.Now().Add(tellTimeout)))
}

// tellTimeout is how long an agent may take to be told why a call ends; then it
// is reset.
const tellTimeout = 2 * time.Second

// longAgo is a deadline that breaks every read at once.
var longAgo = time.Unix(1, 0)

// SetReadDeadline is SetDeadline.
func (c *Call) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// Close ends what is under way for the call.
func (c *Call) Close() error { return c.SetDeadline(longAgo) }

// finish ends the call for good.
func (c *Call) finish() {
	c.cancel()
	c.ending.Lock()
	defer c.ending.Unlock()
	c.over = true
}

// Lost tells whether the agent is gone or has given the call up.
func (c *Call) Lost() bool { return c.agent.Context().Err() != nil }

// Fields takes the fields of a request.
type Fields interface{ Field(name, value string) }

// Question is what is asked of an upstream.
type Question struct {
	To              http.RoundTripper
	Scheme          string
	Authority, Host string // where it is, and what it is called
	Target          string // as it is written on the wire
	Fields          func(Fields)
	Message, Total  int64 // bytes that one message may have, and all
	// Sent is called once all was sent, where there is no answer yet.
	Sent func()
}

// errTarget is a target that net/http would write otherwise.
var errTarget = &Error{scope.Malformed, "the path cannot be sent over HTTP/2 as it was judged"}

// Ask sends the call to the upstream, and waits for the head of its answer.
// Messages follow while that is waited for, and behind it.
func (c *Call) Ask(q *Question) error {
	r, err := c.request(q)
	if err != nil {
		return err
	}
	c.answer, err = q.To.RoundTrip(r) //nolint:bodyclose // Pass closes it, or the end of the call does
	c.mu.Lock()
	c.answered = true
	c.mu.Unlock()
	return err
}

// request makes what is sent of what was judged.
func (c *Call) request(q *Question) (*http.Request, error) {
	at, err := url.ParseRequestURI(q.Target)
	if err != nil || at.Host != "" || at.RequestURI() != q.Target {
		return nil, errTarget
	}
	at.Scheme, at.Host = q.Scheme, q.Authority
	h := header{
		"Te": {"trailers"},
		// No coding: what comes back has to be read for the secret.
		"Accept-Encoding": {"identity"}, "Grpc-Accept-Encoding": {"identity"},
	}
	q.Fields(h)
	r := &http.Request{Method: http.MethodPost, URL: at, Host: q.Host, Header: http.Header(h), ContentLength: -1}
	if _, given := r.Header["User-Agent"]; !given {
		r.Header["User-Agent"] = nil // or net/http would say something
	}
	if c.agent.ContentLength == 0 {
		r.ContentLength = 0
		return r.WithContext(c.ctx), nil
	}
	c.up = upload{
		from: c.agent.Body, most: q.Message, total: q.Total, ended: func() { c.sent(q.Sent) },
		coded: codedBy(r.Header.Get("Grpc-Encoding")), gone: func() bool { return c.ctx.Err() != nil },
	}
	r.Body = &c.up
	return r.WithContext(c.ctx), nil
}

// codedBy tells whether a grpc-encoding says how messages are compressed.
func codedBy(coding string) bool { return coding != "" && coding != "identity" }

// sent calls then unless the answer has begun.
func (c *Call) sent(then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered {
		then()
	}
}

// Fault is why the agent's messages could not be sent; nil where that was not
// their fault.
func (c *Call) Fault() *Error { return c.up.failed.Load() }

// Status is that of HTTP in the upstream's answer.
func (c *Call) Status() int { return c.answer.StatusCode }

// Means reports whether the agent means a call, so that it reads a status of
// gRPC.
func (c *Call) Means() bool { return grpc.IsCall(c.agent.Header.Get("Content-Type")) }
