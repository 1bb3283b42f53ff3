package process

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCPU works for a while, which is counted.
func TestCPU(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const work = 20 * time.Millisecond
	for deadline := time.Now().Add(10 * time.Second); ; {
		after, err := CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after-before >= work {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("10 s of work count as %v", after-before)
		}
	}
}

// TestFamily counts a child with its parent, and nothing of what has ended.
func TestFamily(t *testing.T) {
	cmd := exec.Command("sh", "-c", "cat; exit 0") // cat waits for its input
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// What was forked and is still to become cat has no memory for a moment.
	echo := make([]byte, 1)
	if _, err := in.Write(echo); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(echo); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	for deadline := time.Now().Add(10 * time.Second); len(family(pid)) < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("the family of sh is %v", family(pid))
		}
	}
	var each int64
	for _, member := range family(pid) {
		one, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", member))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := strconv.ParseInt(strings.Fields(string(one))[1], 10, 64)
		if err != nil || pages == 0 {
			t.Fatalf("%d pages, %v", pages, err)
		}
		each++
	}
	parent, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(parent), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := RSS(pid); err != nil || each != 2 || sum <= kilobytes<<10 {
		t.Errorf("%d bytes of %d processes, the parent alone has %d KiB: %v", sum, each, kilobytes, err)
	}
	_ = in.Close()
	_ = cmd.Wait()
	if _, err := CPU(pid); err == nil {
		t.Error("a process that has ended has processor time")
	}
}
