package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryMax is the memory limit of this container (cgroup v2).
const memoryMax = "/sys/fs/cgroup/memory.max"

// webhookGrowth is how much a webhook allocates before the collector runs, in
// percent of what is in use. That is little: what was read of our two kinds. As
// often as by default, a collection would meet several reviews of a hundred,
// which wait for it. The limit of the container bounds it all the same.
const webhookGrowth = 400

// limitMemory has the collector work harder before the kernel ends the process:
// at 85 % of the limit in file, since not all memory is counted by Go. Without a
// limit there is none. What the environment says is left alone.
func limitMemory(file string, getenv func(string) string) {
	if getenv("GOMEMLIMIT") != "" {
		return
	}
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

// growMemory lets the heap grow by percent between collections, unless the
// environment says by how much.
func growMemory(percent int, getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
