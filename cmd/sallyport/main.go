// Command sallyport works on the manifests of Sallyport without a cluster, and
// revokes credentials in one. As kubectl-sallyport in PATH it is a plugin of
// kubectl.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/sallyport/ask"
	"github.com/sallyport-dev/sallyport/cmd/sallyport/revoke"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(report(err, os.Stderr))
}

// run does what args say.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "sallyport",
		Short:         "Scoped credentials for agents",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRunCommand(), newDemoCommand(), revoke.Command())
	root.AddCommand(ask.Commands()...)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}
