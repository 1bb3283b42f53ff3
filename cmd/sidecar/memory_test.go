package main

import (
	"sync/atomic"
	"testing/synctest"
	"time"

	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// TestLimitMemory holds the collector to less than the container may have, also
// where that is less than the injected variable says, as after a resize.
func TestLimitMemory(t *testing.T) {
	was := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(was) })
	const asked = 85 << 20
	for name, test := range map[string]struct {
		why, text string
		before    int64
		want      int64
	}{
		"limited":         {"what Go does not count needs room", "104857600\n", math.MaxInt64, 85 << 20},
		"no variable, no": {"nothing limits it", "max\n", math.MaxInt64, math.MaxInt64},
		"less than asked": {"the container's own limit counts", "10485760\n", asked, 85 << 20 / 10},
		"more than asked": {"what was asked for counts", "1048576000\n", asked, asked},
		"garbled":         {"it says nothing", "many\n", asked, asked},
		"none":            {"it says nothing", "0\n", asked, asked},
		"no file":         {"not in a container", "", asked, asked},
	} {
		debug.SetMemoryLimit(test.before)
		file := filepath.Join(t.TempDir(), "memory.max")
		if test.text != "" {
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		limitMemory(file)
		if got := debug.SetMemoryLimit(-1); got > test.want || got < test.want-1000 {
			t.Errorf("%s: %s: got %d, want %d", name, test.why, got, test.want)
		}
	}
}

// TestProcessorsAreTheContainers holds that nothing turns off what the runtime
// does since Go 1.25: as many processors as the container's limit has, and no
// more when that changes.
func TestProcessorsAreTheContainers(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("nothing says how this was built")
	}
	for _, s := range info.Settings {
		if s.Key == "DefaultGODEBUG" && s.Value != "" {
			t.Errorf("defaults are those of another release: %s", s.Value)
		}
	}
	before := runtime.GOMAXPROCS(0)
	runtime.SetDefaultGOMAXPROCS()
	if after := runtime.GOMAXPROCS(0); before != after {
		t.Errorf("somebody has set %d, the container has %d", before, after)
	}
}

// TestTrimmer has memory given back a while after each document and whenever
// nothing was worked for long, and lets a process alone that works.
func TestTrimmer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trims, used atomic.Int64
		m := newTrimmer(func() { trims.Add(1) }, func() time.Duration { return time.Duration(used.Load()) })
		defer m.timer.Stop()
		at := func(what string, pass time.Duration, want int64) {
			t.Helper()
			<-time.After(pass)
			synctest.Wait()
			if got := trims.Load(); got != want {
				t.Errorf("%s: given back %d times, want %d", what, got, want)
			}
		}
		read := m.apply(func(*bundle.State) []bundle.ApplyError { return nil })
		at("before it has settled", settled-1, 0)
		at("what the start needed", 1, 1)
		read(nil)
		at("a document that was just read", settled-1, 1)
		read(nil)
		at("another one", settled-1, 1)
		at("both", 1, 2)
		at("at rest", resting, 3)
		used.Add(int64(restful))
		at("at work", resting, 3)
		read(nil)
		used.Add(int64(time.Hour))
		at("a document, at work", settled, 4)
		used.Add(int64(time.Hour))
		at("at work", resting, 4)
		at("at rest again", resting, 5)
	})
}
