//go:build unix && !openbsd

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Socket reads from a connection without owning a buffer while it waits: the
// buffer is taken when the kernel has bytes. It makes an idle connection cost
// next to nothing. One may read while another writes. Deadlines of the
// connection hold.
type Socket struct {
	raw  syscall.RawConn
	send func(fd uintptr, b []byte) (int, error)
	step func(fd uintptr) bool // s.fill or s.read, bound once
	push func(fd uintptr) bool // s.write, bound once
	look func(fd uintptr)      // s.peek, bound once

	unsent []byte // what push writes
	failed error  // of push
	brief  bool   // push does not wait

	// Of the read under way.
	from  Buffers // nil: into is there already
	size  int
	into  []byte
	n     int
	err   error
	woken bool // it has waited
	hasty bool // it does not wait
	found bool // something, since hasty or question was set

	question func() error // is sent before a read waits; nil: nothing is
	asked    bool         // it was called
	unasked  error        // what it returned

	parked atomic.Bool // the last read found nothing: it waits, or was broken off

	byte [1]byte // what look reads into
	calm bool    // what it found
}

// Of returns nil where src is no plain socket, nor a file. What merely wraps or
// embeds one may have a Read of its own, which must not be passed by. Of a file only
// one that does not block, such as a pipe that takes deadlines, may be written so;
// none is read.
func Of(src any) *Socket {
	var conn syscall.Conn
	s := &Socket{send: send}
	switch c := src.(type) {
	case *net.TCPConn:
		conn = c
	case *net.UnixConn:
		conn = c
	case *os.File:
		conn, s.send = c, put
	case *Conn:
		return Of(c.Conn)
	default:
		return nil
	}
	var err error
	if s.raw, err = conn.SyscallConn(); err != nil {
		return nil
	}
	s.step, s.push, s.look = s.read, s.write, s.peek
	return s
}

// Fill waits for bytes and returns them at the start of a buffer of at least
// size bytes, which belongs to the caller.
func (s *Socket) Fill(size int, from Buffers) (buf []byte, n int, err error) {
	s.from, s.size = from, size
	err = s.await()
	buf, s.into, s.from = s.into, nil, nil
	return buf, s.n, err
}

// Read waits for bytes and puts them into p.
func (s *Socket) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.into = p
	err = s.await()
	s.into = nil
	return s.n, err
}

// Hurry has reads return [os.ErrDeadlineExceeded] where nothing has come, up to
// Relax. Both are for the goroutine that reads.
func (s *Socket) Hurry() { s.hasty, s.found = true, false }

// Relax has reads wait again, and tells whether any has found something since
// Hurry.
func (s *Socket) Relax() (found bool) {
	s.hasty = false
	return s.found
}

// Ask has the next read call send when nothing has come, right before it waits:
// what it returns has come after that. A read that finds something does not call
// send, and none that follows does, nor waits, up to Asked. Both are for the
// goroutine that reads.
func (s *Socket) Ask(send func() error) {
	s.question, s.found, s.asked, s.unasked = send, false, false, nil
}

// Asked has reads wait again, and tells whether send was called, and what it
// returned. After an error the read did not wait.
func (s *Socket) Asked() (called bool, err error) {
	s.question = nil
	return s.asked, s.unasked
}

func (s *Socket) await() error {
	s.n, s.err, s.woken = 0, nil, false
	if err := s.raw.Read(s.step); err != nil {
		return err
	}
	return s.err
}

// read is called until it tells that the read is over: after each time that it did
// not, once the kernel says that there is something.
func (s *Socket) read(fd uintptr) bool {
	if s.woken {
		arrivals.pass()
	}
	switch {
	case s.take(fd):
		s.found = true
		s.parked.Store(false)
		return true
	case s.hasty || !s.ask():
		s.err = os.ErrDeadlineExceeded
		return true
	}
	s.parked.Store(true)
	s.woken = true // when it is called again
	return false
}

// ask sends what the read is to be the answer to, if anything, and tells whether
// there is something to wait for. What was sent within the read needs no other look
// before it waits: the poller keeps what comes from the beginning of the read on.
func (s *Socket) ask() bool {
	send := s.question
	if send == nil || s.found {
		return send == nil
	}
	s.question, s.asked = nil, true
	s.unasked = send()
	return s.unasked == nil
}

// take reads what is there, and tells whether anything was.
func (s *Socket) take(fd uintptr) bool {
	buf := s.into
	if s.from != nil {
		buf = s.from.Get(s.size)
	}
	n, err := receive(fd, buf)
	if n <= 0 && s.from != nil {
		s.from.Put(buf)
	}
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false
	case err != nil:
		s.err = os.NewSyscallError("read", err)
	case n == 0:
		s.err = io.EOF
	default:
		s.into, s.n = buf, n
	}
	return true
}

// Write writes all of b.
func (s *Socket) Write(b []byte) (int, error) {
	s.unsent, s.failed = b, nil
	err := s.raw.Write(s.push)
	n := len(b) - len(s.unsent)
	s.unsent = nil
	if err != nil {
		return n, err
	}
	return n, s.failed
}

// WriteNow writes what goes without waiting, and returns how much that was. Why it
// is not all, a Write of the rest tells.
func (s *Socket) WriteNow(b []byte) int {
	s.brief = true
	n, _ := s.Write(b) // as above
	s.brief = false
	return n
}

func (s *Socket) write(fd uintptr) bool {
	for len(s.unsent) > 0 {
		n, err := s.send(fd, s.unsent)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return s.brief
		case err != nil:
			s.failed = os.NewSyscallError("write", err)
			return true
		}
		s.unsent = s.unsent[n:]
	}
	return true
}

// Quiet tells whether the peer has neither closed nor sent anything. It may
// swallow a byte: a connection that is not quiet is not to be used again.
func (s *Socket) Quiet() bool {
	s.calm = false
	return s.raw.Control(s.look) == nil && s.calm
}

func (s *Socket) peek(fd uintptr) {
	_, err := receive(fd, s.byte[:])
	s.calm = errors.Is(err, syscall.EAGAIN)
}

// Gone tells whether the peer has closed its side, with nothing unread before
// that. Like Unread and Waits it may be asked while others use the socket.
func (s *Socket) Gone() bool {
	n, err := s.next()
	return err == nil && n == 0 || err != nil && !errors.Is(err, syscall.EAGAIN)
}

// Park says that a read which does not go through s begins or has ended. s may
// be nil.
func (s *Socket) Park(now bool) {
	if s != nil {
		s.parked.Store(now)
	}
}

// Waits tells whether the last read found nothing.
func (s *Socket) Waits() bool { return s.parked.Load() }

// Unread tells whether bytes have come that nobody has read.
func (s *Socket) Unread() bool {
	n, err := s.next()
	return err == nil && n > 0
}

// next tells what a read would return. It reads nothing and waits for nothing, so
// that it may be asked while others use the socket.
func (s *Socket) next() (n int, err error) {
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

// receive and send are recv(2) and send(2), which the kernel takes a shorter way
// with than with read(2) and write(2); put is write(2), for what is no socket. The
// descriptor does not block. Such a call ends at once, so that it is made without
// telling the scheduler, which would else prepare to do other work meanwhile.
func receive(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_RECVFROM, fd, b) }

func send(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_SENDTO, fd, b) }

func put(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_WRITE, fd, b) }

func call(trap, fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0) //nolint:gosec // G103: as syscall.Read does
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
