package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// grants is how many more the sidecar has where its memory under load is
// measured.
const grants = 100

// rest is how long a sidecar idles before its memory is measured: it has heard
// from the broker again by then that nothing is new.
const rest = 20 * time.Second

// busyFor is how long it is asked then, however long other runs are: memory grows
// for the first seconds.
const busyFor = 5 * time.Second

// alone measures the sidecar by itself, and takes from the tables what has a
// goal there.
func (b *bencher) alone(ctx context.Context, atRate, events report.Rows) ([]report.Figure, error) {
	idle, _, err := b.memory(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("measuring memory: %w", err)
	}
	idleMany, busy, err := b.memory(ctx, grants)
	if err != nil {
		return nil, fmt.Errorf("measuring memory: %w", err)
	}
	start, controls, err := b.starts(ctx)
	if err != nil {
		return nil, fmt.Errorf("measuring the time to start: %w", err)
	}
	ms := float64(time.Millisecond)
	added := func(what string, rows report.Rows, scenario string, quantile int, first bool, goal float64) report.Figure {
		f := report.Figure{What: what, Goal: goal, Write: report.Nanoseconds, Values: rows.Added(scenario, peers.Sallyport, quantile, first)}
		if c := rows.Added(scenario, peers.HAProxy, quantile, first); len(c) > 0 {
			f.Controls = []report.Control{{What: peers.HAProxy, Values: c}}
		}
		return f
	}
	return []report.Figure{
		{What: "RSS idle, 3 grants", Values: idle, Goal: 10e6, Write: report.Bytes},
		{What: fmt.Sprintf("RSS idle, %d grants more", grants), Values: idleMany, Goal: 10e6, Write: report.Bytes},
		{What: fmt.Sprintf("RSS at 1,000 requests/s over HTTPS, %d grants more", grants), Values: busy, Goal: 20e6, Write: report.Bytes},
		{What: "start to first request served, configuration at hand", Values: start, Goal: 50 * ms, Write: report.Nanoseconds, Controls: controls},
		added("added to direct at 1,000 requests/s, one core, p50", atRate, gateScenario, 50, false, 0.15*ms),
		added("added to direct at 1,000 requests/s, one core, p99", atRate, gateScenario, 99, false, ms),
		added("added to direct until the first event of a stream, p50", events, firstScenario, 50, true, ms),
		added("added to direct until the first event of a stream, p99", events, firstScenario, 99, true, ms),
	}, nil
}

// memory is that of a sidecar that idles after a request that it refused, and of
// the same at 1,000 requests per second, a few times.
func (b *bencher) memory(ctx context.Context, grants int) (idle, busy []float64, err error) {
	setup := b.setups[true]
	setup.Grants = grants
	if setup, err = setup.WithToken(ctx); err != nil {
		return nil, nil, err
	}
	for range b.options.rounds {
		fmt.Fprintf(b.stderr, "memory of the sidecar with %d grants more\n", grants)
		one, two, err := b.memoryOnce(ctx, setup)
		if err != nil {
			return nil, nil, err
		}
		idle, busy = append(idle, one), append(busy, two)
	}
	return idle, busy, nil
}

func (b *bencher) memoryOnce(ctx context.Context, setup peers.Setup) (idle, busy float64, err error) {
	b.engine.Serve(engine.Work{Answer: 1 << 10})
	r, err := b.start(ctx, peer(peers.Sallyport), setup)
	if err != nil {
		return 0, 0, err
	}
	defer b.engine.Forget()
	defer r.Stop()
	if err := wait(ctx, rest); err != nil {
		return 0, 0, err
	}
	before, err := used(r.Process)
	if err != nil {
		return 0, 0, err
	}
	l, err := b.engine.Connect(r.Addr, setup.Authority(), setup.Token, 32)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Open(ctx, busyFor, gateRate); err != nil {
		return 0, 0, err
	}
	after, err := used(r.Process)
	return float64(before.rss), float64(after.rss), err
}

// peer is the one of this name, which there is.
func peer(name string) peers.Peer {
	return peers.All[slices.IndexFunc(peers.All, func(p peers.Peer) bool { return p.Name == name })]
}

// starts measures how long it takes from starting a program to the first
// request that it serves; a program that does nothing is as fast as any.
func (b *bencher) starts(ctx context.Context) ([]float64, []report.Control, error) {
	u, setup, err := b.recorder(ctx, true, b.trust)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = u.Close() }()
	fmt.Fprintf(b.stderr, "starting programs, %d times each\n", b.options.starts)
	all := map[string][]float64{}
	for range b.options.starts {
		took, err := b.startTrue(ctx)
		if err != nil {
			return nil, nil, err
		}
		all["true"] = append(all["true"], float64(took))
		for _, p := range peers.All {
			if took, err = b.startOnce(ctx, p, setup); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			all[p.Name] = append(all[p.Name], float64(took))
		}
	}
	controls := []report.Control{{What: "`true`, which ends at once", Values: all["true"]}}
	for _, p := range peers.All {
		if p.Name != peers.Sallyport {
			controls = append(controls, report.Control{What: p.Name, Values: all[p.Name]})
		}
	}
	return all[peers.Sallyport], controls, nil
}

func (b *bencher) startTrue(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(b.options.proxyCPU), "true").Run()
	return time.Since(start), err
}

func (b *bencher) startOnce(ctx context.Context, p peers.Peer, setup peers.Setup) (time.Duration, error) {
	r, err := p.Start(ctx, setup, b.options.proxyCPU)
	if err != nil {
		return 0, err
	}
	defer r.Stop()
	request := "GET /repos/acme/web/pulls HTTP/1.1\r\nHost: " + setup.Authority() + "\r\nConnection: close\r\nAuthorization: Bearer " + setup.Token + "\r\n\r\n"
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for deadline := r.Started.Add(10 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; <-tick.C {
		if served(r.Addr, request) {
			return time.Since(r.Started), nil
		}
	}
	return 0, errors.Join(errors.New("it served nothing within 10 s"), ctx.Err())
}

// served asks once, and tells whether the answer is the upstream's.
func served(at netip.AddrPort, request string) bool {
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return false
	}
	status := make([]byte, len("HTTP/1.1 200"))
	n, _ := c.Read(status)
	return strings.HasSuffix(string(status[:n]), "200")
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
