package grpc

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// prefixBytes stand before every message: whether it is compressed, and its
// length.
const prefixBytes = 5

// Error is why a call is not carried to its end.
type Error struct {
	Reason scope.Reason
	Detail string
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

// upload are the messages of the agent, as it sends them: each is delimited and
// bounded before its first byte is passed on.
type upload struct {
	from  io.ReadCloser
	most  int64 // bytes of a message
	total int64 // bytes that may still come
	coded bool  // a message may be compressed
	ended func()
	gone  func() bool // there is nobody to blame

	prefix [prefixBytes]byte
	unsent []byte // of prefix
	left   int64  // bytes of the message that are still to come
	failed atomic.Pointer[Error]
	closed atomic.Bool // nobody wants the rest
}

// Read reads messages. It returns io.EOF behind a whole one alone.
func (u *upload) Read(p []byte) (int, error) {
	if len(u.unsent) == 0 && u.left == 0 {
		if err := u.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.unsent)
	u.unsent = u.unsent[n:]
	room := p[n:]
	if int64(len(room)) > u.left {
		room = room[:u.left]
	}
	if len(room) == 0 {
		return n, nil
	}
	m, err := u.from.Read(room)
	u.left -= int64(m)
	switch {
	case errors.Is(err, io.EOF) && u.left == 0:
		err = nil // the next Read tells
	case err != nil:
		err = u.broken(err)
	}
	return n + m, err
}

// broken finds why the messages broke off.
func (u *upload) broken(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return u.fail(scope.Malformed, "the last message of the call is not whole")
	case u.closed.Load() || errors.Is(err, os.ErrDeadlineExceeded) || u.gone():
		return err // the reason is known elsewhere
	}
	return u.fail(scope.Malformed, "the call does not end as its Content-Length says")
}

// next reads what stands before the next message.
func (u *upload) next() error {
	switch _, err := io.ReadFull(u.from, u.prefix[:]); {
	case errors.Is(err, io.EOF):
		u.ended()
		return io.EOF
	case err != nil:
		return u.broken(err)
	}
	length := int64(binary.BigEndian.Uint32(u.prefix[1:]))
	u.total -= prefixBytes + length
	switch {
	case u.prefix[0] > 1:
		return u.fail(scope.Malformed, "a message of the call begins with neither 0 nor 1")
	case u.prefix[0] == 1 && !u.coded:
		return u.fail(scope.Malformed, "a message of the call is compressed, and grpc-encoding does not say how")
	case length > u.most:
		return u.fail(scope.TooLarge, "a message of the call has more than "+strconv.FormatInt(u.most, 10)+" bytes: send smaller ones")
	case u.total < 0:
		return u.fail(scope.TooLarge, "the messages of the call are too many")
	}
	u.unsent, u.left = u.prefix[:], length
	return nil
}

// fail remembers why the upload ends, since it is known better here than where
// it breaks.
func (u *upload) fail(reason scope.Reason, detail string) error {
	err := &Error{reason, detail}
	u.failed.Store(err)
	return err
}

// Close ends the upload. It may be called while another goroutine reads.
func (u *upload) Close() error {
	u.closed.Store(true)
	return u.from.Close()
}
