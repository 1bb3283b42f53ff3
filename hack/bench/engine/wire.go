package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// wire is one connection: of the upstream's side, or of the load.
type wire struct {
	fd, epoll int
	in        []byte
	n         int    // bytes of in that have come
	out       []byte // goes out next; it is not changed
	blocked   bool   // out waits until the other side reads
	secure    *secure
	asker     *asker // nil: the upstream's side
}

func (w *wire) watch(operation int, events uint32) error {
	return unix.EpollCtl(w.epoll, operation, w.fd, &unix.EpollEvent{Events: events, Fd: int32(w.fd)})
}

// errLater says that nothing has come yet. It is temporary in the sense of
// crypto/tls, which goes on after it.
var errLater net.Error = later{}

type later struct{}

func (later) Error() string   { return "nothing has come yet" }
func (later) Timeout() bool   { return true }
func (later) Temporary() bool { return true }

// fill reads what has come. The error is errLater, io.EOF or a broken
// connection's.
func (w *wire) fill() error {
	if w.n == len(w.in) {
		return errors.New("a message has more than was sent")
	}
	var n int
	var err error
	if w.secure != nil {
		n, err = w.secure.conn.Read(w.in[w.n:])
	} else {
		n, err = read(w.fd, w.in[w.n:], 0)
	}
	w.n += n
	return err
}

// skip reads up to n bytes that nobody looks at: the kernel does not copy them.
func (w *wire) skip(n int, scratch []byte) (int, error) {
	return read(w.fd, scratch[:min(n, len(scratch))], unix.MSG_TRUNC)
}

func read(fd int, b []byte, flags int) (int, error) {
	n, err := receive(fd, b, flags)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, errLater
	case err != nil:
		return 0, fmt.Errorf("receiving: %w", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// send sends b behind what was sent before. It is not to be changed afterwards.
func (w *wire) send(b []byte) error {
	switch {
	case w.secure != nil:
		w.secure.plain = b
	case len(w.out) > 0:
		return errors.New("a message is sent before the last one was")
	default:
		w.out = b
	}
	return w.flush()
}

// flush writes as much as the other side takes.
func (w *wire) flush() error {
	for w.more() {
		n, err := send(w.fd, w.out)
		if errors.Is(err, unix.EAGAIN) {
			return w.block(true)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("sending: %w", err)
		}
		w.out = w.out[max(n, 0):]
	}
	return w.block(false)
}

// more tells whether there is something to write.
func (w *wire) more() bool {
	if len(w.out) == 0 && w.secure != nil {
		w.out = w.secure.seal()
	}
	return len(w.out) > 0
}

func (w *wire) block(blocked bool) error {
	if blocked == w.blocked {
		return nil
	}
	w.blocked = blocked
	events := uint32(unix.EPOLLIN)
	if blocked {
		events |= unix.EPOLLOUT
	}
	return w.watch(unix.EPOLL_CTL_MOD, events)
}

// secure is the TLS of a wire of the upstream. crypto/tls reads and writes
// through it: what it seals is kept until the wire takes it.
type secure struct {
	fd      int
	conn    *tls.Conn
	plain   []byte // to be sealed
	sealed  []byte
	waiting bool // in the handshake reads wait, and writes go out at once
}

// handshake lets the proxy connect by TLS. The load stands still meanwhile:
// connections are kept, so that this is over when the proxy is warm.
func (w *wire) handshake(config *tls.Config) error {
	w.secure = &secure{fd: w.fd, waiting: true}
	w.secure.conn = tls.Server(w.secure, config)
	err := w.secure.conn.Handshake()
	w.secure.waiting = false
	return err
}

// seal makes records of the next part of what is to be sent.
func (s *secure) seal() []byte {
	const part = 64 << 10
	now := s.plain[:min(part, len(s.plain))]
	s.plain = s.plain[len(now):]
	if len(now) == 0 {
		return nil
	}
	s.sealed = s.sealed[:0]
	_, _ = s.conn.Write(now) // to memory
	return s.sealed
}

// Read is for crypto/tls.
func (s *secure) Read(b []byte) (int, error) {
	for {
		n, err := read(s.fd, b, 0)
		if !errors.Is(err, errLater) || !s.waiting {
			return n, err
		}
		if err := await(s.fd, unix.POLLIN); err != nil {
			return 0, err
		}
	}
}

// Write is for crypto/tls.
func (s *secure) Write(b []byte) (int, error) {
	if !s.waiting {
		s.sealed = append(s.sealed, b...)
		return len(b), nil
	}
	for sent := 0; sent < len(b); {
		n, err := send(s.fd, b[sent:])
		if errors.Is(err, unix.EAGAIN) {
			err = await(s.fd, unix.POLLOUT)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return sent, err
		}
		sent += max(n, 0)
	}
	return len(b), nil
}

func await(fd int, events int16) error {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(patience.Milliseconds()))
	if n == 0 && err == nil {
		return os.ErrDeadlineExceeded
	}
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// The rest of a net.Conn, which crypto/tls asks for little of.
func (s *secure) Close() error                   { return nil }
func (*secure) LocalAddr() net.Addr              { return nil }
func (*secure) RemoteAddr() net.Addr             { return nil }
func (*secure) SetDeadline(time.Time) error      { return nil }
func (*secure) SetReadDeadline(time.Time) error  { return nil }
func (*secure) SetWriteDeadline(time.Time) error { return nil }
