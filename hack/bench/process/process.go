// Package process reads what programs use of a machine, and binds them to its
// processors.
package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bind binds this process, all its threads included, to one processor.
func Bind(cpu int) error {
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

// family is the process and its children, as nginx has.
func family(pid int) []int {
	pids := []int{pid}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
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

// CPU is the user and system time of a process and its children so far. The
// kernel counts it in ns here, unlike the ticks of stat.
func CPU(pid int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range family(pid) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(threads) == 0 {
			return 0, fmt.Errorf("reading processor time: process %d has no threads, %w", pid, os.ErrNotExist)
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

// RSS is the resident memory of a process and its children, in bytes.
func RSS(pid int) (int64, error) {
	var sum int64
	for _, pid := range family(pid) {
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
