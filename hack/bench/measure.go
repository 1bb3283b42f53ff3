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
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// saturated is the share of its core that a proxy must have used before its
// rate says anything about it.
const saturated = 0.9

// direct stands for no proxy at all: the load asks the upstream, by HTTP.
const direct = "direct"

// measure starts a proxy, warms it up, loads it and takes its figures.
func (b *bencher) measure(ctx context.Context, s scenario, p peers.Peer) (report.Sample, error) {
	b.engine.Serve(s.work)
	setup := b.setups[s.secure]
	setup.Streams = s.table == streams
	r, err := b.start(ctx, p, setup)
	if err != nil {
		return report.Sample{}, err
	}
	defer b.engine.Forget()
	defer r.Stop()
	return b.load(ctx, s, p, setup, r)
}

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

// load runs a scenario against a proxy that serves.
func (b *bencher) load(ctx context.Context, s scenario, p peers.Peer, setup peers.Setup, r *peers.Running) (report.Sample, error) {
	l, err := b.engine.Connect(r.Addr, setup.Authority(), setup.Token, s.connections)
	if err != nil {
		return report.Sample{}, err
	}
	defer func() { _ = l.Close() }()
	warm, err := l.Closed(ctx, b.options.length/5)
	if err != nil {
		return report.Sample{}, err
	}
	one, times, err := b.loadWarm(ctx, s, l, r.Process)
	// The others write of a stream when it has ended.
	if err == nil && p.Logs && (p.Name == peers.Sallyport || s.table != streams) {
		err = awaitAudit(ctx, setup.Audit(), requests(s, warm)+requests(s, times))
	}
	return one, err
}

// measureDirect asks the upstream without a proxy, for the same time.
func (b *bencher) measureDirect(ctx context.Context, s scenario) (report.Sample, error) {
	b.engine.Serve(s.work)
	defer b.engine.Forget()
	l, err := b.engine.Connect(b.engine.Plain, b.setups[false].Authority(), b.setups[false].Token, s.connections)
	if err != nil {
		return report.Sample{}, err
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Closed(ctx, b.options.length/5); err != nil {
		return report.Sample{}, err
	}
	one, _, err := b.loadWarm(ctx, s, l, nil)
	return one, err
}

// loadWarm loads a warm proxy once; nil is none.
func (b *bencher) loadWarm(ctx context.Context, s scenario, l *engine.Load, p *os.Process) (report.Sample, engine.Times, error) {
	before, err := used(p)
	if err != nil {
		return report.Sample{}, engine.Times{}, err
	}
	var times engine.Times
	if s.rate > 0 {
		times, err = l.Open(ctx, b.options.length, s.rate)
	} else {
		times, err = l.Closed(ctx, b.options.length)
	}
	if err != nil {
		return report.Sample{}, times, err
	}
	after, err := used(p)
	if err != nil {
		return report.Sample{}, times, err
	}
	one := report.Sample{
		CPU: after.cpu - before.cpu, Rate: float64(len(times.Whole)) / times.Took.Seconds(),
		P50: engine.Quantile(times.Whole, 0.5), P99: engine.Quantile(times.Whole, 0.99),
		RSS: after.rss, Overloaded: overloaded(times),
	}
	if s.work.Events == 1 { // of streams without an end too few begin
		one.First50, one.First99 = engine.Quantile(times.First, 0.5), engine.Quantile(times.First, 0.99)
	}
	one.Full = float64(one.CPU) >= saturated*float64(times.Took)
	one.CPU /= time.Duration(max(1, len(times.Whole)))
	return one, times, nil
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
