package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func environment(of map[string]string) func(string) string {
	return func(name string) string { return of[name] }
}

// TestLimitMemory holds that the collector knows the container's limit, and that
// who runs the program has the last word.
func TestLimitMemory(t *testing.T) {
	none := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(none)
	tests := map[string]struct {
		why, text string
		env       map[string]string
		want      int64
	}{
		"limit":       {"that of the webhook's Deployment", "268435456\n", nil, 228170090},
		"no limit":    {"as cgroup v2 says it", "max\n", nil, none},
		"not cgroup":  {"no number", "", nil, none},
		"zero":        {"nothing could run in it", "0\n", nil, none},
		"environment": {"it was set on purpose", "268435456\n", map[string]string{"GOMEMLIMIT": "100MiB"}, none},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(none)
			file := filepath.Join(t.TempDir(), "memory.max")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			limitMemory(file, environment(test.env))
			if got := debug.SetMemoryLimit(-1); got != test.want {
				t.Errorf("%s: the limit is %d, want %d", test.why, got, test.want)
			}
		})
	}
	debug.SetMemoryLimit(none)
	limitMemory(filepath.Join(t.TempDir(), "absent"), environment(nil))
	if got := debug.SetMemoryLimit(-1); got != none {
		t.Errorf("there is no cgroup, and the limit is %d", got)
	}
}

// TestGrowMemory holds the same of how often the collector runs.
func TestGrowMemory(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	growMemory(webhookGrowth, environment(map[string]string{"GOGC": "50"}))
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("it was set on purpose, and is %d", got)
	}
	growMemory(webhookGrowth, environment(nil))
	if got := debug.SetGCPercent(100); got != webhookGrowth {
		t.Errorf("the heap grows by %d %%", got)
	}
}
