package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// row is what is recorded of one run.
type row struct {
	target     string
	processor  time.Duration
	wall       time.Duration
	executions int64
	corpus     int // inputs that are committed or to be
	findings   int
	revision   string
}

// fuzz builds and runs t. The row is nil where it did not run.
func fuzz(ctx context.Context, t *target, o options, out io.Writer) (*row, error) {
	work, err := os.MkdirTemp("", "fuzz-")
	if err != nil {
		return nil, fmt.Errorf("fuzzing %s: %w", t.name(), err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	binary := filepath.Join(work, "fuzz.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "-fuzz", "^"+t.function+"$", "./"+t.dir)
	build.Stderr = out
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building %s: %w", t.name(), err)
	}
	r := &row{target: t.name()}
	found, err := cache(ctx, t)
	if err != nil {
		return nil, err
	}
	err = attack(ctx, t, o.each, binary, found, out, r)
	if err == nil && o.corpus {
		err = keep(ctx, t, filepath.Join(found, t.function), work, out)
	}
	r.corpus = len(inputs(t))
	return r, err
}

// cache is where the go command keeps what was found in earlier runs, so that
// each goes on from there.
func cache(ctx context.Context, t *target) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("finding the cache of inputs: %w", err)
	}
	pkg, err := exec.CommandContext(ctx, "go", "list", "./"+t.dir).Output()
	if err != nil {
		return "", fmt.Errorf("finding the cache of inputs: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "fuzz", filepath.FromSlash(strings.TrimSpace(string(pkg)))), nil
}

// progress matches what the testing package tells of a run now and then.
var progress = regexp.MustCompile(`execs: (\d+)`)

// minimize is how long one input may be made smaller: the default of a minute
// would be all that a short run has.
const minimize = "1s"

// attack runs a binary on one processor, and notes what that cost. Inputs that
// reach more go below found.
func attack(ctx context.Context, t *target, each, binary, found string, out io.Writer, r *row) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.fuzz", "^"+t.function+"$", "-test.fuzztime", each,
		"-test.fuzzcachedir", found, "-test.parallel", "1", "-test.fuzzminimizetime", minimize)
	both := io.MultiWriter(out, &said) // one writer: then one goroutine writes
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.dir, both, both
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it ends its workers
	began := time.Now()
	err := cmd.Run()
	r.wall = time.Since(began)
	if cmd.ProcessState != nil { // with its workers, which it has waited for
		r.processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if all := progress.FindAllSubmatch(said.Bytes(), -1); len(all) > 0 {
		r.executions, _ = strconv.ParseInt(string(all[len(all)-1][1]), 10, 64)
	}
	if err != nil && ctx.Err() == nil {
		r.findings = 1 // a run ends with the first
		return fmt.Errorf("%s failed: the input is below %s/testdata/fuzz: commit it with the fix", t.name(), t.dir)
	}
	return nil
}
