package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sample is one run of one proxy.
type sample struct {
	cpu      time.Duration // of the proxy, per request
	rate     float64       // requests per second; 0: the proxy's core was not full
	p50, p99 time.Duration
	rss      int64 // bytes, at the end
}

// saturated is the share of its core that a proxy must have used before its
// rate says anything about it.
const saturated = 0.9

func pinSelf(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return fmt.Errorf("listing threads: %w", err)
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return fmt.Errorf("listing threads: %w", err)
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("binding to processor %d: %w", cpu, err)
		}
	}
	return nil
}

// measure starts p, warms it up, loads it and takes its figures.
func measure(ctx context.Context, p peer, s *setup, o options) (sample, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd, addr, token, err := p.start(ctx, s, o.proxyCPU)
	if cmd != nil {
		defer func() {
			stop()
			_ = cmd.Wait()
		}()
	}
	if err != nil {
		return sample{}, err
	}
	authority := host
	if p.name == sallyport {
		authority = addr
	}
	l, err := connect(s.engine, addr, authority, token, o.connections)
	if err != nil {
		return sample{}, err
	}
	defer l.close()
	warm, err := l.run(ctx, o.length/5)
	if err != nil {
		return sample{}, err
	}
	one, requests, err := measureRunning(ctx, cmd, o, l)
	if err == nil && p.name == sallyport {
		err = checkAudit(s.audit(), len(warm)+requests)
	}
	return one, err
}

// measureRunning loads a warm proxy once.
func measureRunning(ctx context.Context, cmd *exec.Cmd, o options, l *loader) (sample, int, error) {
	before, err := cpuTime(cmd)
	if err != nil {
		return sample{}, 0, err
	}
	start := time.Now()
	took, err := l.run(ctx, o.length)
	if err != nil {
		return sample{}, 0, err
	}
	wall := time.Since(start)
	after, err := cpuTime(cmd)
	if err != nil {
		return sample{}, 0, err
	}
	one := sample{cpu: (after - before) / time.Duration(len(took)), p50: took[len(took)/2], p99: took[len(took)*99/100]}
	if float64(after-before) >= saturated*float64(wall) {
		one.rate = float64(len(took)) / wall.Seconds()
	}
	one.rss, err = residentSet(cmd)
	return one, len(took), errors.Join(err, ctx.Err())
}

// checkAudit counts the records of decisions: one for each request.
func checkAudit(path string, requests int) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("counting audit records: %w", err)
	}
	defer func() { _ = f.Close() }()
	n := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(`"event":"decision"`)) {
			n++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("counting audit records: %w", err)
	}
	if n != requests {
		return fmt.Errorf("%d audit records of %d requests", n, requests)
	}
	return nil
}

// family is the process and its children, as nginx has.
func family(cmd *exec.Cmd) []int {
	pids := []int{cmd.Process.Pid}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		return pids
	}
	for child := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(child); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpuTime sums user and system time. The kernel counts it in ns here, unlike
// the ticks of stat.
func cpuTime(cmd *exec.Cmd) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range family(cmd) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, fmt.Errorf("reading processor time: %w", err)
		}
		for _, t := range threads {
			b, err := os.ReadFile(t)
			if err != nil {
				return 0, fmt.Errorf("reading processor time: %w", err)
			}
			ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading processor time: %w", err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}

func residentSet(cmd *exec.Cmd) (int64, error) {
	var sum int64
	for _, pid := range family(cmd) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, fmt.Errorf("reading memory: %w", err)
		}
		pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading memory: %w", err)
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}
