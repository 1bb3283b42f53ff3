// Command sidecar runs beside an agent: it judges the agent's requests, and
// sends those that pass upstream with a key that the agent never sees.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport-dev/sallyport/sidecar/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, process.Stdout(), process.Stderr())
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "sidecar:", err)
		os.Exit(1)
	}
}

// run serves the pod until ctx ends. Audit records go to stdout, all else to
// stderr.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if err := process.Harden(); err != nil { // before there is a secret in memory
		return err
	}
	o, err := parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	limitMemory(memoryMax)
	return o.serve(ctx, stdout, stderr)
}
