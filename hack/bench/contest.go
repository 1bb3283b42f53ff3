package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// turns are the parts that a round is cut into. The proxies of a scenario run side
// by side, and are asked one after the other: a machine drifts within a second, and
// what it does to one it does to all. A round that is not cut is of a scenario in
// which it takes as long as several turns until each connection is answered once.
func (s scenario) turns() int {
	const most, long = 8, 64 << 20
	if s.connections*s.work.Answer > long {
		return 1
	}
	return most
}

// contest is a scenario that proxies run.
type contest struct {
	*bencher
	scenario scenario
	lanes    []*lane
}

// lane is one proxy of a contest.
type lane struct {
	name    string
	load    *engine.Load
	process *os.Process // nil: no proxy

	running  *peers.Running // likewise
	audit    string         // where its records are; empty: it writes none that are counted
	requests int            // that there are to be records of
}

// run starts the proxies of s, has them run it some times, and returns a sample of
// each of these rounds for each of them. told is called before each round.
func (b *bencher) run(ctx context.Context, s scenario, names []string, rounds int, told func(round int)) (_ [][]report.Sample, err error) {
	b.engine.Serve(s.work)
	defer b.engine.Forget()
	c := &contest{bencher: b, scenario: s}
	defer c.stop()
	for _, name := range names {
		if err := c.enter(ctx, name); err != nil {
			return nil, fmt.Errorf("starting %s: %w", name, err)
		}
	}
	samples := make([][]report.Sample, len(names))
	for round := range rounds {
		told(round)
		ones, err := c.round(ctx, round)
		if err != nil {
			return nil, err
		}
		for i := range ones {
			samples[i] = append(samples[i], ones[i])
		}
	}
	for _, l := range c.lanes {
		if l.audit == "" {
			continue
		}
		if err := awaitAudit(ctx, l.audit, l.requests); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return samples, nil
}

// enter starts a proxy, or none, and connects a load to it.
func (c *contest) enter(ctx context.Context, name string) error {
	l := &lane{name: name}
	c.lanes = append(c.lanes, l)
	setup, addr := c.setups[c.scenario.secure], c.engine.Plain
	if name == direct {
		setup = c.setups[false]
	} else {
		var err error
		p := peers.All[slices.IndexFunc(peers.All, func(p peers.Peer) bool { return p.Name == name })]
		if setup.Dir, err = os.MkdirTemp(setup.Dir, "proxy"); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
		setup.Streams = c.scenario.table == streams
		if l.running, err = c.start(ctx, p, setup); err != nil {
			return err
		}
		// The others write of a stream when it has ended.
		if p.Logs && (p.Name == peers.Sallyport || c.scenario.table != streams) {
			l.audit = setup.Audit()
		}
		l.process, addr = l.running.Process, l.running.Addr
	}
	var err error
	l.load, err = c.engine.Connect(addr, setup.Authority(), setup.Token, c.scenario.connections)
	return err
}

func (c *contest) stop() {
	for _, l := range c.lanes {
		if l.load != nil {
			_ = l.load.Close() // what was measured is at hand
		}
		if l.running != nil {
			l.running.Stop()
		}
	}
}

// round has every proxy take its turns, and returns a sample of each. Whose turn is
// the first of a lap changes.
func (c *contest) round(ctx context.Context, round int) ([]report.Sample, error) {
	parts := make([][]part, len(c.lanes))
	for turn := range c.scenario.turns() {
		for i := range c.lanes {
			i = (i + round + turn) % len(c.lanes)
			one, err := c.turn(ctx, c.lanes[i])
			if err != nil {
				return nil, fmt.Errorf("measuring %s, %s: %w", c.lanes[i].name, c.scenario.name, err)
			}
			parts[i] = append(parts[i], one)
		}
	}
	samples := make([]report.Sample, len(parts))
	for i := range parts {
		samples[i] = c.scenario.sample(parts[i])
	}
	return samples, nil
}

// part is what was measured in one turn.
type part struct {
	times engine.Times
	cpu   time.Duration
	rss   int64
}

// turn warms a proxy up, which has rested meanwhile, and loads it.
func (c *contest) turn(ctx context.Context, l *lane) (part, error) {
	length := c.options.length / time.Duration(c.scenario.turns())
	warm, err := l.load.Closed(ctx, length/5)
	if err != nil {
		return part{}, err
	}
	before, err := used(l.process)
	if err != nil {
		return part{}, err
	}
	one := part{}
	if c.scenario.rate > 0 {
		one.times, err = l.load.Open(ctx, length, c.scenario.rate)
	} else {
		one.times, err = l.load.Closed(ctx, length)
	}
	after, failed := used(l.process)
	one.cpu, one.rss = after.cpu-before.cpu, after.rss
	l.requests += requests(c.scenario, warm) + requests(c.scenario, one.times)
	return one, errors.Join(err, failed)
}

// sample is what the parts of a round come to.
func (s scenario) sample(parts []part) report.Sample {
	var all engine.Times
	one := report.Sample{}
	for _, p := range parts {
		all.Whole, all.First = append(all.Whole, p.times.Whole...), append(all.First, p.times.First...)
		all.Took += p.times.Took
		all.Unasked += p.times.Unasked
		one.CPU += p.cpu
		one.RSS = max(one.RSS, p.rss)
	}
	slices.Sort(all.Whole)
	slices.Sort(all.First)
	one.Rate = float64(len(all.Whole)) / all.Took.Seconds()
	one.P50, one.P99 = engine.Quantile(all.Whole, 0.5), engine.Quantile(all.Whole, 0.99)
	if s.work.Events == 1 { // of streams without an end too few begin
		one.First50, one.First99 = engine.Quantile(all.First, 0.5), engine.Quantile(all.First, 0.99)
	}
	one.Overloaded = overloaded(all)
	one.Full = float64(one.CPU) >= saturated*float64(all.Took)
	one.CPU /= time.Duration(max(1, len(all.Whole)))
	return one
}
