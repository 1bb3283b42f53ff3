package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// grace is how long a process may take to end after SIGTERM. An API server
	// with open watches would take a minute.
	grace = 5 * time.Second
	// killWait bounds the wait after SIGKILL, which only a process stuck in
	// the kernel outlasts.
	killWait = 10 * time.Second
	pollStep = 20 * time.Millisecond
)

// errGone says that a process number does not belong to a living process.
var errGone = errors.New("no such process")

// startTime returns when a process started, in clock ticks after boot. A
// zombie counts as gone.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, errGone
	}
	return parseStat(data)
}

// parseStat reads the start time (field 22) of /proc/PID/stat. The command
// name, field 2, may itself hold spaces and parentheses, so fields are counted
// from its last parenthesis; see proc(5).
func parseStat(data []byte) (uint64, error) {
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return 0, fmt.Errorf("reading process status: no command name in %q", data)
	}
	const state, start = 0, 19 // counted after the name
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) <= start {
		return 0, fmt.Errorf("reading process status: %d fields are too few", len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return 0, errGone
	}
	return strconv.ParseUint(fields[start], 10, 64)
}

// running reports whether the recorded process still lives.
func (r record) running() bool {
	start, err := startTime(r.PID)
	if err != nil || start != r.Start {
		return false
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
	if err != nil {
		return false
	}
	// An executable that was rebuilt meanwhile still names the same process.
	return strings.TrimSuffix(exe, " (deleted)") == r.Exe
}

// Stop ends the named process, with SIGTERM and then SIGKILL, and forgets it.
// A process that is not ours or has ended is left alone.
func (t Table) Stop(ctx context.Context, name string) error {
	if r, ok := t.read(name); ok {
		if err := r.stop(ctx); err != nil {
			return fmt.Errorf("stopping %s (pid %d): %w", name, r.PID, err)
		}
	}
	err := os.Remove(t.recordPath(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting %s: %w", name, err)
	}
	return nil
}

func (r record) stop(ctx context.Context) error {
	// A handle taken before the check: the number cannot change its owner
	// between the check and the signal.
	p, err := os.FindProcess(r.PID)
	if err != nil {
		return nil // it has ended, which is what we want
	}
	defer func() { _ = p.Release() }()
	if !r.running() {
		return nil
	}
	if err := r.signal(ctx, p, syscall.SIGTERM, grace); err == nil || ctx.Err() != nil {
		return err
	}
	return r.signal(ctx, p, syscall.SIGKILL, killWait)
}

// signal sends sig and waits until the process has ended.
func (r record) signal(ctx context.Context, p *os.Process, sig os.Signal, wait time.Duration) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for r.running() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for it to end after %v: %w", sig, ctx.Err())
		case <-time.After(pollStep):
		}
	}
	return nil
}
