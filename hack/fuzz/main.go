// Command fuzz fuzzes the targets of this module one by one and keeps a record.
//
// Each is built once, run on one processor for a time, and judged by the
// processor time that it got, since machines are shared. Inputs that reach code
// which no committed one reaches are kept below testdata.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		stop()
		os.Exit(1)
	}
}
