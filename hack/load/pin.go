package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command starts the subject on the first core, where there are more: what it
// makes of the number of its processors it makes at its start.
func command(ctx context.Context, binary string, args []string) *exec.Cmd {
	if runtime.NumCPU() < 2 {
		return exec.CommandContext(ctx, binary, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", "0", binary}, args...)...)
}

// pin gives what asks and answers the subject the other cores, so that neither
// takes the other's time. With one core they share it.
func pin(bystander int) error {
	n := runtime.NumCPU()
	if n < 2 {
		return nil
	}
	others := "1-" + strconv.Itoa(n-1)
	for _, pid := range []int{os.Getpid(), bystander} {
		out, err := exec.Command("taskset", "-a", "-c", "-p", others, strconv.Itoa(pid)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("giving cores %s to process %d: %w: %s", others, pid, err, out)
		}
	}
	runtime.GOMAXPROCS(n - 1)
	return nil
}

// cpu is processor time that was used.
type cpu struct{ subject, load time.Duration }

func (c cpu) since(before cpu) cpu { return cpu{c.subject - before.subject, c.load - before.load} }

// used returns what subject and load have used so far.
func (s *subject) used() (cpu, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return cpu{}, fmt.Errorf("reading processor time: %w", err)
	}
	// Behind the name, in parentheses, utime and stime are fields 12 and 13, in
	// hundredths of a second on Linux.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return cpu{}, fmt.Errorf("reading processor time: %w", err)
		}
		ticks += n
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return cpu{}, fmt.Errorf("reading processor time: %w", err)
	}
	return cpu{time.Duration(ticks) * 10 * time.Millisecond, time.Duration(own.Utime.Nano() + own.Stime.Nano())}, nil
}
