package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/sidecar/process"
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

// settled is how long after a document the process is taken to have what it needs.
const settled = 250 * time.Millisecond

// trimming has memory given back a while after each document that apply reads.
func trimming(apply func(*bundle.State) []bundle.ApplyError) func(*bundle.State) []bundle.ApplyError {
	later := time.AfterFunc(settled, process.Trim)
	return func(s *bundle.State) []bundle.ApplyError {
		defer later.Reset(settled)
		return apply(s)
	}
}
