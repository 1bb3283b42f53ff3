package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// read parses a rendered file strictly: a duplicate key is an error.
func read(t *testing.T, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, data)
	}
	return v
}

// hostile is a path that ends a string in every format that is not quoted.
func hostile(t *testing.T) Dir {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `a "b': {c} #d`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return Dir(dir)
}

func TestWrite(t *testing.T) {
	d := hostile(t)
	if err := d.Write(); err != nil {
		t.Fatal(err)
	}
	kubelet := read(t, d.Path(Kubelet))
	for field, want := range map[string]any{
		"containerRuntimeEndpoint": "unix://" + d.ContainerdSocket(),
		"podLogsDir":               d.PodLogs(),
		"volumePluginDir":          d.VolumePlugins(),
		"failCgroupV1":             false,
		"protectKernelDefaults":    true,
	} {
		if kubelet[field] != want {
			t.Errorf("kubelet: %s = %v, want %v", field, kubelet[field], want)
		}
	}
	want := map[string]any{"kubeconfig": d.Kubeconfig("kube-proxy")}
	if diff := cmp.Diff(want, read(t, d.Path(KubeProxy))["clientConnection"]); diff != "" {
		t.Errorf("kube-proxy: clientConnection (-want +got):\n%s", diff)
	}
	data, err := os.ReadFile(d.Path("cni/bridge.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Errorf("network configuration is no JSON:\n%s", data)
	}
}

// TestContainerdPaths holds our containerd apart from the host's.
func TestContainerdPaths(t *testing.T) {
	d := Dir(t.TempDir())
	if err := d.Write(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(d.Path(Containerd))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		_, value, ok := strings.Cut(line, ` = "/`)
		if path := "/" + value; ok && !strings.HasPrefix(path, string(d)+"/") && !strings.HasPrefix(path, CNIBin) {
			t.Errorf("containerd uses a path outside of the state directory: %s", line)
		}
	}
}

func TestWriteDNS(t *testing.T) {
	d := hostile(t)
	if err := d.WriteDNS("sallyport.local/dns@sha256:abc"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(d.Path(DNS))
	if err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		var v map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &v); err != nil {
			t.Errorf("%v\n%s", err, doc)
		}
		if v["kind"] == nil || v["apiVersion"] == nil {
			t.Errorf("manifest without kind:\n%s", doc)
		}
	}
}

func TestWriteKubeconfig(t *testing.T) {
	d := hostile(t)
	if err := d.WriteKubeconfig("admin"); err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"name": "admin", "user": map[string]any{
		"client-certificate": filepath.Join(d.PKI(), "admin.crt"),
		"client-key":         filepath.Join(d.PKI(), "admin.key"),
	}}}
	if diff := cmp.Diff(want, read(t, d.Kubeconfig("admin"))["users"]); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	info, err := os.Stat(d.Kubeconfig("admin"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v: others may read it", info.Mode())
	}
}

// TestWriteLeavesEqualFiles is about kube-proxy, which ends when its file is
// written to: a second up would then restart it.
func TestWriteLeavesEqualFiles(t *testing.T) {
	d := Dir(t.TempDir())
	if err := d.Write(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.Path(KubeProxy), 0o400); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(d.Path(KubeProxy))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write(); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(d.Path(KubeProxy))
	if err != nil {
		t.Fatal(err)
	}
	if !before.ModTime().Equal(after.ModTime()) {
		t.Error("the second Write touched a file that did not change")
	}
}
