package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// options are the command line.
type options struct {
	binary      string
	rounds      int
	length      time.Duration
	connections int
	body        int
	proxyCPU    int
	loadCPU     int
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.binary, "binary", "bin/sallyport", "`path` of the sallyport binary that is measured")
	f.IntVar(&o.rounds, "rounds", 5, "measured rounds; every proxy runs once in each")
	f.DurationVar(&o.length, "length", 5*time.Second, "length of one run, after a warm-up of a fifth of it")
	f.IntVar(&o.connections, "connections", 32, "connections of the load")
	f.IntVar(&o.body, "body", 1024, "`bytes` of each answer's body")
	f.IntVar(&o.proxyCPU, "proxy-cpu", 0, "processor of the proxy")
	f.IntVar(&o.loadCPU, "load-cpu", 1, "processor of load and upstream")
	return o, f.Parse(args)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 4 && args[0] == reverseProxyVerb {
		return serveReverseProxy(ctx, args[1], args[2], args[3])
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if err := pinSelf(o.loadCPU); err != nil {
		return err
	}
	e, err := newEngine(o.body)
	if err != nil {
		return fmt.Errorf("starting the upstream: %w", err)
	}
	defer e.close()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := &setup{Dir: dir, Key: "the-real-key", Host: host, Upstream: e.port, engine: e, binary: o.binary}
	if s.Token, err = agentToken(ctx, s, o.proxyCPU); err != nil {
		return fmt.Errorf("starting %s: %w", sallyport, err)
	}
	results, err := measureAll(ctx, s, o, stderr)
	if err != nil {
		return err
	}
	return report(stdout, o, results)
}

// measureAll runs every proxy once in each round.
func measureAll(ctx context.Context, s *setup, o options, stderr io.Writer) (map[string][]sample, error) {
	results := map[string][]sample{}
	for round := range o.rounds {
		for _, p := range slices.Backward(rotate(peers, round)) {
			fmt.Fprintf(stderr, "round %d of %d: %s\n", round+1, o.rounds, p.name)
			one, err := measure(ctx, p, s, o)
			if err != nil {
				return nil, fmt.Errorf("measuring %s: %w", p.name, err)
			}
			results[p.name] = append(results[p.name], one)
		}
	}
	return results, nil
}

// rotate gives each peer each place in the order, since a machine drifts.
func rotate(list []peer, by int) []peer {
	by %= len(list)
	return slices.Concat(list[by:], list[:by])
}
