package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Places outside of the state directory that programs write to and that no
// option moves.
const (
	// containerLinks is where the kubelet links the logs of containers.
	containerLinks = "/var/log/containers"
	// devicePlugins is where the kubelet awaits device plugins.
	devicePlugins = "/var/lib/kubelet/device-plugins"
	// cniResults is where containerd remembers the networks of pods.
	cniResults = "/var/lib/cni/results"
	// shimSockets is where the shims of containers listen.
	shimSockets = "/run/containerd/s"
)

// RemoveLeftovers removes what kubelet and containerd have left in those
// places, once both have ended: links to logs below podLogs, results of the
// network named network, and sockets, of shims where a directory in tasks
// names them. Directories go only if they are empty.
func RemoveLeftovers(ctx context.Context, podLogs, network, tasks string) error {
	err := errors.Join(
		removeLinks(containerLinks, podLogs),
		removeResults(cniResults, network),
		removeShimSockets(ctx, tasks),
		removeDeadSocket(ctx, filepath.Join(devicePlugins, "kubelet.sock")),
	)
	for _, dir := range []string{containerLinks, cniResults, devicePlugins, shimSockets} {
		_ = os.Remove(dir) // fails unless it is empty, which is right
		if parent := filepath.Dir(dir); parent != "/var/log" {
			_ = os.Remove(parent)
		}
	}
	return err
}

// removeShimSockets removes the sockets of shims that were killed. containerd
// keeps the address of each beside its container.
func removeShimSockets(ctx context.Context, tasks string) error {
	files, err := filepath.Glob(filepath.Join(tasks, "*", "address"))
	if err != nil {
		return fmt.Errorf("listing shims: %w", err)
	}
	for _, f := range files {
		address, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("reading address of a shim: %w", err)
		}
		path, ok := strings.CutPrefix(string(address), "unix://")
		if !ok || filepath.Dir(path) != shimSockets {
			continue
		}
		if err := removeDeadSocket(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// removeDeadSocket removes a socket on which nobody listens.
func removeDeadSocket(ctx context.Context, path string) error {
	var d net.Dialer
	if conn, err := d.DialContext(ctx, "unix", path); err == nil {
		return conn.Close() // somebody else's
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing socket: %w", err)
	}
	return nil
}

func removeLinks(dir, target string) error {
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		link := filepath.Join(dir, n)
		to, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(to, target+"/") {
			continue
		}
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("removing link to a log: %w", err)
		}
	}
	return nil
}

func removeResults(dir, network string) error {
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, n := range results(names, network) {
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing network result: %w", err)
		}
	}
	return nil
}

// results picks the files of pods on network. Each pod has one named
// NETWORK-ID-eth0 and one of its loopback, which does not name the network.
func results(names []string, network string) []string {
	var picked []string
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, network+"-")
		if !ok {
			continue
		}
		if id, ok := strings.CutSuffix(rest, "-eth0"); ok {
			picked = append(picked, n, "cni-loopback-"+id+"-lo")
		}
	}
	return picked
}

func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}
