package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// containerLinks is where the kubelet links the logs of containers; the
	// place is fixed.
	containerLinks = "/var/log/containers"
	// cniResults is where containerd remembers the networks of pods; the place
	// is fixed, too.
	cniResults = "/var/lib/cni/results"
)

// RemoveLeftovers removes what kubelet and containerd write outside of the
// state directory: links to logs below podLogs, and results of the network
// named network.
func RemoveLeftovers(podLogs, network string) error {
	return errors.Join(removeLinks(containerLinks, podLogs), removeResults(cniResults, network))
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
	_ = os.Remove(dir) // only if it is empty
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
