package host

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBelow(t *testing.T) {
	const info = `22 27 0:21 / /proc rw,relatime - proc proc rw
60 27 0:50 / /state/kubelet/a rw - tmpfs tmpfs rw
61 60 0:51 / /state/kubelet/a/b\040c rw shared:1 - tmpfs tmpfs rw
62 27 0:52 / /state-of-others/x rw - tmpfs tmpfs rw
63 27 0:53 / /state rw - tmpfs tmpfs rw
broken line
31 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
`
	want := []string{"/state/kubelet/a/b c", "/state/kubelet/a"}
	if diff := cmp.Diff(want, below(parseMounts(info), "/state")); diff != "" {
		t.Errorf("mounts to release, innermost first (-want +got):\n%s", diff)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/a`:           "/a",
		`/a\040b`:      "/a b",
		`/a\134040b`:   `/a\040b`, // unescaped once
		`/a\0`:         `/a\0`,
		`/a\999`:       `/a\999`,
		`\011tab\012\`: "\ttab\n\\",
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestIsShim(t *testing.T) {
	const socket = "/state/containerd/sock"
	for name, tt := range map[string]struct {
		why  string
		args []string
		want bool
	}{
		"ours": {
			why:  "it reports to our containerd",
			args: []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x", "-address", socket},
			want: true,
		},
		"the host's": {
			why:  "it reports to another containerd",
			args: []string{"/usr/bin/containerd-shim-runc-v2", "-id", "x", "-address", "/run/containerd/containerd.sock"},
		},
		"longer path": {
			why:  "the socket is compared whole",
			args: []string{"containerd-shim-runc-v2", "-address", socket + "2"},
		},
		"another program": {
			why:  "an editor may name our socket too",
			args: []string{"vi", "-address", socket},
		},
		"cut short": {why: "no address is no match", args: []string{"containerd-shim-runc-v2", "-address"}},
		"kernel":    {why: "kernel threads have no command line"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isShim(tt.args, socket); got != tt.want {
				t.Errorf("isShim = %v, want %v: %s", got, tt.want, tt.why)
			}
		})
	}
}

func TestResults(t *testing.T) {
	names := []string{
		"sallyport-abc-eth0", "cni-loopback-abc-lo", // ours
		"cni-loopback-def-lo", "podman-def-eth0", "sallyport-ghi-eth1", "sallyportx-abc-eth0",
	}
	want := []string{"sallyport-abc-eth0", "cni-loopback-abc-lo"}
	if diff := cmp.Diff(want, results(names, "sallyport")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRemoveLinks(t *testing.T) {
	dir := t.TempDir()
	for name, target := range map[string]string{
		"ours": "/state/pods/a/0.log", "sibling": "/state/pods-of-others/a/0.log", "theirs": "/var/log/pods/b/0.log",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeLinks(dir, "/state/pods"); err != nil {
		t.Fatal(err)
	}
	left, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"file", "sibling", "theirs"}, left); diff != "" {
		t.Errorf("links left (-want +got):\n%s", diff)
	}
}

func TestRemoveDeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := removeDeadSocket(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("a socket in use was removed")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is none
		if err := removeDeadSocket(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a socket without a listener was left")
	}
}

func TestCgroupDirs(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"sallyport/kubepods/pod1", "sallyport-other/x", "system"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := Cgroup{name: "sallyport", roots: []string{root, filepath.Join(root, "missing")}}
	want := []string{
		filepath.Join(root, "sallyport"),
		filepath.Join(root, "sallyport/kubepods"),
		filepath.Join(root, "sallyport/kubepods/pod1"),
	}
	if diff := cmp.Diff(want, c.dirs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	procs := filepath.Join(root, "sallyport/kubepods/cgroup.procs")
	if err := os.WriteFile(procs, []byte("12\n7\n12\n0\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pids, err := c.pids()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{7, 12}, pids); diff != "" { // 0 would signal our own group
		t.Errorf("processes (-want +got):\n%s", diff)
	}
}
