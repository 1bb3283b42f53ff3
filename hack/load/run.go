package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/sallyport-dev/sallyport/hack/load/bystander"
)

// options are the command line.
type options struct {
	binary  string
	length  time.Duration // of all phases beside hostile agents
	pairs   int
	measure time.Duration
	share   float64
	idle    int
	pause   time.Duration
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.binary, "binary", "bin/sallyport", "`path` of the sallyport binary under load")
	f.DurationVar(&o.length, "length", 10*time.Minute, "of all phases beside hostile agents together; the phases without take a third of it besides")
	f.IntVar(&o.pairs, "pairs", 10, "how many phases without hostile agents are followed by one beside them")
	f.DurationVar(&o.measure, "measure", 20*time.Second, "length of each of the runs that find out what there is to share: as fast as it goes, twice, and beside hostile agents")
	f.Float64Var(&o.share, "share", 0.8, "of the capacity, what hostile agents keep others from included")
	f.IntVar(&o.idle, "idle", 5000, "connections that hostile agents keep without a word, besides all others")
	f.DurationVar(&o.pause, "pause", 50*time.Millisecond, "of each hostile agent between two visits; twice as long, and twice again, where they keep others from more than half of the share")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	return o, unless(o.pairs > 0 && o.length > 0 && o.pause > 0, "give -pairs, -length and -pause above 0")
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
	up, err := startUpstream(ctx)
	if err != nil {
		return err
	}
	defer up.stop()
	by, err := bystander.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = by.Stop() }() // what it said was heard
	s, err := startSubject(ctx, o.binary, dir, up.authority, map[string]int{
		host + ":80": portOf(up.plain), host + ":443": portOf(up.secure), "bystander.load.svc:80": by.Port,
	}, stderr)
	if s != nil {
		defer func() { _ = s.stop() }() // a second time, where it was stopped
	}
	if err != nil {
		return err
	}
	if err := pin(by.PID()); err != nil {
		return err
	}
	debug.SetGCPercent(400) // what this process collects is taken from the load
	r := &load{
		options: o, subject: s, agents: newAgents(s.good), bystander: by, out: stdout,
		direct: newAgents(access{addresses: []string{up.plain.Addr().String()}}),
	}
	return r.run(ctx)
}

// settled waits until about as many descriptors are open as before, or for longer than
// idle connections to upstreams are kept.
func settled(ctx context.Context, s *subject, before int) (int, error) {
	const long = 90 * time.Second
	for deadline := time.Now().Add(long); ; {
		n, err := s.descriptors()
		if err != nil {
			return 0, fmt.Errorf("counting descriptors: %w", err)
		}
		if n <= before+slack || time.Now().After(deadline) || !until(ctx, time.Now().Add(time.Second)) {
			return n, ctx.Err()
		}
	}
}

// verdict tells of wrong answers. A nil tally has none.
func (t *tally) verdict() error {
	if t == nil {
		return nil
	}
	return unless(t.wrong.Load() == 0, "%d of %d answers are wrong, such as %s", t.wrong.Load(), t.asked.Load(), t.said)
}

func unless(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
