// Package imports holds the tree to its rules: who may import whom, what the
// sidecar links, and how large a file or a package may grow.
package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport-dev/sallyport"

// sidecarMay lists the modules that cmd/sidecar may link, and the record that
// argues for each.
var sidecarMay = map[string]string{
	"github.com/aws/aws-sdk-go-v2":   "adr/0012: AWS's own signer, and nothing else of the SDK",
	"github.com/aws/smithy-go":       "adr/0012: what that signer is built on",
	"github.com/go-jose/go-jose/v4":  "adr/0002: one JOSE library, EdDSA only",
	"github.com/vektah/gqlparser/v2": "adr/0005: GraphQL is not parsed by hand",
}

// TestSidecarImports holds down what runs beside an untrusted agent.
// To add a dependency, write the record; do not relax this.
func TestSidecarImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", module+"/cmd/sidecar").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range strings.Fields(string(out)) {
		if _, ok := sidecarMay[mod]; !ok {
			t.Errorf("cmd/sidecar links %s", mod)
		}
	}
}

// rules says what the packages of this module may import of it, by prefix.
// "k8s" stands for any module of Kubernetes, "std" needs no mention. What no
// line allows is refused.
var rules = []struct {
	pkg string
	may []string
}{
	{"internal/scope", []string{"internal/scope"}},
	{"internal/secret", nil},
	{"internal/destination", nil},
	{"internal/mint", []string{"api/", "internal/secret"}},
	{"internal/bundle", []string{"internal/scope", "internal/secret"}},
	{"internal/token", []string{"internal/scope", "internal/secret", "internal/bundle"}},
	{"internal/proxyenv", []string{"internal/scope", "internal/secret", "internal/bundle"}},
	{"internal/profile", []string{"internal/scope", "internal/secret", "internal/bundle"}},
	{"internal/certs", []string{"internal/", "k8s"}},
	{"internal/compile", []string{"api/", "internal/", "k8s"}},
	{"internal/inject", []string{"api/", "internal/", "k8s"}},
	{"internal/manifest", []string{"api/", "internal/", "config/", "k8s"}},
	{"api/", []string{"k8s.io/apimachinery"}},
	{"config/", nil},
	{"sidecar/", []string{"sidecar/", "internal/destination", "internal/scope", "internal/secret", "internal/bundle", "internal/token"}},
	{"cmd/sidecar", []string{"sidecar/", "internal/destination", "internal/scope", "internal/secret", "internal/bundle", "internal/token"}},
	{"controllers/", []string{"api/", "internal/", "controllers/", "k8s"}},
	{"cmd/manager", []string{"api/", "internal/", "controllers/", "k8s"}},
	{"cmd/sallyport", []string{"api/", "internal/", "sidecar/", "cmd/sallyport/", "config/", "k8s", "test/upstream", "test/story"}},
	{"test/", []string{"api/", "internal/", "sidecar/", "controllers/", "config/", "test/", "k8s"}},
	{"test/story", []string{"test/upstream"}},
	{"test/upstream", []string{"internal/certs"}},
	{"test/upstream/cmd", []string{"test/upstream", "test/story"}},
	{"hack/scale", []string{"api/", "internal/", "sidecar/", "test/", "k8s"}}, // plays the sidecars
	{"hack/", []string{"api/", "internal/", "hack/", "test/", "k8s"}},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

// TestImportDirection keeps the centres pure and the edges thin.
func TestImportDirection(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		rel := strings.TrimPrefix(p.ImportPath, module+"/")
		may, ok := ruleFor(rel)
		if !ok {
			t.Errorf("%s has no line in the table: say what it may import", rel)
			continue
		}
		checked++
		for _, imp := range p.Imports {
			if !allowed(imp, may) {
				t.Errorf("%s imports %s", rel, imp)
			}
		}
	}
	t.Logf("%d packages checked", checked)
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// ruleFor returns the line of the table with the longest fitting prefix.
func ruleFor(rel string) (may []string, ok bool) {
	longest := -1
	for _, r := range rules {
		if (rel == r.pkg || strings.HasPrefix(rel+"/", strings.TrimSuffix(r.pkg, "/")+"/")) && len(r.pkg) > longest {
			may, ok, longest = r.may, true, len(r.pkg)
		}
	}
	return may, ok
}

func allowed(imp string, may []string) bool {
	own, isOwn := strings.CutPrefix(imp, module+"/")
	if isOwn {
		return slices.ContainsFunc(may, func(p string) bool {
			return own == p || strings.HasPrefix(own+"/", strings.TrimSuffix(p, "/")+"/")
		})
	}
	if !kubernetes(imp) {
		return true // other modules: the sidecar's are held by TestSidecarImports
	}
	return slices.ContainsFunc(may, func(p string) bool { return p == "k8s" || strings.HasPrefix(imp+"/", p+"/") })
}

func kubernetes(imp string) bool {
	return strings.HasPrefix(imp, "k8s.io/") || strings.HasPrefix(imp, "sigs.k8s.io/")
}
