package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport-dev/sallyport/hack/cluster/cluster"
)

const usage = `usage: go -C hack/cluster run . VERB

  up                 bring the cluster up, or repair it
  down               take it down and remove all it made
  load ARCHIVE...    import images; prints their names by digest
  logs [COMPONENT]   print a component's log, or list the logs
  binaries [NAME...] build programs; prints their directory
  kubeconfig         print the path of the administrator's kubeconfig

go -C changes the directory, so give archives by absolute paths`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("no verb\n%s", usage)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("finding the cache directory: %w: set XDG_CACHE_HOME", err)
	}
	module, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the module: %w", err)
	}
	c := cluster.New(filepath.Join(cache, "sallyport"), module, stderr)
	return do(ctx, c, args[0], args[1:], stdout)
}

func do(ctx context.Context, c *cluster.Cluster, verb string, args []string, stdout io.Writer) error {
	switch verb {
	case "up":
		return c.Up(ctx)
	case "down":
		return c.Down(ctx)
	case "load":
		return load(ctx, c, args, stdout)
	case "logs":
		return logs(c, args, stdout)
	case "binaries":
		if err := c.Build(ctx, args...); err != nil {
			return err
		}
		return printLine(stdout, c.Bin())
	case "kubeconfig":
		return printLine(stdout, c.Kubeconfig())
	}
	return fmt.Errorf("unknown verb %q\n%s", verb, usage)
}

func load(ctx context.Context, c *cluster.Cluster, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("load takes image archives: make some with go -C hack/cluster run ./image")
	}
	refs, err := c.Load(ctx, args...)
	for _, r := range refs {
		if perr := printLine(stdout, r); perr != nil {
			return perr
		}
	}
	return err
}

func logs(c *cluster.Cluster, args []string, stdout io.Writer) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	text, err := c.Logs(name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	return err
}

func printLine(w io.Writer, s string) error {
	_, err := fmt.Fprintln(w, s)
	return err
}
