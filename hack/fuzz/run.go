package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// options are the command line.
type options struct {
	each    string // a duration, or a number of executions with an x behind it
	pattern *regexp.Regexp
	corpus  bool
}

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	each := flags.String("time", "1m", "how long each target is fuzzed, or how often, as 1000x")
	pattern := flags.String("pattern", ".", "targets, by a regular expression for \"package: Target\"")
	corpus := flags.Bool("corpus", true, "keep inputs that reach more")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	compiled, err := regexp.Compile(*pattern)
	if err != nil {
		return options{}, fmt.Errorf("reading -pattern: %w", err)
	}
	return options{*each, compiled, *corpus}, nil
}

// run fuzzes what is asked for. Every target has its turn: the error tells of
// those that failed, and of what could not be run.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	targets, err := list(ctx)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return !o.pattern.MatchString(t.name()) })
	if len(chosen) == 0 {
		return fmt.Errorf("choosing targets: none of %d matches %s", len(targets), o.pattern)
	}
	revision, err := describe(ctx)
	if err != nil {
		return err
	}
	var errs []error
	var rows []row
	for i := 0; i < len(chosen) && ctx.Err() == nil; i++ {
		fmt.Fprintf(out, "== %d/%d %s for %s\n", i+1, len(chosen), chosen[i].name(), o.each)
		r, err := fuzz(ctx, &chosen[i], o, out)
		if r != nil && (ctx.Err() == nil || r.findings > 0) { // of a target that is broken off the record before stays
			r.revision = revision
			rows = append(rows, *r)
			err = errors.Join(err, store(targets, *r)) // at once: the next may be broken off
		}
		errs = append(errs, err)
	}
	fmt.Fprintf(out, "\n%s", table(rows))
	return errors.Join(errs...)
}
