package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/isolate"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
	"github.com/sallyport-dev/sallyport/hack/bench/process"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// bencher is one run of the benchmark.
type bencher struct {
	options options
	engine  *engine.Engine
	trust   peers.Trust
	setups  map[bool]peers.Setup // by whether the upstream is asked by HTTPS
	stderr  io.Writer
	started time.Time
}

// bench checks that the proxies do equal work, measures, and reports.
func bench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	began := report.Machine()
	if err := process.Bind(o.loadCPU); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bencher{options: o, stderr: stderr, started: time.Now()}
	closeAll, err := b.open(ctx, dir)
	defer closeAll()
	if err != nil {
		return err
	}
	if err := b.checkAll(ctx); err != nil {
		return err
	}
	capacity, err := b.capacity(ctx)
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(scenarios(capacity), func(s scenario) bool { return !o.only.MatchString(s.name) })
	results, err := b.measureAll(ctx, list)
	if err != nil {
		return err
	}
	alone, err := b.alone(ctx, results[open], results[streams])
	if err != nil {
		return err
	}
	text := b.text(began, results, alone)
	fmt.Fprint(stdout, text)
	if o.document == "" {
		return nil
	}
	return report.Write(o.document, text)
}

// open makes the upstream, the broker and what the proxies are told.
func (b *bencher) open(ctx context.Context, dir string) (closeAll func(), err error) {
	var closers []func() error
	closeAll = func() {
		for _, c := range slices.Backward(closers) {
			_ = c() // all that was measured is at hand
		}
	}
	sidecar, err := filepath.Abs(b.options.sidecar)
	if err != nil {
		return closeAll, err
	}
	if b.trust, err = peers.NewTrust(); err != nil {
		return closeAll, err
	}
	certificate, err := b.trust.Certificate(isolate.UpstreamName)
	if err != nil {
		return closeAll, err
	}
	b.engine, err = engine.New(netip.AddrPortFrom(isolate.Upstream, 80), netip.AddrPortFrom(isolate.Upstream, 443), certificate)
	if err != nil {
		return closeAll, err
	}
	closers = append(closers, b.engine.Close)
	broker, err := peers.NewBroker()
	if err != nil {
		return closeAll, err
	}
	closers = append(closers, broker.Close)
	common := peers.Setup{Dir: dir, Key: "the-real-key-of-the-upstream-as-long-as-most", Sidecar: sidecar, Broker: broker}
	plain, secure := common, common
	plain.Upstream = b.engine.Plain
	secure.Upstream, secure.CA = b.engine.Secure, b.trust.PEM()
	var errPlain, errSecure error
	plain, errPlain = plain.WithToken(ctx)
	secure, errSecure = secure.WithToken(ctx)
	b.setups = map[bool]peers.Setup{false: plain, true: secure}
	return closeAll, errors.Join(errPlain, errSecure)
}

// capacity is how many requests per second fill HAProxy's core, by what one
// costs it: open loops ask for a part of that.
func (b *bencher) capacity(ctx context.Context) (float64, error) {
	s := scenario{name: "capacity", connections: 32, work: engine.Work{Answer: 1 << 10}}
	all, err := b.run(ctx, s, []string{peers.HAProxy}, 1, func(int) {})
	if err != nil {
		return 0, fmt.Errorf("measuring the capacity of %s: %w", peers.HAProxy, err)
	}
	const step = 1000 // a round figure is as good, and says that it is no measurement
	return max(leastCapacity, float64(time.Second/all[0][0].CPU/step)*step), nil
}

// measureAll has every proxy run each scenario.
func (b *bencher) measureAll(ctx context.Context, list []scenario) (map[table]report.Rows, error) {
	results := map[table]report.Rows{}
	start := time.Now()
	for i, s := range list {
		names := s.proxies()
		samples, err := b.run(ctx, s, names, b.options.rounds, func(round int) {
			b.progress(start, i*b.options.rounds+round, len(list)*b.options.rounds, fmt.Sprintf("%s: round %d of %d", s.name, round+1, b.options.rounds))
		})
		if err != nil {
			return nil, err
		}
		rows := results[s.table]
		rows.Direct, rows.Base = direct, peers.HAProxy
		for k, name := range names {
			rows.All = append(rows.All, report.Row{Scenario: s.name, Proxy: name, Samples: samples[k]})
		}
		results[s.table] = rows
	}
	return results, nil
}

// progress says where the benchmark is, and how long it will take.
func (b *bencher) progress(start time.Time, done, all int, what string) {
	left := "not known yet how long it takes"
	if done > 0 {
		rest := time.Since(start) / time.Duration(done) * time.Duration(all-done)
		left = "about " + rest.Round(time.Second).String() + " left"
	}
	fmt.Fprintf(b.stderr, "%s (%d of %d rounds, %s)\n", what, done, all, left)
}

// text is the report.
func (b *bencher) text(machine string, results map[table]report.Rows, alone []report.Figure) string {
	var w strings.Builder
	fmt.Fprintf(&w, "At %s; %d rounds of %v, in turns, after warm-ups of a fifth of that.\n", machine, b.options.rounds, b.options.length)
	fmt.Fprint(&w, "\nThe sidecar alone:\n\n")
	report.Alone(&w, alone)
	for _, part := range []struct {
		table    table
		what     string
		measures []report.Measure
		write    func(report.Rows)
	}{
		{
			closed, "Asked again as soon as it is answered",
			[]report.Measure{report.CPU, report.Rate, report.P99}, func(r report.Rows) { r.Closed(&w) },
		},
		{
			open, "Asked at one rate, answered or not: times run from when a request was due",
			[]report.Measure{report.CPU, report.P99}, func(r report.Rows) { r.Open(&w) },
		},
		{
			streams, "Event streams, each event sent when the one before has arrived",
			[]report.Measure{report.EventCPU, report.EventRate}, func(r report.Rows) { r.Streams(&w) },
		},
	} {
		rows := results[part.table]
		if len(rows.All) == 0 {
			continue
		}
		fmt.Fprintf(&w, "\n%s:\n\n", part.what)
		for _, base := range []string{peers.HAProxy, peers.Silent} {
			rows.Base = base
			rows.Against(&w, peers.Sallyport, part.measures...)
		}
		rows.Base = peers.HAProxy
		fmt.Fprintln(&w)
		part.write(rows)
	}
	return w.String()
}
