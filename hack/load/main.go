// Command load runs the data plane for a long time at a share of what it can
// do, beside agents that are slow, broken or hostile and an upstream that
// resets connections, and fails where an answer is wrong, a record is missing,
// memory grows or descriptors are left behind.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport-dev/sallyport/hack/load/bystander"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == bystander.Verb {
		if err := bystander.Run(ctx, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bystander:", err)
		}
		return
	}
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		stop()
		os.Exit(1)
	}
}
