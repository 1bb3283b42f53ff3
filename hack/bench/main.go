// Command bench measures the proxied request beside HAProxy, nginx and
// httputil.ReverseProxy on equal work, each proxy alone on one core and load
// and upstream on another. It prints CPU per request, requests per second,
// latency and memory, as ratios to HAProxy.
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
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}
