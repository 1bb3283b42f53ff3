// Package cluster brings a Kubernetes cluster of one node up on this host, and
// takes it down again. The programs are those of a real cluster, and so are
// certificates, authorization and admission; what is left out is everything
// that a second node would need.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/hack/cluster/binaries"
	"github.com/sallyport-dev/sallyport/hack/cluster/config"
	"github.com/sallyport-dev/sallyport/hack/cluster/process"
)

// A Cluster is the one cluster whose state lies in a directory. It may be up,
// down or anything between; methods that change it take a lock and so exclude
// each other across processes.
type Cluster struct {
	state config.Dir
	// bin holds the programs; it outlives the state.
	bin    string
	module string
	out    io.Writer
	start  time.Time
	table  process.Table
}

// New describes the cluster below cache, a directory that is made if need be.
// module is the directory of this Go module; lines of progress go to out.
func New(cache, module string, out io.Writer) *Cluster {
	state := config.Dir(filepath.Join(cache, "cluster"))
	return &Cluster{
		state:  state,
		bin:    filepath.Join(cache, "bin-"+binaries.Version),
		module: module,
		out:    out,
		start:  time.Now(),
		table:  process.Table{Records: state.Records(), Logs: state.Logs()},
	}
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.state.Kubeconfig(admin) }

// Bin is the directory of the programs, kubectl among them. It serves as
// KUBEBUILDER_ASSETS.
func (c *Cluster) Bin() string { return c.bin }

// Build builds the named programs, or all.
func (c *Cluster) Build(ctx context.Context, names ...string) error {
	b := binaries.Builder{Module: c.module, Dir: c.bin, Progress: c.say}
	return b.Build(ctx, names...)
}

func (c *Cluster) program(name string) string { return filepath.Join(c.bin, name) }

// say prints one line of progress, with the seconds since the start.
func (c *Cluster) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, "%6.1fs  %s\n", time.Since(c.start).Seconds(), fmt.Sprintf(format, args...))
}

// lock waits for other calls on the same cluster to end. The file lies beside
// the state, which may be removed while the lock is held.
func (c *Cluster) lock() (unlock func(), err error) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return nil, errors.New("a cluster needs Linux and root: run as root, or use kind (untested here)")
	}
	path := string(c.state) + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making cache directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the cluster: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		c.say("waiting for another call on this cluster to end")
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("locking the cluster: %w", err), f.Close())
		}
	}
	return func() { _ = f.Close() }, nil
}

// marker is a file that says that a directory is the state of a cluster. It is
// written before anything is made, and down removes nothing without it.
func (c *Cluster) marker() string { return filepath.Join(string(c.state), "sallyport-cluster") }

func (c *Cluster) made() bool {
	_, err := os.Stat(c.marker())
	return err == nil
}
