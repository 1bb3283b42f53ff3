package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Cgroup is a control group of one name in every hierarchy of the host, of
// version 1 or 2. All processes below it belong to the cluster's pods.
type Cgroup struct {
	name  string
	roots []string
}

// FindCgroup looks for the host's hierarchies. The group need not exist.
func FindCgroup(name string) (Cgroup, error) {
	list, err := mounts()
	if err != nil {
		return Cgroup{}, err
	}
	var roots []string
	for _, m := range list {
		if m.fs == "cgroup" || m.fs == "cgroup2" {
			roots = append(roots, m.point)
		}
	}
	if len(roots) == 0 {
		return Cgroup{}, errors.New("no control groups are mounted: mount cgroup2 at /sys/fs/cgroup")
	}
	return Cgroup{name: name, roots: roots}, nil
}

// Make makes the group, which the kubelet wants to find.
func (c Cgroup) Make() error {
	for _, r := range c.roots {
		if err := os.MkdirAll(filepath.Join(r, c.name), 0o755); err != nil {
			return fmt.Errorf("making control group: %w", err)
		}
	}
	return nil
}

// pids lists the processes in the group and the groups below it.
func (c Cgroup) pids() ([]int, error) {
	var pids []int
	for _, dir := range c.dirs() {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("listing processes of pods: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// dirs lists the group's directories, parents before children.
func (c Cgroup) dirs() []string {
	var dirs []string
	for _, r := range c.roots {
		// An error is that of a directory which was removed meanwhile.
		_ = filepath.WalkDir(filepath.Join(r, c.name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	return dirs
}

const (
	killWait = 30 * time.Second
	killStep = 50 * time.Millisecond
)

// Kill ends every process in the group and waits until it is empty.
func (c Cgroup) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	for {
		pids, err := c.pids()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by itself
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for processes %v of pods to end: %w", pids, ctx.Err())
		case <-time.After(killStep):
		}
	}
}

// Remove removes the empty group and the groups below it.
func (c Cgroup) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	for {
		var last error
		dirs := c.dirs()
		slices.Reverse(dirs) // children first
		for _, d := range dirs {
			if err := unix.Rmdir(d); err != nil && !errors.Is(err, unix.ENOENT) {
				last = fmt.Errorf("removing control group %s: %w", d, err)
			}
		}
		if last == nil {
			return nil
		}
		select { // the kernel frees a group some time after its last process
		case <-ctx.Done():
			return last
		case <-time.After(killStep):
		}
	}
}
