package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
	"github.com/sallyport-dev/sallyport/hack/bench/process"
)

// saturated is the share of its core that a proxy must have used before the
// rate of several connections says anything about it.
const saturated = 0.9

// direct stands for no proxy at all: the load asks the upstream, by HTTP.
const direct = "direct"

// start starts a proxy and waits until it has its configuration.
func (b *bencher) start(ctx context.Context, p peers.Peer, setup peers.Setup) (*peers.Running, error) {
	r, err := p.Start(ctx, setup, b.options.proxyCPU)
	if err != nil {
		return nil, err
	}
	if err := r.Await(ctx, setup.Token); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// usage is what a process has used so far.
type usage struct {
	cpu time.Duration
	rss int64
}

func used(p *os.Process) (u usage, err error) {
	if p == nil {
		return u, nil
	}
	var failed error
	u.cpu, err = process.CPU(p.Pid)
	u.rss, failed = process.RSS(p.Pid)
	return u, errors.Join(err, failed)
}

// overloaded tells whether a proxy did not get through an open loop. A few
// requests are always due when time is over.
func overloaded(t engine.Times) bool { return t.Unasked*100 > len(t.Whole)+t.Unasked }

// requests is how many were answered.
func requests(s scenario, t engine.Times) int {
	if s.table == streams {
		return len(t.First)
	}
	return len(t.Whole)
}

// collectLimit is how long the collector may take with the last records.
const collectLimit = 5 * time.Second

// awaitAudit waits until there is a record of each request in the file.
func awaitAudit(ctx context.Context, path string, requests int) error {
	ctx, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := countAudit(path)
		switch {
		case err != nil || n == requests:
			return err
		case n > requests || ctx.Err() != nil:
			return fmt.Errorf("%d audit records of %d requests", n, requests)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// countAudit counts the records of allowed requests: those that say so before, and
// those that tell how it went.
func countAudit(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("counting audit records: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Bytes()
		decided := bytes.Contains(line, []byte(`"event":"decision"`)) && bytes.Contains(line, []byte(`"verdict":"Allow"`))
		if decided || bytes.Contains(line, []byte(`"status":200`)) {
			n++
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("counting audit records: %w", err)
	}
	return n, nil
}
