package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settings are the kernel settings the cluster needs, below /proc/sys. The
// kubelet would set its own unasked and for good; setting them here, it finds
// them set and down can put the former values back.
var settings = map[string]string{
	"net/ipv4/ip_forward": "1", // packets from pods to Services and back
	bridgeFilter:          "1", // answers between two pods pass the Service translation

	// container_manager_linux.go in k8s.io/kubernetes/pkg/kubelet/cm
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

const bridgeFilter = "net/bridge/bridge-nf-call-iptables"

// Settings sets kernel settings and remembers in File what they were.
type Settings struct {
	// Root is /proc/sys.
	Root string
	// File holds the former values, as JSON.
	File string
}

// LoadModule makes sure that the kernel filters bridged packets.
func (s Settings) LoadModule(ctx context.Context) error {
	path := filepath.Join(s.Root, bridgeFilter)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := run(ctx, "", "modprobe", "br_netfilter"); err != nil {
		return fmt.Errorf("loading the kernel module br_netfilter, without which pods cannot reach Services: %w", err)
	}
	return nil
}

// Set records the present values, unless an earlier run has recorded them, and
// sets those the cluster needs.
func (s Settings) Set() error {
	if _, err := os.Stat(s.File); errors.Is(err, os.ErrNotExist) {
		if err := s.record(); err != nil {
			return fmt.Errorf("recording kernel settings: %w", err)
		}
	}
	return s.write(settings)
}

// Restore puts the recorded values back. Without a record it does nothing.
func (s Settings) Restore() error {
	data, err := os.ReadFile(s.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading former kernel settings: %w", err)
	}
	var former map[string]string
	if err := json.Unmarshal(data, &former); err != nil {
		return fmt.Errorf("reading former kernel settings: %w", err)
	}
	return s.write(former)
}

func (s Settings) record() error {
	former := map[string]string{}
	for name := range settings {
		v, err := os.ReadFile(filepath.Join(s.Root, name))
		if err != nil {
			return err
		}
		former[name] = strings.TrimSpace(string(v))
	}
	data, err := json.Marshal(former)
	if err != nil {
		return err
	}
	return os.WriteFile(s.File, data, 0o600)
}

// write sets what differs, so that a setting that is right already needs no
// right to write it.
func (s Settings) write(values map[string]string) error {
	for name, want := range values {
		path := filepath.Join(s.Root, name)
		have, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading kernel setting: %w", err)
		}
		if strings.TrimSpace(string(have)) == want {
			continue
		}
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			return fmt.Errorf("setting %s to %s: %w", name, want, err)
		}
	}
	return nil
}
