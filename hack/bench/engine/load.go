package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Load is connections that ask what the engine's Work says.
type Load struct {
	engine *Engine
	wires  []*wire
	free   []*wire // of an open loop: those that ask nothing
	end    time.Time
	closed bool // the loop: an answer leads to the next request
	asking int
	times  Times
}

// asker is what a wire of the load is about.
type asker struct {
	load    *Load
	number  int
	request []byte
	due     time.Time // of the request, or of the event
	asking  bool
	rest    int // bytes of the answer that nobody looks at

	begun, ending bool // of a stream
	events        int  // that came
}

// Connect opens connections of a load to a proxy, or to the upstream itself.
func (e *Engine) Connect(to netip.AddrPort, authority, token string, connections int) (*Load, error) {
	l := &Load{engine: e}
	e.streams = make([]*wire, connections)
	for number := range connections {
		fd, err := connect(to)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connecting: %w", err), l.Close())
		}
		w, err := e.add(fd)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connecting: %w", err), l.Close())
		}
		w.asker = &asker{load: l, number: number, request: e.work.request(authority, token, number)}
		l.wires = append(l.wires, w)
	}
	return l, nil
}

func connect(to netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// Close closes the connections.
func (l *Load) Close() error {
	for _, w := range l.wires {
		if l.engine.wires[w.fd] == w {
			l.engine.forget(w)
		}
	}
	return nil
}

// Closed asks on each connection as soon as the last answer is whole, until d
// has passed, and awaits what was asked. Each answer must be whole and 200. Of
// event streams the times are those of the events, and the first of each is in
// First.
func (l *Load) Closed(ctx context.Context, d time.Duration) (Times, error) {
	defer l.engine.ready()()
	now := l.begin(d, true)
	for _, w := range l.wires {
		if err := w.ask(now); err != nil {
			return Times{}, err
		}
	}
	err := l.engine.spin(func() (bool, error) {
		return l.asking == 0, l.check(ctx, time.Now())
	})
	if err == nil && len(l.times.Whole) == 0 {
		err = errors.New("no request was answered")
	}
	return l.finish(now, err)
}

// Open asks rate times a second, whether or not earlier requests are answered,
// for d. A request that finds no free connection waits for one, and its time
// runs from when it was due. Where none was asked in time, all are Unasked.
func (l *Load) Open(ctx context.Context, d time.Duration, rate float64) (Times, error) {
	defer l.engine.ready()()
	start := l.begin(d, false)
	l.free = append(l.free[:0], l.wires...)
	asked, all := 0, int(rate*d.Seconds())
	err := l.engine.spin(func() (bool, error) {
		now := time.Now()
		for asked < all && len(l.free) > 0 && !now.After(l.end) {
			due := start.Add(time.Duration(float64(asked) / rate * float64(time.Second)))
			if now.Before(due) {
				break
			}
			w := l.free[len(l.free)-1]
			l.free = l.free[:len(l.free)-1]
			asked++
			if err := w.ask(due); err != nil {
				return true, err
			}
		}
		return l.asking == 0 && (asked == all || now.After(l.end)), l.check(ctx, now)
	})
	l.times.Unasked = all - asked
	return l.finish(start, err)
}

func (l *Load) begin(d time.Duration, closed bool) time.Time {
	now := time.Now()
	l.end, l.closed, l.asking = now.Add(d), closed, 0
	l.times = Times{Whole: l.times.Whole[:0], First: l.times.First[:0]}
	return now
}

func (l *Load) check(ctx context.Context, now time.Time) error {
	if now.After(l.end.Add(patience)) {
		return fmt.Errorf("%d connections got no answer within %v", l.asking, patience)
	}
	return ctx.Err()
}

func (l *Load) finish(start time.Time, err error) (Times, error) {
	l.times.Took = time.Since(start)
	return l.times.sorted(), err
}

// ask sends the request, which was due then.
func (w *wire) ask(due time.Time) error {
	a := w.asker
	a.due, a.asking, a.begun, a.ending, a.events = due, true, false, false, 0
	a.load.asking++
	return w.send(a.request)
}

// receive takes what has come on a wire of the load.
func (e *Engine) receive(w *wire) error {
	for {
		got, err := e.read(w)
		switch {
		case errors.Is(err, errLater):
			return nil
		case err != nil:
			return e.drop(w, err)
		}
		now := time.Now()
		switch got {
		case oneEvent:
			return e.next(w, now)
		case whole:
			return w.answered(now, e.work.Events != 0)
		case nothing:
			if w.asker.rest == 0 {
				return nil
			}
		}
	}
}

// answered notes an answer that is whole, and asks again.
func (w *wire) answered(now time.Time, stream bool) error {
	a := w.asker
	if !stream {
		a.load.times.Whole = append(a.load.times.Whole, now.Sub(a.due))
	}
	a.asking = false
	a.load.asking--
	switch {
	case !a.load.closed:
		a.load.free = append(a.load.free, w)
	case now.Before(a.load.end):
		return w.ask(now)
	}
	return nil
}

// next notes an event, and has the upstream send another one or the end.
func (e *Engine) next(w *wire, now time.Time) error {
	a := w.asker
	took := now.Sub(a.due)
	a.load.times.Whole = append(a.load.times.Whole, took)
	if a.events++; a.events == 1 {
		a.load.times.First = append(a.load.times.First, took)
	}
	upstream := e.streams[a.number]
	if upstream == nil || e.wires[upstream.fd] != upstream {
		return errors.New("the proxy closed a stream of the upstream")
	}
	a.due = time.Now()
	if a.ending = a.events == e.work.Events || now.After(a.load.end); a.ending {
		return upstream.send([]byte(lastChunk))
	}
	return upstream.send(eventChunk)
}
