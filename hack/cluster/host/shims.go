package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KillShims ends the processes that hold containers of the containerd that
// listens on socket, and waits for them to be gone. They outlive containerd by
// design, and name its socket on their command line.
func KillShims(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	for {
		pids, err := shims(socket)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := killShim(pid, socket); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for container shims %v to end: %w", pids, ctx.Err())
		case <-time.After(killStep):
		}
	}
}

func shims(socket string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && isShim(commandLine(pid), socket) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func commandLine(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
}

// isShim reports whether args are those of a shim that reports to socket.
func isShim(args []string, socket string) bool {
	if len(args) == 0 || !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") {
		return false
	}
	i := slices.Index(args, "-address")
	return i > 0 && i+1 < len(args) && args[i+1] == socket
}

func killShim(pid int, socket string) error {
	// A handle taken before the check cannot come to name another process.
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil // it has ended, which is what we want
	}
	defer func() { _ = p.Release() }()
	if !isShim(commandLine(pid), socket) {
		return nil
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending container shim %d: %w", pid, err)
	}
	return nil
}
