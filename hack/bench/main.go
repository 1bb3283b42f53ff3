// Command bench measures the proxied request beside HAProxy, nginx and
// httputil.ReverseProxy on equal work, each proxy alone on one core and load
// and upstream on another, and what the sidecar needs by itself. It prints
// tables in Markdown, and writes them into a document.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport-dev/sallyport/hack/bench/isolate"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run is three programs: the one that is called, the same inside namespaces of
// its own, and one of the proxies.
func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == peers.ReverseProxyVerb {
		return peers.ServeReverseProxy(ctx, args[1], os.Stdout)
	}
	args, entered, err := isolate.Entered(args)
	if err != nil {
		return err
	}
	o, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	if !entered {
		return isolate.Run(ctx, args)
	}
	return bench(ctx, o, os.Stdout, os.Stderr)
}
