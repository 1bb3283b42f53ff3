package cluster

import (
	"bytes"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/hack/cluster/network"
	"github.com/sallyport-dev/sallyport/hack/cluster/pki"
	"github.com/sallyport-dev/sallyport/hack/cluster/process"
)

func specs(c *Cluster) []process.Spec {
	return []process.Spec{
		c.etcdSpec(), c.apiserverSpec(), c.managerSpec(), c.schedulerSpec(),
		c.containerdSpec("/usr/bin/containerd"), c.kubeletSpec(), c.proxySpec(),
	}
}

// TestNothingListensElsewhere reads every address on a command line: all are
// loopback's or the bridge's.
func TestNothingListensElsewhere(t *testing.T) {
	c := New(t.TempDir(), "..", &bytes.Buffer{})
	found := 0
	for _, s := range specs(c) {
		for _, arg := range s.Args {
			_, value, _ := strings.Cut(arg, "=")
			host := value
			if u, err := url.Parse(value); err == nil && u.Host != "" {
				host = u.Hostname()
			}
			addr, err := netip.ParseAddr(host)
			if err != nil {
				continue
			}
			found++
			if !addr.IsLoopback() && addr.String() != network.Node {
				t.Errorf("%s: %s is neither loopback nor the bridge", s.Name, arg)
			}
		}
	}
	if found == 0 {
		t.Error("no addresses found: the test reads nothing")
	}
}

// TestFilesOfSpecsExist makes certificates and configuration, and looks for
// every file below the state directory that a command line names.
func TestFilesOfSpecsExist(t *testing.T) {
	c := New(t.TempDir(), "..", &bytes.Buffer{})
	if err := c.state.Write(); err != nil {
		t.Fatal(err)
	}
	if err := c.credentials(); err != nil {
		t.Fatal(err)
	}
	made := []string{c.state.Etcd(), c.state.Kubelet(), c.state.VolumePlugins()} // by the programs
	for _, s := range specs(c) {
		for _, arg := range append(s.Args, s.Inputs...) {
			_, path, ok := strings.Cut(arg, "=")
			if !ok {
				path = arg
			}
			if !strings.HasPrefix(path, string(c.state)) || strings.HasPrefix(path, c.state.Kubelet()) || strings.HasPrefix(path, made[0]) {
				continue
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %s: %v", s.Name, arg, err)
			}
		}
	}
}

func TestCredentialsAreMadeOnce(t *testing.T) {
	c := New(t.TempDir(), "..", &bytes.Buffer{})
	read := func() string {
		t.Helper()
		if err := os.MkdirAll(string(c.state), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.credentials(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(c.certs().Cert(admin))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := read()
	if read() != first {
		t.Error("a second run made new certificates")
	}
	// An up that was killed half way leaves no seal.
	if err := os.Remove(filepath.Join(string(c.certs()), "complete")); err != nil {
		t.Fatal(err)
	}
	if read() == first {
		t.Error("certificates of an unfinished run were kept")
	}
}

// TestSubjects holds the names that Kubernetes's own roles are bound to.
func TestSubjects(t *testing.T) {
	got := map[string]string{}
	for _, l := range leaves() {
		got[l.Name] = l.User + " " + strings.Join(l.Groups, ",")
	}
	want := map[string]string{
		apiserver:   "kube-apiserver ",
		kubelet:     "system:node:sallyport system:nodes",
		kubeletUser: "sallyport:apiserver system:masters",
		manager:     "system:kube-controller-manager ",
		scheduler:   "system:kube-scheduler ",
		proxy:       "system:kube-proxy ",
		admin:       "sallyport:admin system:masters",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
}

func TestStoreTrustsItsOwnAuthorityAlone(t *testing.T) {
	d := pki.Dir(t.TempDir())
	if err := issue(d); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(d.Cert(ca))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(d.Cert(etcdCA))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("etcd admits whoever the cluster's authority has signed")
	}
}

func TestByDigest(t *testing.T) {
	for in, want := range map[string]string{
		"sallyport.local/a:dev":     "sallyport.local/a@sha256:0",
		"127.0.0.1:5000/a/b:v1":     "127.0.0.1:5000/a/b@sha256:0",
		"127.0.0.1:5000/a":          "127.0.0.1:5000/a@sha256:0",
		"docker.io/library/x:1.2.3": "docker.io/library/x@sha256:0",
	} {
		if got := byDigest(in, "sha256:0"); got != want {
			t.Errorf("byDigest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseImport(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	out := "unpacking sallyport.local/a:dev (" + digest + ")...done\nunpacking b (sha256:1)...done\nnoise\n"
	if diff := cmp.Diff(map[string]string{"sallyport.local/a:dev": digest}, parseImport(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseImages(t *testing.T) {
	out := `REF                   TYPE                                       DIGEST      SIZE     PLATFORMS   LABELS
sallyport.local/a:dev application/vnd.oci.image.manifest.v1+json sha256:0123 31.0 MiB linux/amd64 -
`
	if diff := cmp.Diff(map[string]string{"sallyport.local/a:dev": "sha256:0123"}, parseImages(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTail is what a failed wait shows: the end of the log, not all of it.
func TestTail(t *testing.T) {
	c := New(t.TempDir(), "..", &bytes.Buffer{})
	if err := os.MkdirAll(c.state.Logs(), 0o700); err != nil {
		t.Fatal(err)
	}
	log := "first\n" + strings.Repeat("line\n", tailLines-1) + "last\n"
	if err := os.WriteFile(c.table.LogPath(etcd), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	got := c.tail(etcd, "missing")
	if strings.Contains(got, "first") || !strings.Contains(got, "last") || !strings.Contains(got, c.table.LogPath(etcd)) {
		t.Errorf("tail = %q", got)
	}
}

func TestClaimRefusesLongPaths(t *testing.T) {
	c := New("/"+strings.Repeat("x", maxSocket), "..", &bytes.Buffer{})
	err := c.claim(t.Context())
	if err == nil || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("claim = %v, want an error that names the remedy", err)
	}
}
