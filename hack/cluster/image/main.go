// Command image assembles container images: from one static binary, or from
// Debian packages. It writes an archive, pushes to a registry, or both, and
// prints the image's reference by digest.
//
//	image binary -name registry/name:tag [-arch amd64] [-o FILE] [-push] EXECUTABLE
//	image debian -name registry/name:tag [-o FILE] [-push] PACKAGE...
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
		fmt.Fprintln(os.Stderr, "image:", err)
		stop()
		os.Exit(1)
	}
}
