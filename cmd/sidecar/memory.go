package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// memoryMax is the memory limit of this container (cgroup v2).
const memoryMax = "/sys/fs/cgroup/memory.max"

// limitMemory has the collector work harder before the kernel ends the process:
// at 85 % of the limit in file, since not all memory is counted by Go, unless
// GOMEMLIMIT says less. Without a limit there is none. How many processors there
// are the runtime asks the container itself.
func limitMemory(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 {
		return // "max"
	}
	debug.SetMemoryLimit(min(limit/100*85, debug.SetMemoryLimit(-1)))
}

// Times after which memory is given back.
const (
	// settled is how long after a document the process has what it needs, and has
	// acknowledged it.
	settled = 2 * time.Second
	// resting is how often a process is looked at that may have nothing to do. It
	// is less than two minutes, after which the runtime would collect by itself
	// and keep what that takes.
	resting = 100 * time.Second
	// restful is how much processor time one takes meanwhile that does nothing but
	// hear from the broker.
	restful = 50 * time.Millisecond
)

// trimmer gives memory back a while after each document, and whenever the process
// rests: what is in use comes back, and a process that works is left alone.
type trimmer struct {
	trim func()
	used func() time.Duration // processor time of the process

	mu    sync.Mutex
	timer *time.Timer
	fresh bool          // a document came since
	last  time.Duration // what was used at the last look
}

func newTrimmer(trim func(), used func() time.Duration) *trimmer {
	t := &trimmer{trim: trim, used: used, fresh: true} // there is what the start needed
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(settled, t.look)
	return t
}

// apply has memory given back a while after each document that next reads.
func (t *trimmer) apply(next func(*bundle.State) []bundle.ApplyError) func(*bundle.State) []bundle.ApplyError {
	return func(s *bundle.State) []bundle.ApplyError {
		defer t.soon()
		return next(s)
	}
}

func (t *trimmer) soon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = true
	t.timer.Reset(settled)
}

func (t *trimmer) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh || t.used()-t.last < restful {
		t.trim()
	}
	t.fresh, t.last = false, t.used()
	t.timer.Reset(resting)
}
