package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpu is what the processes of a run have used so far.
type cpu struct{ manager, sidecars, server time.Duration }

// tick is the unit in which the kernel counts processor time (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// used adds processor time up. The API server and its etcd are the other
// children of this process.
func (p *process) used() (cpu, error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return cpu{}, fmt.Errorf("reading processor time: %w", err)
	}
	c := cpu{sidecars: time.Duration(own.Utime.Nano() + own.Stime.Nano())}
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return cpu{}, fmt.Errorf("reading processor time: %w", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, parent, time := stat(string(text))
		switch {
		case pid == p.cmd.Process.Pid:
			c.manager = time
		case parent == os.Getpid():
			c.server += time
		}
	}
	return c, nil
}

// stat reads pid, parent and processor time of a process. The second field is a
// name in parentheses, which may hold anything.
func stat(text string) (pid, parent int, used time.Duration) {
	head, rest, _ := strings.Cut(text, " ")
	fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
	if len(fields) < 13 {
		return 0, 0, 0
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n } // the kernel writes numbers
	return number(head), number(fields[1]), time.Duration(number(fields[11])+number(fields[12])) * tick
}

func (c cpu) since(before cpu) cpu {
	return cpu{c.manager - before.manager, c.sidecars - before.sidecars, c.server - before.server}
}

// each is what one of n sidecars cost.
func (c cpu) each(n int) string {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(n) }
	return fmt.Sprintf("manager %.2f ms, sidecars %.2f ms, API server %.2f ms", ms(c.manager), ms(c.sidecars), ms(c.server))
}

// middle is the median of each of the three by itself.
func middle(all []cpu) cpu {
	of := func(part func(cpu) time.Duration) time.Duration {
		var times []time.Duration
		for _, c := range all {
			times = append(times, part(c))
		}
		return median(times)
	}
	return cpu{
		of(func(c cpu) time.Duration { return c.manager }),
		of(func(c cpu) time.Duration { return c.sidecars }),
		of(func(c cpu) time.Duration { return c.server }),
	}
}
