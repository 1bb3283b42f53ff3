// Package binaries builds the programs of a cluster from the modules that
// go.mod names, and keeps them outside the tree.
package binaries

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Version is the version of Kubernetes. It must be that of k8s.io/kubernetes in
// go.mod, which a test compares.
const Version = "v1.37.2"

// target is one program. The order is that of need: with the first three,
// tests that want an API server alone can start.
type target struct{ name, pkg string }

const self = "github.com/sallyport-dev/sallyport/hack/cluster"

var targets = []target{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
	{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
	{"pause", self + "/pause"},
	{"dns", self + "/dns"},
}

// A Builder builds from the module in Module into Dir, which is made if need
// be. Progress gets a line when a build starts to take long and when it ends.
type Builder struct {
	Module, Dir string
	Progress    func(format string, args ...any)
}

// Build builds the named programs, or all without a name, and skips those that
// are up to date. Two calls at once do no harm but to each other's time.
func (b Builder) Build(ctx context.Context, names ...string) error {
	for _, n := range names {
		if !slices.ContainsFunc(targets, func(t target) bool { return t.name == n }) {
			return fmt.Errorf("building %s: no such program; there are %s", n, list())
		}
	}
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return fmt.Errorf("making directory for programs: %w", err)
	}
	for _, t := range targets {
		if len(names) > 0 && !slices.Contains(names, t.name) {
			continue
		}
		if err := b.ensure(ctx, t); err != nil {
			return fmt.Errorf("building %s: %w", t.name, err)
		}
	}
	return nil
}

func list() string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.name
	}
	return strings.Join(names, ", ")
}

// ensure builds t unless the stamp beside it says that it was built from the
// same sources.
func (b Builder) ensure(ctx context.Context, t target) error {
	stamp, err := b.stamp(t)
	if err != nil {
		return err
	}
	path := filepath.Join(b.Dir, t.name)
	stampPath := filepath.Join(b.Dir, "."+t.name+".stamp")
	old, err := os.ReadFile(stampPath)
	if _, serr := os.Stat(path); err == nil && serr == nil && string(old) == stamp {
		return nil
	}
	// Straight to its place: go leaves a program alone that would not change.
	if err := b.compile(ctx, t, path); err != nil {
		return err
	}
	return os.WriteFile(stampPath, []byte(stamp), 0o600)
}

// stamp identifies what t is built from: versions, flags and, for programs of
// this module, their source.
func (b Builder) stamp(t target) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, t.pkg, flags())
	sources := []string{"go.mod", "go.sum"}
	if dir, ok := strings.CutPrefix(t.pkg, self+"/"); ok {
		sources = append(sources, filepath.Join(dir, "main.go"))
	}
	for _, s := range sources {
		data, err := os.ReadFile(filepath.Join(b.Module, s))
		if err != nil {
			return "", fmt.Errorf("%w: run from the module's directory, as in: go -C hack/cluster run . up", err)
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", s, len(data), data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// flags make static, stripped programs that know their version: without it the
// components refuse each other's.
func flags() []string {
	const pkg = "k8s.io/component-base/version"
	major, minor := split(Version)
	ld := fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, Version, major, minor)
	return []string{"-trimpath", "-ldflags", ld}
}

func split(version string) (major, minor string) {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(rest, ".")
	return major, minor
}

// notice is how many packages are compiled between two lines of progress.
const notice = 200

func (b Builder) compile(ctx context.Context, t target, out string) error {
	b.Progress("%s: building", t.name)
	args := append([]string{"build", "-v", "-o", out}, flags()...)
	cmd := exec.CommandContext(ctx, "go", append(args, t.pkg)...)
	cmd.Dir = b.Module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting go: %w", err)
	}
	last := b.follow(t, stderr)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("running go build: %w\n%s", err, strings.Join(last, "\n"))
	}
	b.Progress("%s: built", t.name)
	return nil
}

// follow counts the packages that go build names on stderr and returns the
// last lines, which explain a failure.
func (b Builder) follow(t target, stderr io.Reader) []string {
	const keep = 30
	var last []string
	lines := bufio.NewScanner(stderr)
	for n := 1; lines.Scan(); n++ {
		last = append(last, lines.Text())
		last = last[max(0, len(last)-keep):]
		if n%notice == 0 {
			b.Progress("%s: %d packages compiled", t.name, n)
		}
	}
	return last
}
