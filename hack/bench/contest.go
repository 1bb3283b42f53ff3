package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// turns are how often a proxy is asked in a round of some length, and for how long.
// The proxies of a scenario run side by side, and are asked one after the other: a
// machine drifts within a second, and what it does to one it does to all. A round is
// not cut where it takes as long as several turns until each connection is answered
// once, nor where a proxy is asked at a rate: with a few dozen requests to a turn the
// slowest are those that wake it. What the slowest of a rate take varies most, so
// that it is asked for more often.
func (s scenario) turns(round time.Duration) (n int, each time.Duration) {
	const cut, repeat, long = 8, 3, 64 << 20
	switch {
	case s.table == open:
		return repeat, round
	case s.connections*s.work.Answer > long:
		return 1, round
	}
	return cut, round / cut
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

// run starts the proxies of s, has them run it in turns for some rounds, and
// returns a sample of each turn for each of them. told is called before each round.
func (b *bencher) run(ctx context.Context, s scenario, names []string, rounds int, told func(round int)) ([][]report.Sample, error) {
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
	turns, _ := s.turns(b.options.length)
	for lap := range rounds * turns {
		if lap%turns == 0 {
			told(lap / turns)
		}
		if err := c.lap(ctx, lap, samples); err != nil {
			return nil, err
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
		p := peer(name)
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

// lap has every proxy take a turn, and adds a sample of it to those of each. Whose
// turn is the first changes.
func (c *contest) lap(ctx context.Context, lap int, samples [][]report.Sample) error {
	for i := range c.lanes {
		i = (i + lap) % len(c.lanes)
		one, err := c.turn(ctx, c.lanes[i])
		if err != nil {
			return fmt.Errorf("measuring %s, %s: %w", c.lanes[i].name, c.scenario.name, err)
		}
		samples[i] = append(samples[i], one)
	}
	return nil
}

// turn warms a proxy up, which has rested meanwhile, and loads it.
func (c *contest) turn(ctx context.Context, l *lane) (report.Sample, error) {
	_, length := c.scenario.turns(c.options.length)
	warm, err := l.load.Closed(ctx, length/5)
	if err != nil {
		return report.Sample{}, err
	}
	before, err := used(l.process)
	if err != nil {
		return report.Sample{}, err
	}
	var times engine.Times
	if c.scenario.rate > 0 {
		times, err = l.load.Open(ctx, length, c.scenario.rate)
	} else {
		times, err = l.load.Closed(ctx, length)
	}
	after, failed := used(l.process)
	l.requests += requests(c.scenario, warm) + requests(c.scenario, times)
	return c.scenario.sample(times, after.cpu-before.cpu, after.rss), errors.Join(err, failed)
}

// paced says that the load waited for the proxy: of several connections where the
// proxy's core was full, of one always, since nothing is asked meanwhile.
func (s scenario) paced(cpu, took time.Duration) bool {
	return s.connections == 1 || float64(cpu) >= saturated*float64(took)
}

// sample is what a turn comes to that took so much of a processor.
func (s scenario) sample(times engine.Times, cpu time.Duration, rss int64) report.Sample {
	one := report.Sample{
		CPU: cpu / time.Duration(max(1, len(times.Whole))), Rate: float64(len(times.Whole)) / times.Took.Seconds(),
		P50: engine.Quantile(times.Whole, 0.5), P99: engine.Quantile(times.Whole, 0.99),
		RSS: rss, Overloaded: overloaded(times), Paced: s.paced(cpu, times.Took),
	}
	if s.work.Events == 1 { // of streams without an end too few begin
		one.First50, one.First99 = engine.Quantile(times.First, 0.5), engine.Quantile(times.First, 0.99)
	}
	return one
}
