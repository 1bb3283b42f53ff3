package binaries

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func moduleFile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestVersion holds the constant, the module and its parts together: programs
// of two versions refuse each other.
func TestVersion(t *testing.T) {
	mod := moduleFile(t)
	if !strings.Contains(mod, "k8s.io/kubernetes "+Version+" ") && !strings.Contains(mod, "k8s.io/kubernetes "+Version+"\n") {
		t.Errorf("go.mod does not require k8s.io/kubernetes %s", Version)
	}
	staging := strings.Replace(Version, "v1.", "v0.", 1)
	replaced := regexp.MustCompile(`(?m)^\t(k8s\.io/\S+) => (k8s\.io/\S+) (\S+)$`).FindAllStringSubmatch(mod, -1)
	const stagingModules = 33
	if len(replaced) != stagingModules {
		t.Errorf("%d modules are replaced, want %d", len(replaced), stagingModules)
	}
	for _, r := range replaced {
		if r[1] != r[2] || r[3] != staging {
			t.Errorf("%s is replaced by %s %s, want itself at %s", r[1], r[2], r[3], staging)
		}
	}
}

func TestTargetsAreTools(t *testing.T) {
	mod := moduleFile(t)
	for _, target := range targets {
		if strings.HasPrefix(target.pkg, self) {
			continue
		}
		if !strings.Contains(mod, "\n\t"+target.pkg+"\n") {
			t.Errorf("%s is no tool of go.mod: tidy would drop it", target.pkg)
		}
	}
}

func TestBuildRefusesUnknownNames(t *testing.T) {
	b := Builder{Module: "..", Dir: t.TempDir(), Progress: t.Logf}
	err := b.Build(t.Context(), "etcd", "kube-router")
	if err == nil || !strings.Contains(err.Error(), "kube-router") {
		t.Errorf("Build = %v, want an error that names kube-router", err)
	}
}

func TestBuildElsewhere(t *testing.T) {
	b := Builder{Module: t.TempDir(), Dir: t.TempDir(), Progress: t.Logf}
	err := b.Build(t.Context(), "etcd")
	if err == nil || !strings.Contains(err.Error(), "go -C hack/cluster") {
		t.Errorf("Build outside of the module = %v, want an error that says where to run it", err)
	}
}

// TestBuild builds the smallest program there is, twice.
func TestBuild(t *testing.T) {
	var lines int
	b := Builder{Module: "..", Dir: t.TempDir(), Progress: func(string, ...any) { lines++ }}
	if err := b.Build(t.Context(), "pause"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(b.Dir, "pause"))
	if err != nil || info.Mode()&0o111 == 0 {
		t.Fatalf("the program is missing or cannot be run: %v", err)
	}
	said := lines
	if err := b.Build(t.Context(), "pause"); err != nil {
		t.Fatal(err)
	}
	if lines != said {
		t.Error("a program that is up to date was built again")
	}
}

func TestStamp(t *testing.T) {
	module := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stamp := func(target target) string {
		t.Helper()
		s, err := Builder{Module: module}.stamp(target)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	write("go.mod", "a")
	write("go.sum", "b")
	write("pause/main.go", "c")
	foreign, own := target{"etcd", "go.etcd.io/etcd/server/v3"}, target{"pause", self + "/pause"}
	etcd, pause := stamp(foreign), stamp(own)
	write("pause/main.go", "d")
	if stamp(own) == pause {
		t.Error("a change of its source leaves the stamp as it was")
	}
	if stamp(foreign) != etcd {
		t.Error("a change of our source would build foreign programs again")
	}
	write("go.sum", "bb")
	if stamp(foreign) == etcd {
		t.Error("a change of versions leaves the stamp as it was")
	}
}
