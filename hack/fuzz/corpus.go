package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is committed for one target. Committed inputs run with every
// test.
const (
	mostInputs = 64
	mostBytes  = 4 << 10
)

// covered is the code that counts as reached, besides the target's own package.
const covered = "./internal/...,./sidecar/..."

// corpus is where the inputs of t are committed.
func (t *target) corpus() string { return filepath.Join(t.dir, "testdata", "fuzz", t.function) }

// inputs are the names of those that are there.
func inputs(t *target) (names []string) {
	entries, err := os.ReadDir(t.corpus())
	if err != nil {
		return nil // there is none yet
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// candidate is an input that was found.
type candidate struct {
	path string
	size int64
}

// keep commits, smallest first, the inputs below found that run code which
// neither seeds nor committed inputs do, up to the bounds. What is built goes into work.
func keep(ctx context.Context, t *target, found, work string, out io.Writer) error {
	all, err := candidates(found)
	if err != nil || len(all) == 0 {
		return err
	}
	c := &cover{target: t, binary: filepath.Join(work, "cover.test"), profile: filepath.Join(work, "profile")}
	if err := c.build(ctx, out); err != nil {
		return err
	}
	known, err := c.reached(ctx, "")
	if err != nil {
		return err
	}
	kept := 0
	for i := 0; i < len(all) && len(inputs(t)) < mostInputs && ctx.Err() == nil; i++ {
		added, err := c.try(ctx, all[i].path, known)
		if err != nil {
			return err
		}
		if added {
			kept++
		}
	}
	fmt.Fprintf(out, "%d of %d inputs that were found are kept\n", kept, len(all))
	return nil
}

// candidates are the inputs in a directory that are small enough, smallest first.
func candidates(dir string) (all []candidate, err error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was found: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("reading what was found: %w", err)
		}
		if info.Size() <= mostBytes {
			all = append(all, candidate{filepath.Join(dir, e.Name()), info.Size()})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		if a.size != b.size {
			return int(a.size - b.size)
		}
		return strings.Compare(a.path, b.path)
	})
	return all, nil
}

// cover tells which code an input runs.
type cover struct {
	target          *target
	binary, profile string
}

func (c *cover) build(ctx context.Context, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", c.binary, "-cover", "-coverpkg="+covered+",./"+c.target.dir, "./"+c.target.dir)
	cmd.Stderr = out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", c.target.name(), err)
	}
	return nil
}

// reached returns the blocks of code that one committed input runs, or all of
// them with the seeds.
func (c *cover) reached(ctx context.Context, input string) (map[string]bool, error) {
	run := "^" + c.target.function + "$"
	if input != "" {
		run += "/^" + input + "$"
	}
	cmd := exec.CommandContext(ctx, c.binary, "-test.run", run, "-test.coverprofile", c.profile)
	cmd.Dir = c.target.dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("running %s: %w\n%s", c.target.name(), err, said)
	}
	text, err := os.ReadFile(c.profile)
	if err != nil {
		return nil, fmt.Errorf("reading what %s runs: %w", c.target.name(), err)
	}
	blocks := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// file:from,to statements count
		if block, count, ok := strings.Cut(lines.Text(), " "); ok && !strings.HasSuffix(count, " 0") {
			blocks[block] = true
		}
	}
	return blocks, nil
}

// try puts an input among the committed ones, and leaves it there where it runs
// code that is not known.
func (c *cover) try(ctx context.Context, path string, known map[string]bool) (added bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("reading an input of %s: %w", c.target.name(), err)
	}
	into := filepath.Join(c.target.corpus(), filepath.Base(path))
	if _, err := os.Stat(into); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(c.target.corpus(), 0o755); err != nil {
		return false, fmt.Errorf("keeping an input of %s: %w", c.target.name(), err)
	}
	if err := os.WriteFile(into, text, 0o644); err != nil {
		return false, fmt.Errorf("keeping an input of %s: %w", c.target.name(), err)
	}
	blocks, err := c.reached(ctx, filepath.Base(path))
	for block := range blocks {
		if !known[block] {
			known[block], added = true, true
		}
	}
	if !added || err != nil {
		_ = os.Remove(into)
		_ = os.Remove(c.target.corpus()) // where nothing else is in it
	}
	return added, err
}
