package git

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const largePack = 200 << 20

// grow adds a commit with a file of random bytes, which nobody can compress.
func (w *world) grow(t *testing.T, dir string, bytes int64) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	if _, err := io.CopyN(out, rand.NewChaCha8([32]byte{1}), bytes); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{"core.compression=0", "core.bigFileThreshold=1m", "gc.auto=0"} {
		name, value, _ := strings.Cut(config, "=")
		w.git(t, dir, "config", name, value)
	}
	w.git(t, dir, "add", "large")
	w.commit(t, dir, "large")
}

// peak is the largest resident memory that the process has had, in bytes.
func (w *world) peak(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscanf(after, "%d kB", &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// TestLargePack pushes and fetches more than the memory that is used for it,
// and is told why where it may not push.
func TestLargePack(t *testing.T) {
	w := newWorld(t)
	docs := w.clone(t, "acme/docs")
	w.grow(t, docs, largePack)
	before := w.peak(t)
	out, err := try(t, docs, w.env, "git", "push", "origin", "HEAD:main")
	if err == nil || !said(out, "! [remote rejected] HEAD -> main (sallyport: refs/heads/main may not be updated") {
		t.Errorf("%v\n%s", err, out)
	}
	w.git(t, docs, "push", "origin", "HEAD:agent/large")
	w.clone(t, "acme/docs", "--branch", "agent/large")
	if grown := w.peak(t) - before; grown > 24<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}
