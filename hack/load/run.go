package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

// options are the command line.
type options struct {
	binary   string
	length   time.Duration
	capacity time.Duration
	share    float64
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.binary, "binary", "bin/sallyport", "`path` of the sallyport binary under load")
	f.DurationVar(&o.length, "length", 10*time.Minute, "length of the run beside hostile agents")
	f.DurationVar(&o.capacity, "calm", 30*time.Second, "length of each of the two runs before it: as fast as it goes, and at the share without hostile agents")
	f.Float64Var(&o.share, "share", 0.8, "of the capacity")
	return o, f.Parse(args)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: upstream(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // it ends with Close
	defer func() { _ = server.Close() }()
	s, err := startSubject(ctx, o.binary, dir, l.Addr().(*net.TCPAddr).Port, stderr)
	if s != nil {
		defer func() { _ = s.stop() }() // a second time, where it was stopped
	}
	if err != nil {
		return err
	}
	return phases(ctx, o, s, stdout)
}

// phases finds out what the subject can do, runs it at the share without and
// with hostile agents, and judges what came of it.
func phases(ctx context.Context, o options, s *subject, out io.Writer) error {
	a := newAgents(s)
	most := a.run(ctx, o.capacity, 0)
	rate := o.share * float64(most.asked.Load()) / o.capacity.Seconds()
	fmt.Fprintf(out, "capacity %.0f requests/s; running at %.0f\n", rate/o.share, rate)
	calm := a.run(ctx, o.capacity, rate)
	fmt.Fprintf(out, "calm: p50 %v, p99 %v\n", calm.at(0.5), calm.at(0.99))
	before, err := s.descriptors()
	if err != nil {
		return fmt.Errorf("counting descriptors: %w", err)
	}
	busy, memory, visits, err := beset(ctx, o, a, rate, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "beset: p50 %v, p99 %v (%.2f x calm), %d visits of hostile agents\n",
		busy.at(0.5), busy.at(0.99), float64(busy.at(0.99))/float64(calm.at(0.99)), visits)
	after, err := settled(ctx, s, before)
	if err != nil {
		return err
	}
	asked := most.asked.Load() + calm.asked.Load() + busy.asked.Load()
	if err := s.stop(); err != nil {
		return err
	}
	early, late := memory.ends()
	fmt.Fprintf(out, "%d requests, %d records; memory %.1f MiB early, %.1f MiB late; descriptors %d before, %d after\n",
		asked, s.records.Load(), mib(early), mib(late), before, after)
	return errors.Join(
		most.verdict(), calm.verdict(), busy.verdict(), memory.flat(),
		unless(s.records.Load() >= asked, "%d records of %d requests", s.records.Load(), asked),
		unless(after <= before+slack, "%d descriptors are left of %d", after, before))
}

// slack is how many descriptors a run may differ in: idle connections to the
// upstream, which are kept for a while.
const slack = 32

// beset runs the load beside hostile agents and watches the memory.
func beset(ctx context.Context, o options, a *agents, rate float64, out io.Writer) (*tally, *watch, int, error) {
	hostileCtx, stop := context.WithCancel(ctx)
	defer stop()
	memory := &watch{}
	type result struct {
		visits int
		err    error
	}
	visits, watched := make(chan result, 1), make(chan error, 1)
	go func() {
		n, err := harass(hostileCtx, a.subject)
		visits <- result{n, err}
	}()
	go func() { watched <- memory.run(hostileCtx, a.subject, o.length, out) }()
	t := a.run(ctx, o.length, rate)
	stop()
	v := <-visits
	return t, memory, v.visits, errors.Join(<-watched, v.err)
}

// settled waits until no more descriptors are open than before, or long enough.
func settled(ctx context.Context, s *subject, before int) (int, error) {
	const long = 30 * time.Second
	for deadline := time.Now().Add(long); ; {
		n, err := s.descriptors()
		if err != nil {
			return 0, fmt.Errorf("counting descriptors: %w", err)
		}
		if n <= before || time.Now().After(deadline) || !until(ctx, time.Now().Add(time.Second)) {
			return n, ctx.Err()
		}
	}
}

func (t *tally) verdict() error {
	return unless(t.wrong.Load() == 0, "%d of %d answers are wrong, such as %s", t.wrong.Load(), t.asked.Load(), t.said)
}

func unless(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// watch is what was seen of the subject's memory, in bytes.
type watch struct{ seen []int64 }

// run looks once a second, and tells of it now and then.
func (w *watch) run(ctx context.Context, s *subject, length time.Duration, out io.Writer) error {
	const tells = 10
	tell := max(1, int(length.Seconds())/tells)
	for start := time.Now(); until(ctx, time.Now().Add(time.Second)); {
		n, err := s.resident()
		if err != nil {
			return err
		}
		if w.seen = append(w.seen, n); len(w.seen)%tell == 0 {
			fmt.Fprintf(out, "%v: %.1f MiB\n", time.Since(start).Round(time.Second), mib(n))
		}
	}
	return nil
}

// ends are the medians of the second and of the last fifth: the first one is
// warming up.
func (w *watch) ends() (early, late int64) {
	fifth := len(w.seen) / 5
	if fifth == 0 {
		return 0, 0
	}
	return median(w.seen[fifth : 2*fifth]), median(w.seen[len(w.seen)-fifth:])
}

// growth is what counts as flat.
const growth = 1.15

func (w *watch) flat() error {
	early, late := w.ends()
	return unless(early > 0 && float64(late) <= growth*float64(early), "memory grew from %.1f to %.1f MiB", mib(early), mib(late))
}

func median(list []int64) int64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
