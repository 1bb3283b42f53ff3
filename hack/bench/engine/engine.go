// Package engine is load and upstream of a benchmark in one thread around one
// epoll. They share a core and must need less of it than a proxy does of its
// own, or no proxy is ever busy: so the engine never sleeps while it runs,
// answers are made beforehand, and what nobody looks at is not copied. Nothing
// is served while it does not run.
//
// An Engine is for one goroutine.
package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Engine serves as an upstream at two addresses, and carries the load.
type Engine struct {
	// Plain and Secure are where the upstream is, by HTTP and by HTTPS. Both
	// answer alike.
	Plain, Secure netip.AddrPort

	epoll     int
	listeners map[int]*tls.Config // nil: plain
	wires     []*wire             // by descriptor
	events    [256]unix.EpollEvent
	scratch   []byte // what is read and looked at by nobody
	work      Work
	answer    []byte  // to each request
	streams   []*wire // of the upstream, by number of the stream
}

// patience is how long the last answers may take.
const patience = 30 * time.Second

// New listens on two addresses; port 0 chooses one. Clients of the secure one
// are shown the certificate.
func New(plain, secure netip.AddrPort, certificate tls.Certificate) (e *Engine, err error) {
	e = &Engine{listeners: map[int]*tls.Config{}, scratch: make([]byte, 256<<10)}
	if e.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making epoll: %w", err)
	}
	if e.Plain, err = e.listen(plain, nil); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.Secure, err = e.listen(secure, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"},
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.Serve(Work{})
	return e, nil
}

func (e *Engine) listen(at netip.AddrPort, config *tls.Config) (netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return at, fmt.Errorf("making the upstream's socket: %w", err)
	}
	e.listeners[fd] = config
	const backlog = 1024
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}),
		unix.Listen(fd, backlog),
		unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
	if err != nil {
		return at, fmt.Errorf("listening on %v: %w", at, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return at, fmt.Errorf("listening on %v: %w", at, err)
	}
	return netip.AddrPortFrom(at.Addr(), uint16(name.(*unix.SockaddrInet4).Port)), nil
}

// Serve says what is asked and answered from now on.
func (e *Engine) Serve(w Work) { e.work, e.answer = w, w.response() }

// Close closes everything, connections of loads included.
func (e *Engine) Close() error {
	for _, w := range e.wires {
		if w != nil {
			e.forget(w)
		}
	}
	for fd := range e.listeners {
		_ = unix.Close(fd)
	}
	return unix.Close(e.epoll)
}

// Forget closes the upstream's connections: those of a proxy that has ended.
func (e *Engine) Forget() {
	for _, w := range e.wires {
		if w != nil && w.asker == nil {
			e.forget(w)
		}
	}
}

func (e *Engine) forget(w *wire) {
	e.wires[w.fd] = nil
	_ = unix.Close(w.fd) // every answer was counted
}

func (e *Engine) add(fd int) (*wire, error) {
	w := &wire{fd: fd, epoll: e.epoll, in: make([]byte, 16<<10)}
	for len(e.wires) <= fd {
		e.wires = append(e.wires, nil)
	}
	e.wires[fd] = w
	return w, errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), w.watch(unix.EPOLL_CTL_ADD, unix.EPOLLIN))
}

// ready collects garbage, and lets the collector wait until done: it would be
// load of nobody's, and what was asked before it was over would be late by all
// that it takes.
func (e *Engine) ready() (done func()) {
	runtime.LockOSThread()
	runtime.GC()
	before := debug.SetGCPercent(-1)
	return func() {
		debug.SetGCPercent(before)
		runtime.UnlockOSThread()
	}
}

// spin handles what comes, and calls turn in between, until that says that it
// is over. The engine is ready.
func (e *Engine) spin(turn func() (over bool, err error)) error {
	for {
		if over, err := turn(); over || err != nil {
			return err
		}
		n, err := wait(e.epoll, e.events[:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting: %w", err)
		}
		for _, event := range e.events[:max(n, 0)] {
			if err := e.handle(event); err != nil {
				return err
			}
		}
	}
}

func (e *Engine) handle(event unix.EpollEvent) error {
	fd := int(event.Fd)
	if config, ok := e.listeners[fd]; ok {
		return e.accept(fd, config)
	}
	w := e.wires[fd]
	if w == nil {
		return nil // forgotten in this turn
	}
	if event.Events&unix.EPOLLOUT != 0 {
		if err := w.flush(); err != nil {
			return e.drop(w, err)
		}
	}
	if event.Events&^unix.EPOLLOUT == 0 {
		return nil
	}
	if w.asker != nil {
		return e.receive(w)
	}
	return e.serve(w)
}

func (e *Engine) accept(listener int, config *tls.Config) error {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
		w, err := e.add(fd)
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
		if config == nil {
			continue
		}
		if err := w.handshake(config); err != nil {
			return fmt.Errorf("accepting by TLS: %w", err)
		}
		// What came with the end of the handshake is read already, and no event
		// will tell of it.
		if err := e.serve(w); err != nil {
			return err
		}
	}
}

// drop forgets a wire that the proxy has closed. The load's are not to be.
func (e *Engine) drop(w *wire, why error) error {
	asker := w.asker
	e.forget(w)
	if asker != nil && asker.asking {
		return fmt.Errorf("the proxy closed a connection of the load: %w", why)
	}
	return nil
}
