// Package recipes runs the tables beside the recipes, and holds every scope of
// this repository to what is promised of proofs.
package recipes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/explain"
	"github.com/sallyport-dev/sallyport/internal/compile/lint"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const folder = "../../config/samples/recipes"

// compiled is a ScopedCredential with what was made of it.
type compiled struct {
	written *v1alpha1.ScopedCredential
	up      *v1alpha1.UpstreamSecret
	bundle.Credential
	err error
}

// read compiles the ScopedCredentials of a file. One that cannot be read holds
// none that is accepted.
func read(t *testing.T, file string) []compiled {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifest.Read(t.Context(), file, text)
	if err != nil {
		return []compiled{{err: err}}
	}
	if err := manifest.Unique(objects); err != nil {
		t.Fatal(err)
	}
	ups := manifest.Select[*v1alpha1.UpstreamSecret](objects)
	var out []compiled
	for _, sc := range manifest.Select[*v1alpha1.ScopedCredential](objects) {
		c := compiled{written: sc}
		for _, up := range ups {
			if up.Name == sc.Spec.Upstream.Name {
				c.up = up
			}
		}
		if c.up == nil {
			t.Fatalf("%s: it has no UpstreamSecret %s", file, sc.Spec.Upstream.Name)
		}
		c.Credential, c.err = compile.Credential(sc, c.up)
		out = append(out, c)
	}
	return out
}

// entry is one line of a table.
type entry struct {
	line   string
	allow  bool
	asked  explain.Request
	expect string // a grant or a reason
}

var (
	columns = regexp.MustCompile(`\s{2,}`)
	header  = regexp.MustCompile(`^([A-Za-z-]+): (.*)$`)
	request = regexp.MustCompile(`^(?:(\S+) )?([A-Z]+) (/\S*)$`)
)

// table reads the requests beside a recipe.
func table(t *testing.T, file string) []entry {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

func parse(t *testing.T, text string) []entry {
	t.Helper()
	var out []entry
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  # ")
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		out = append(out, readEntry(t, line))
	}
	return out
}

func readEntry(t *testing.T, line string) entry {
	t.Helper()
	parts := columns.Split(line, -1)
	if len(parts) < 3 || parts[0] != "allow" && parts[0] != "refuse" {
		t.Fatalf("%s: write allow or refuse, a request, and the grant or the reason", line)
	}
	e := entry{line: line, allow: parts[0] == "allow", expect: parts[len(parts)-1]}
	is := request.FindStringSubmatch(parts[1])
	if is == nil {
		t.Fatalf("%s: %q is no request", line, parts[1])
	}
	e.asked.Endpoint, e.asked.Method, e.asked.Target = is[1], is[2], is[3]
	typed := false
	for _, part := range parts[2 : len(parts)-1] {
		if h := header.FindStringSubmatch(part); h != nil {
			e.asked.Fields = append(e.asked.Fields, scope.Field{Name: h[1], Value: h[2]})
			typed = typed || h[1] == "Content-Type"
			continue
		}
		e.asked.Body = []byte(part)
	}
	if !typed && len(e.asked.Body) > 0 && strings.ContainsRune("{[", rune(e.asked.Body[0])) {
		e.asked.Fields = append(e.asked.Fields, scope.Field{Name: "Content-Type", Value: "application/json"})
	}
	return e
}

// TestRecipes runs the tables, and holds each recipe to what a reviewer may
// expect of an example: nothing to be told of it, every grant is used, and more
// is refused than allowed.
func TestRecipes(t *testing.T) {
	files, err := filepath.Glob(folder + "/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d recipes: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			all := read(t, file)
			if len(all) != 1 {
				t.Fatalf("%d credentials", len(all))
			}
			c := &all[0]
			if c.err != nil {
				t.Fatal(c.err)
			}
			profiles := map[string]string{}
			for _, e := range c.up.Spec.Endpoints {
				profiles[e.Name] = string(e.Profile)
			}
			for _, f := range lint.Findings(lint.Scope{Written: c.written, Compiled: &c.Credential, Profiles: profiles}) {
				if f.Severity == lint.Warning {
					t.Errorf("%s: %s: %s", f.Field, f.Message, f.Fix)
				}
			}
			run(t, c, table(t, strings.TrimSuffix(file, ".yaml")+".requests.txt"))
		})
	}
}

func run(t *testing.T, c *compiled, entries []entry) {
	t.Helper()
	refused := 0
	used := map[string]bool{}
	for _, e := range entries {
		grant, isGrant := strings.CutPrefix(e.expect, "by ")
		used[grant] = isGrant
		if !e.allow {
			refused++
		}
	}
	check(t, c, entries)
	for i := range c.Grants {
		if !used[c.Grants[i].Name] {
			t.Errorf("no request of the table is allowed by %s", c.Grants[i].Name)
		}
	}
	if refused < len(entries)/2 || refused < 10 {
		t.Errorf("%d of %d requests are refused: the nearest misses are what a table is for", refused, len(entries))
	}
}

// check asks the judge about each entry.
func check(t *testing.T, c *compiled, entries []entry) {
	t.Helper()
	for _, e := range entries {
		got, err := explain.Decide(&c.Credential, e.asked)
		if err != nil {
			t.Fatalf("%s: %v", e.line, err)
		}
		grant, isGrant := strings.CutPrefix(e.expect, "by ")
		switch {
		case isGrant != e.allow:
			t.Errorf("%s: name the grant that allows it, or the reason why it is refused", e.line)
		case got.Allowed != e.allow:
			t.Errorf("%s: allowed %t, by %v, %s: %s", e.line, got.Allowed, got.Grants, got.Reason, got.Detail)
		case e.allow && !slices.Contains(got.Grants, grant):
			t.Errorf("%s: allowed by %v", e.line, got.Grants)
		case !e.allow && string(got.Reason) != e.expect:
			t.Errorf("%s: refused with %s: %s", e.line, got.Reason, got.Detail)
		}
	}
}
