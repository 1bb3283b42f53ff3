// Package host deals with what the cluster needs from the host, and what it
// leaves in the kernel besides its network: packages, mounts, control groups
// and the processes of containers.
package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/hack/cluster/config"
)

// need maps what must be there, a command or an absolute path, to the Debian
// package that has it.
var need = map[string]string{
	"containerd":                "containerd",
	"containerd-shim-runc-v2":   "containerd",
	"ctr":                       "containerd",
	"runc":                      "runc",
	config.CNIBin + "/bridge":   "containernetworking-plugins",
	config.CNIBin + "/loopback": "containernetworking-plugins",
	"ip":                        "iproute2",
	"iptables":                  "iptables",
	"ip6tables-save":            "iptables",
	"mount":                     "mount",
}

// Missing lists the packages that the host lacks, sorted.
func Missing() []string {
	var packages []string
	for file, pkg := range need {
		if _, err := exec.LookPath(file); err != nil && !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	slices.Sort(packages)
	return packages
}

// Install installs packages with apt, and fetches its lists only where they
// are missing or out of date.
func Install(ctx context.Context, packages []string) error {
	if err := apt(ctx, packages); err != nil {
		cmd := exec.CommandContext(ctx, "apt-get", "update", "--quiet")
		if out, uerr := cmd.CombinedOutput(); uerr != nil {
			return fmt.Errorf("fetching package lists: %w: %s", uerr, out)
		}
		if err := apt(ctx, packages); err != nil {
			return fmt.Errorf("installing %s: %w", strings.Join(packages, ", "), err)
		}
	}
	if missing := Missing(); len(missing) > 0 {
		return fmt.Errorf("installing packages: apt succeeded, but %s still lack files the cluster needs: look with dpkg --verify", strings.Join(missing, ", "))
	}
	return nil
}

func apt(ctx context.Context, packages []string) error {
	args := append([]string{"install", "--yes", "--quiet", "--no-install-recommends"}, packages...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
