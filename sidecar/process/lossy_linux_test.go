package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLossy writes lines to a pipe that nobody reads, for ever: no write waits, and
// what is read afterwards are whole lines, the first ones, and those behind.
func TestLossy(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	own, closeOwn := Apart(w)
	defer closeOwn()
	if own == w {
		t.Fatal("the pipe was not opened for itself")
	}
	notes := Lossy(own)
	line := strings.Repeat("a", 200)
	const many = 2000 // more than a pipe takes
	for i := range many {
		if n, err := fmt.Fprintf(notes, "%d %s\n", i, line); err != nil || n < 200 {
			t.Fatalf("line %d: %d, %v", i, n, err)
		}
	}
	var lines []string
	in := bufio.NewScanner(r)
	for range 60 { // which makes room for a few more
		if !in.Scan() {
			t.Fatal(in.Err())
		}
		lines = append(lines, in.Text())
	}
	_, _ = fmt.Fprintf(notes, "last %s\n", line)
	w.Close()
	closeOwn()
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	if len(lines) < 100 || len(lines) >= many || lines[len(lines)-1] != "last "+line {
		t.Errorf("%d lines are there, the last one is %q", len(lines), lines[len(lines)-1])
	}
	for i, l := range lines[:len(lines)-1] {
		if l != fmt.Sprintf("%d %s", i, line) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
}

// TestNotLossy: a file is written to as ever.
func TestNotLossy(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if own, closeOwn := Apart(f); own != f || Lossy(f) != io.Writer(f) {
		t.Error("a file is taken for a pipe")
	} else {
		closeOwn()
	}
}
