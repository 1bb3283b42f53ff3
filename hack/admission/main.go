// Command admission measures what the webhook adds to the creation of pods, by
// the metrics of a real API server: pods that ask and, beside them, pods that do
// not, at the same rate. No node takes them. The webhook is two processes of the
// manager. It is run by hack/bench-webhook.sh.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// plan is what is measured.
type plan struct {
	rate   int // pods a second
	rounds int
	length time.Duration // of one run
}

func main() {
	debug.SetGCPercent(400) // what collects here takes processors from what is measured
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "admission:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var p plan
	f := flag.NewFlagSet("admission", flag.ContinueOnError)
	f.IntVar(&p.rate, "rate", 100, "pods a second")
	f.IntVar(&p.rounds, "rounds", 5, "runs of each kind")
	f.DurationVar(&p.length, "length", 20*time.Second, "time of one run")
	if err := f.Parse(args); err != nil {
		return err
	}
	return p.measure(ctx, os.Stdout)
}
