package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// engine is load and upstream in one thread around one epoll: they share a
// core, and must need less of it than any proxy does of its own, or no proxy
// is ever busy. Nothing is served while it does not run.
type engine struct {
	epoll    int
	listener int
	port     int
	answer   []byte
	size     int // of an answer's body
	wires    map[int32]*wire
	events   [256]unix.EpollEvent
}

// wire is one connection: of the upstream's side, or of the load.
type wire struct {
	fd      int
	buf     []byte
	n       int
	request []byte // of the load; nil: the upstream's side
	sent    time.Time
	took    []time.Duration
	idle    bool // the load has stopped asking
}

// newEngine listens on loopback and answers every request alike.
func newEngine(size int) (*engine, error) {
	e := &engine{size: size, wires: map[int32]*wire{}}
	e.answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		size, bytes.Repeat([]byte("x"), size))
	var err error
	if e.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making epoll: %w", err)
	}
	if e.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("making the upstream's socket: %w", err)
	}
	const backlog = 1024
	err = errors.Join(
		unix.Bind(e.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		unix.Listen(e.listener, backlog),
		e.watch(e.listener))
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	name, err := unix.Getsockname(e.listener)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	e.port = name.(*unix.SockaddrInet4).Port
	return e, nil
}

func (e *engine) watch(fd int) error {
	return unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (e *engine) close() {
	for fd := range e.wires {
		_ = unix.Close(int(fd))
	}
	_ = unix.Close(e.listener)
	_ = unix.Close(e.epoll)
}

func (e *engine) add(fd int, request []byte) (*wire, error) {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	w := &wire{fd: fd, buf: make([]byte, 4096+e.size), request: request}
	e.wires[int32(fd)] = w
	return w, e.watch(fd)
}

// dial connects one wire of the load.
func (e *engine) dial(addr string, request []byte) (*wire, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
		return nil, fmt.Errorf("connecting: %w", errors.Join(err, unix.Close(fd)))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return e.add(fd, request)
}

// run carries the load until d has passed and every request is answered.
func (e *engine) run(load []*wire, d time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := time.Now()
	end := now.Add(d)
	for _, w := range load {
		if err := w.ask(now); err != nil {
			return err
		}
	}
	const patience = 5 * time.Second
	for asking := len(load); asking > 0; {
		n, err := unix.EpollWait(e.epoll, e.events[:], 1000)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting: %w", err)
		}
		now = time.Now()
		for _, event := range e.events[:max(n, 0)] {
			stopped, err := e.handle(event.Fd, now, now.After(end))
			if err != nil {
				return err
			}
			if stopped {
				asking--
			}
		}
		if now.After(end.Add(patience)) {
			return fmt.Errorf("%d connections got no answer within %v", asking, patience)
		}
	}
	return nil
}

// handle reads what has come on a wire, and tells whether it was the last
// answer there.
func (e *engine) handle(fd int32, now time.Time, over bool) (stopped bool, err error) {
	if int(fd) == e.listener {
		return false, e.accept()
	}
	w := e.wires[fd]
	n, err := unix.Read(w.fd, w.buf[w.n:])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false, nil
	case err != nil || n == 0:
		return false, e.drop(w, err)
	}
	w.n += n
	if w.request == nil {
		return false, w.serve(e.answer)
	}
	return w.receive(e.size, now, over)
}

func (e *engine) accept() error {
	for {
		fd, _, err := unix.Accept4(e.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err == nil {
			_, err = e.add(fd, nil)
		}
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
	}
}

// drop forgets a wire that the proxy has closed. The load's are not to be.
func (e *engine) drop(w *wire, err error) error {
	delete(e.wires, int32(w.fd))
	if w.request != nil && !w.idle {
		return errors.Join(fmt.Errorf("the proxy closed a connection of the load: %w", net.ErrClosed), err, unix.Close(w.fd))
	}
	return unix.Close(w.fd)
}

var headEnd = []byte("\r\n\r\n")

// serve answers a request that is whole.
func (w *wire) serve(answer []byte) error {
	if !bytes.HasSuffix(w.buf[:w.n], headEnd) {
		return nil
	}
	w.n = 0
	return w.write(answer)
}

// receive takes an answer that is whole, which must be 200, and asks again.
func (w *wire) receive(size int, now time.Time, over bool) (stopped bool, err error) {
	head := bytes.Index(w.buf[:w.n], headEnd)
	if head < 0 || w.n < head+len(headEnd)+size {
		return false, nil
	}
	if w.n > head+len(headEnd)+size || !bytes.HasPrefix(w.buf, []byte("HTTP/1.1 200")) {
		return false, fmt.Errorf("answer: %.300s", w.buf[:w.n])
	}
	w.took, w.n = append(w.took, now.Sub(w.sent)), 0
	if over {
		w.idle = true
		return true, nil
	}
	return false, w.ask(now)
}

func (w *wire) ask(now time.Time) error {
	w.sent, w.idle = now, false
	return w.write(w.request)
}

// write writes all, and waits where the peer does not read.
func (w *wire) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(w.fd, b)
		if errors.Is(err, unix.EAGAIN) {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLOUT}}, 1000)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("sending: %w", err)
		}
		b = b[max(n, 0):]
	}
	return nil
}
