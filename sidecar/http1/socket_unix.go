//go:build unix

package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// socket reads from a connection without owning a buffer while it waits: the
// buffer is taken when the kernel has bytes. It costs no system call more than
// a plain Read, and makes an idle connection cost next to nothing.
type socket struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // s.read, bound once
	look func(fd uintptr)      // s.peek, bound once
	size int
	buf  []byte
	n    int
	err  error

	parked atomic.Bool // the last read found nothing: it waits, or was broken off

	byte [1]byte // what look reads into
	calm bool    // what it found
}

// newSocket returns nil where src is no plain socket. What merely wraps or
// embeds one may have a Read of its own, which must not be passed by.
func newSocket(src any) *socket {
	var conn syscall.Conn
	switch c := src.(type) {
	case *net.TCPConn:
		conn = c
	case *net.UnixConn:
		conn = c
	default:
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.step, s.look = s.read, s.peek
	return s
}

// fill waits for bytes and returns them at the start of a buffer of at least
// size bytes. Deadlines of the connection hold.
func (s *socket) fill(size int) (buf []byte, n int, err error) {
	s.size, s.buf, s.n, s.err = size, nil, 0, nil
	if err := s.raw.Read(s.step); err != nil {
		return nil, 0, err
	}
	buf, s.buf = s.buf, nil
	return buf, s.n, s.err
}

func (s *socket) read(fd uintptr) bool {
	buf := getBuffer(s.size)
	n, err := readFD(fd, buf)
	if n <= 0 {
		putBuffer(buf)
	}
	switch {
	case errors.Is(err, syscall.EAGAIN):
		s.parked.Store(true)
		return false
	case err != nil:
		s.err = os.NewSyscallError("read", err)
	case n == 0:
		s.err = io.EOF
	default:
		s.buf, s.n = buf, n
	}
	s.parked.Store(false)
	return true
}

// quiet tells whether the peer has neither closed nor sent anything. It may
// swallow a byte: a connection that is not quiet is not used again.
func (s *socket) quiet() bool {
	s.calm = false
	return s.raw.Control(s.look) == nil && s.calm
}

func (s *socket) peek(fd uintptr) {
	_, err := readFD(fd, s.byte[:])
	s.calm = errors.Is(err, syscall.EAGAIN)
}

// gone tells whether the peer has closed its side, with nothing unread before
// that.
func (s *socket) gone() bool {
	n, err := s.next()
	return err == nil && n == 0 || err != nil && !errors.Is(err, syscall.EAGAIN)
}

// park says that a read past fill begins or has ended.
func (s *socket) park(now bool) {
	if s != nil {
		s.parked.Store(now)
	}
}

// waits tells whether the last read found nothing.
func (s *socket) waits() bool { return s.parked.Load() }

// unread tells whether bytes have come that nobody has read.
func (s *socket) unread() bool {
	n, err := s.next()
	return err == nil && n > 0
}

// next tells what a read would return. It reads nothing and waits for nothing, so
// that it may be asked while others use the socket.
func (s *socket) next() (n int, err error) {
	var b [1]byte
	closed := s.raw.Control(func(fd uintptr) {
		for {
			if n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	return n, errors.Join(closed, err)
}

func readFD(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), b)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
