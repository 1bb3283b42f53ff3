//go:build unix && !openbsd

package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// socket reads from a connection without owning a buffer while it waits: the
// buffer is taken when the kernel has bytes. It costs no system call more than
// a plain Read, and makes an idle connection cost next to nothing. One may read
// while another writes.
type socket struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // s.read, bound once
	push func(fd uintptr) bool // s.write, bound once
	look func(fd uintptr)      // s.peek, bound once

	unsent []byte // what push writes
	failed error  // of push

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
	s.step, s.push, s.look = s.read, s.write, s.peek
	return s
}

// sender returns what writes to dst with the least that it takes.
func sender(dst io.Writer) io.Writer {
	if s := newSocket(dst); s != nil {
		return s
	}
	return dst
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

// Write writes all of b. Deadlines of the connection hold.
func (s *socket) Write(b []byte) (int, error) {
	s.unsent, s.failed = b, nil
	err := s.raw.Write(s.push)
	n := len(b) - len(s.unsent)
	s.unsent = nil
	if err != nil {
		return n, err
	}
	return n, s.failed
}

func (s *socket) write(fd uintptr) bool {
	for len(s.unsent) > 0 {
		n, err := writeFD(fd, s.unsent)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil:
			s.failed = os.NewSyscallError("write", err)
			return true
		}
		s.unsent = s.unsent[n:]
	}
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

// readFD and writeFD are read(2) and write(2) on a descriptor that does not block.
// Such a call ends at once, so that it is made without telling the scheduler,
// which would else prepare to do other work meanwhile.
func readFD(fd uintptr, b []byte) (int, error) { return rawFD(syscall.SYS_READ, fd, b) }

func writeFD(fd uintptr, b []byte) (int, error) { return rawFD(syscall.SYS_WRITE, fd, b) }

func rawFD(trap, fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // G103: as syscall.Read does
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, syscall.EAGAIN // a constant: no memory is taken for it
		default:
			return 0, errno
		}
	}
}
