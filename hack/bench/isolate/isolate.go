// Package isolate gives a benchmark a network and a few files of its own: what
// is measured is the program that a pod runs, at the places where a pod has
// them, and nothing of the machine is changed.
package isolate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where things are inside.
var (
	// Upstream is of the block for benchmarks (RFC 2544): a sidecar sends no
	// credential to loopback addresses. It is on the loopback device all the same.
	Upstream = netip.MustParseAddr("198.18.0.1")
	Loopback = netip.MustParseAddr("127.0.0.1")
)

// Names that are known inside.
const (
	UpstreamName = "upstream.bench.svc"
	BrokerName   = "broker.bench.svc"
)

// inside is the first argument of the program that runs inside.
const inside = "--inside"

// Run runs this program again, inside, with these arguments behind an added
// one that Entered takes away again. It needs root, or a kernel that lets users
// make namespaces.
func Run(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{inside}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return errors.New("it failed: see above")
	}
	return err
}

// Entered tells whether this is the program that runs inside, readies what is
// there, and returns its own arguments.
func Entered(args []string) (own []string, entered bool, err error) {
	if len(args) == 0 || args[0] != inside {
		return args, false, nil
	}
	if err := errors.Join(addresses(), files()); err != nil {
		return nil, true, fmt.Errorf("readying the namespaces: %w", err)
	}
	return args[1:], true, nil
}

// addresses brings the loopback device up and gives it the upstream's.
func addresses() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	alias, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	if err := alias.SetInet4Addr(Upstream.AsSlice()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, alias); err != nil {
		return fmt.Errorf("adding %v to lo: %w", Upstream, err)
	}
	return nil
}

// files puts an empty directory where pods have their volumes, and the names
// where every resolver looks first.
func files() error {
	run, err := filepath.EvalSymlinks("/var/run")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mounting over %s: %w", run, err)
	}
	hosts := filepath.Join(run, "hosts")
	text := fmt.Sprintf("127.0.0.1 localhost %s\n%v %s\n", BrokerName, Upstream, UpstreamName)
	if err := os.WriteFile(hosts, []byte(text), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting over /etc/hosts: %w", err)
	}
	return nil
}
