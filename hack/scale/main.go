// Command scale measures how fast a change reaches the sidecars of many pods,
// on a real API server: from the API server's answer to the edit until the
// sidecar's judge decides by it. The manager is a process of its own, the
// sidecars share one. It is run by hack/bench-scale.sh.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// plan is what is measured.
type plan struct {
	sidecars int
	rounds   int
	rate     int           // requests a second while the broker restarts
	rest     time.Duration // between two edits
	profiles string        // directory for profiles of scope changes; empty: none
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var p plan
	f := flag.NewFlagSet("scale", flag.ContinueOnError)
	f.IntVar(&p.sidecars, "sidecars", 1000, "pods with a sidecar")
	f.IntVar(&p.rounds, "rounds", 5, "edits of each kind")
	f.IntVar(&p.rate, "rate", 200, "requests a second while the broker restarts")
	f.DurationVar(&p.rest, "rest", 2*time.Second, "time between two edits")
	manager := f.String("manager", "", "be the manager of the API server in this `FILE`")
	address := f.String("address", "", "where the manager listens")
	fan := f.String("fan", "", "be the sending end of the control, at this `ADDRESS`")
	f.StringVar(&p.profiles, "profiles", "", "`DIRECTORY` for profiles of manager and sidecars")
	debug := f.String("debug", "", "where the manager is profiled")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case *manager != "":
		return beManager(ctx, *manager, *address, *debug)
	case *fan != "":
		return beFan(ctx, *fan)
	}
	return p.measure(ctx, os.Stdout)
}
