package grpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
)

// The ways in which an answer cannot be passed on.
var (
	errNoCall   = &Error{scope.AnswerRefused, "the upstream's answer is none of gRPC"}
	errPrefix   = &Error{scope.AnswerRefused, "a message of the upstream begins with neither 0 nor 1"}
	errCoding   = &Error{scope.AnswerRefused, "a message of the upstream is compressed in a way that is not undone, so that it could not be searched for the credential"}
	errInflated = &Error{scope.AnswerRefused, "a compressed message of the upstream is too large to be searched for the credential"}
	errEndless  = &Error{scope.AnswerRefused, "a message of the upstream says that it has more than 512 MiB, which none has"}
	errBroken   = &Error{scope.UpstreamUnreachable, "the upstream broke off its answer"}
)

// maxMessage bounds a message that is passed on as it comes, in bytes. The four bytes
// of a greater length could be the beginning of a credential, of which the text would
// then show the rest.
const maxMessage = 512 << 20

// ErrLost is an agent that is gone: there is nobody to answer.
var ErrLost = errors.New("the agent is gone")

// Editing says what of an answer goes to the agent.
type Editing struct {
	// Field returns a field as it is passed on; not ok: not at all.
	Field   func(name, value string) (string, string, bool)
	Masking *mask.Stream
	Mask    mask.Mask
	Message int64 // bytes that a message may have that has to be read whole
}

// Pass passes the upstream's answer on: its head, messages as they come, and
// trailers. The secret is masked in each of them. An error is an [*Error],
// [ErrLost], or what broke the call.
func (c *Call) Pass(e *Editing) error {
	defer func() { _ = c.answer.Body.Close() }() // nothing more is read of it
	called, err := c.readable()
	if err != nil {
		return err
	}
	c.passHead(e, called)
	if !called {
		c.told = true
		return nil
	}
	c.scrap = scraps.Get().(*[]byte)
	defer scraps.Put(c.scrap)
	for {
		err := c.passMessage(e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	c.passTrailers(e)
	c.told = true
	return nil
}

// readable tells whether the answer is one to a call. Any other keeps its status
// and loses its body, unless it says that all is well.
func (c *Call) readable() (called bool, err error) {
	h := c.answer.Header
	media := h["Content-Type"]
	called = len(media) == 1 && grpc.IsCall(media[0])
	switch {
	case !called && c.answer.StatusCode < 300:
		return false, errNoCall
	case called && len(h["Content-Encoding"]) > 0:
		return false, errCoding
	}
	return called, nil
}

// passHead passes the head on, and with it all of an answer that has nothing
// else.
func (c *Call) passHead(e *Editing, called bool) {
	c.began = true
	h := c.writer.Header()
	pass(e, c.answer.Header, h, "", func(name string) bool {
		// What is compressed comes without that.
		return text.EqualFold(name, "Grpc-Encoding") || !called && cut.DescribesAny(name)
	})
	if len(h["Date"]) == 0 {
		h["Date"] = nil // or net/http would add one
	}
	c.writer.WriteHeader(c.answer.StatusCode)
	if called && c.answer.Body != http.NoBody && c.answer.ContentLength != 0 {
		_ = c.flush() // the next one tells
	}
}

// passTrailers passes on what follows the messages.
func (c *Call) passTrailers(e *Editing) {
	pass(e, c.answer.Trailer, c.writer.Header(), http.TrailerPrefix, func(string) bool { return false })
}

// pass passes fields on that are meant for the agent, with something before their
// names.
func pass(e *Editing, from, to http.Header, before string, dropped func(name string) bool) {
	for name, values := range from {
		if http1.IsHopByHop(name) || dropped(name) {
			continue
		}
		for _, value := range values {
			if name, value, ok := e.Field(name, value); ok {
				to[before+name] = append(to[before+name], value)
			}
		}
	}
}

func (c *Call) flush() error { return http.NewResponseController(c.writer).Flush() }

// scraps has memory for what is passed on.
var scraps = sync.Pool{New: func() any { b := make([]byte, scrapBytes); return &b }}

const scrapBytes = 16 << 10

// passMessage passes one message on; io.EOF: there is none.
func (c *Call) passMessage(e *Editing) error {
	var prefix [prefixBytes]byte
	switch _, err := io.ReadFull(c.answer.Body, prefix[:]); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return c.broken(err)
	}
	length := int64(binary.BigEndian.Uint32(prefix[1:]))
	switch {
	case prefix[0] > 1:
		return errPrefix
	case prefix[0] == 1:
		return c.passCoded(e, length)
	case length > maxMessage:
		return errEndless
	}
	if err := c.write(prefix[:]); err != nil {
		return err
	}
	return c.passText(e, length)
}

// passText passes on what a message says, as it comes.
func (c *Call) passText(e *Editing, length int64) error {
	e.Masking.Start(e.Mask)
	for length > 0 {
		n, err := c.answer.Body.Read((*c.scrap)[:min(length, scrapBytes)])
		length -= int64(n)
		if err := c.write(e.Masking.Pass((*c.scrap)[:n])); err != nil {
			return err
		}
		if err != nil && length > 0 {
			return c.broken(err)
		}
		if err := c.flushed(); err != nil {
			return err
		}
	}
	if err := c.write(e.Masking.Rest()); err != nil {
		return err
	}
	return c.flushed()
}

// passCoded passes on what a compressed message means.
func (c *Call) passCoded(e *Editing, length int64) error {
	coding, known := map[string]answer.Coding{"gzip": answer.Gzip, "deflate": answer.Deflate}[c.answer.Header.Get("Grpc-Encoding")]
	switch {
	case !known:
		return errCoding
	case length > e.Message:
		return errInflated
	}
	coded := bytes.Buffer{} // memory follows the bytes that come, not the length that is claimed
	if _, err := io.CopyN(&coded, c.answer.Body, length); err != nil {
		return c.broken(err)
	}
	message, err := decode(coding, &coded, e.Message)
	if err != nil {
		return err
	}
	e.Masking.Start(e.Mask)
	head := slices.Clone(e.Masking.Pass(message[prefixBytes:]))
	whole := append(head, e.Masking.Rest()...)
	binary.BigEndian.PutUint32(message[1:prefixBytes], uint32(len(whole))) //nolint:gosec // G115: bounded by e.Message
	if err := c.write(append(message[:prefixBytes:prefixBytes], whole...)); err != nil {
		return err
	}
	return c.flushed()
}

// decode returns room for a prefix, and what a message of at most most bytes
// means.
func decode(coding answer.Coding, from io.Reader, most int64) ([]byte, error) {
	d, err := answer.Decode(coding, from)
	if err != nil {
		return nil, errCoding
	}
	defer d.Close()
	out := bytes.NewBuffer(make([]byte, prefixBytes))
	switch n, err := io.Copy(out, io.LimitReader(d, most+1)); {
	case n > most || errors.Is(err, answer.ErrInflated):
		return nil, errInflated
	case err != nil:
		return nil, errCoding
	}
	return out.Bytes(), nil
}

// broken is why an answer ended too early.
func (c *Call) broken(err error) error {
	if c.ctx.Err() != nil {
		return err // it was ended here, for a reason that is known elsewhere
	}
	return errBroken
}

func (c *Call) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := c.writer.Write(p); err != nil {
		return ErrLost
	}
	return nil
}

func (c *Call) flushed() error {
	if c.flush() != nil {
		return ErrLost
	}
	return nil
}
