// Command cmd is the upstream of the story as a process of its own, for a pod.
// It makes the story's repository, serves it in the shape of GitHub over TLS to
// whoever has the key, and writes what it saw to the standard output, a line of
// JSON for each request.
//
// A second listener is for whoever watches the story, and asks for nothing:
//
//	GET  /-/branches   the branches that there are now, a JSON list
//	GET  /-/log        what was seen since the start or the last reset, a JSON list
//	POST /-/reset      makes the repository anew and forgets what was seen
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
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
}
