package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// options are the command line.
type options struct {
	sidecar  string
	document string
	rounds   int
	starts   int
	length   time.Duration
	only     *regexp.Regexp
	proxyCPU int
	loadCPU  int
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.sidecar, "sidecar", "bin/sidecar", "`path` of the sidecar's binary, which is measured")
	f.StringVar(&o.document, "document", "", "`file` that the tables are written into, between two lines that it has for them; empty: they are printed alone")
	f.IntVar(&o.rounds, "rounds", 7, "rounds of each scenario")
	f.IntVar(&o.starts, "starts", 21, "how often the time to start is measured")
	f.DurationVar(&o.length, "length", 500*time.Millisecond, "what each proxy runs in a round, in turns with the others, besides a warm-up of a fifth of it")
	only := f.String("only", "", "`pattern` of the scenarios that are run")
	f.IntVar(&o.proxyCPU, "proxy-cpu", 0, "processor of the proxy")
	f.IntVar(&o.loadCPU, "load-cpu", 1, "processor of load and upstream")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("reading -only: %w", err)
	}
	if o.rounds < 1 || o.starts < 1 || o.length <= 0 || f.NArg() > 0 {
		return o, errors.New("reading flags: give -rounds, -starts and -length above zero, and no arguments")
	}
	if o.document != "" {
		if err := report.Check(o.document); err != nil {
			return o, fmt.Errorf("reading -document: %w", err)
		}
	}
	if _, err := os.Stat(o.sidecar); err != nil {
		return o, fmt.Errorf("reading -sidecar: %w: make build makes it", err)
	}
	return o, nil
}
