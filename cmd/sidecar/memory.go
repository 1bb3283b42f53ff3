package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryMax is the memory limit of this container (cgroup v2).
const memoryMax = "/sys/fs/cgroup/memory.max"

// limitMemory has the collector work harder before the kernel ends the process:
// at 85 % of the limit in file, since not all memory is counted by Go. Without a
// limit there is none.
func limitMemory(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 {
		return // "max"
	}
	debug.SetMemoryLimit(limit / 100 * 85)
}
