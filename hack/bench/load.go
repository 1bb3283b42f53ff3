package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const host = "upstream.bench.svc"

// loader is the load of one proxy.
type loader struct {
	engine *engine
	wires  []*wire
}

// connect opens the connections of the load.
func connect(e *engine, addr, authority, token string, connections int) (*loader, error) {
	request := []byte("GET /repos/acme/web/pulls HTTP/1.1\r\nHost: " + authority +
		"\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	l := &loader{engine: e}
	for range connections {
		w, err := e.dial(addr, request)
		if err != nil {
			return nil, err
		}
		l.wires = append(l.wires, w)
	}
	return l, nil
}

// run sends one request after the other on each connection for a while, and
// returns how long each took, sorted. Every answer must be 200 and whole.
func (l *loader) run(ctx context.Context, d time.Duration) ([]time.Duration, error) {
	for _, w := range l.wires {
		w.took = w.took[:0]
	}
	if err := l.engine.run(l.wires, d); err != nil {
		return nil, err
	}
	var all []time.Duration
	for _, w := range l.wires {
		all = append(all, w.took...)
	}
	if len(all) == 0 {
		return nil, errors.New("no request was answered")
	}
	slices.Sort(all)
	return all, ctx.Err()
}

func (l *loader) close() {
	for _, w := range l.wires {
		delete(l.engine.wires, int32(w.fd))
		_ = unix.Close(w.fd)
	}
}
