// Package recipes runs the tables beside the recipes, and holds every scope of
// this repository to what is promised of proofs.
package recipes

import (
	"fmt"
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
	"github.com/sallyport-dev/sallyport/sidecar/graphql"
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
	command = regexp.MustCompile(`^(create|update|delete) (\S+)$`) // of a push
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
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' || strings.HasPrefix(line, "told ") {
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
	typed, pushes := false, [][]string(nil)
	for _, part := range parts[2 : len(parts)-1] {
		if c := command.FindStringSubmatch(part); c != nil {
			pushes = append(pushes, c)
			continue
		}
		if h := header.FindStringSubmatch(part); h != nil {
			e.asked.Fields = append(e.asked.Fields, scope.Field{Name: h[1], Value: h[2]})
			typed = typed || h[1] == "Content-Type"
			continue
		}
		e.asked.Body = []byte(part)
	}
	if e.asked.Method == "PUSH" {
		e.asked = push(e.asked, pushes)
		return e
	}
	e.asked.GraphQL = new(graphql.Reader).Read
	if !typed && len(e.asked.Body) > 0 && strings.ContainsRune("{[", rune(e.asked.Body[0])) {
		e.asked.Fields = append(e.asked.Fields, scope.Field{Name: "Content-Type", Value: "application/json"})
	}
	return e
}

// push is the request that git makes of the commands of a push.
func push(asked explain.Request, commands [][]string) explain.Request {
	const none, some = "0000000000000000000000000000000000000000", "0123456789012345678901234567890123456789"
	sides := map[string]string{"create": none + " " + some, "update": some + " 1" + some[1:], "delete": some + " " + none}
	var body strings.Builder
	capabilities := "\x00report-status delete-refs"
	adds := false
	for _, c := range commands {
		adds = adds || c[1] != "delete"
		line := sides[c[1]] + " " + c[2] + capabilities
		fmt.Fprintf(&body, "%04x%s", len(line)+4, line)
		capabilities = ""
	}
	body.WriteString("0000")
	if adds {
		body.WriteString("PACK\x00\x00\x00\x02")
	}
	asked.Method, asked.Target = "POST", strings.TrimSuffix(asked.Target, ".git")+".git/git-receive-pack"
	asked.Fields = append(asked.Fields, scope.Field{Name: "Content-Type", Value: "application/x-git-receive-pack-request"})
	asked.Body = []byte(body.String())
	return asked
}

// TestRecipes runs the tables, and holds each recipe to what a reviewer may
// expect of an example: no warning of check that its table does not own up to, every grant is used, and more
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
			requests := strings.TrimSuffix(file, ".yaml") + ".requests.txt"
			warned(t, c, requests)
			run(t, c, table(t, requests))
		})
	}
}

// warned holds what check warns of to what the table says that it does: a
// recipe that takes a risk says so, and no recipe takes another.
func warned(t *testing.T, c *compiled, requests string) {
	t.Helper()
	text, err := os.ReadFile(requests)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^told +(\S+) {2,}(.+)$`).FindAllStringSubmatch(string(text), -1) {
		told[line[1]] = line[2]
	}
	profiles := map[string]string{}
	for _, e := range c.up.Spec.Endpoints {
		profiles[e.Name] = string(e.Profile)
	}
	for _, f := range lint.Findings(lint.Scope{Written: c.written, Compiled: &c.Credential, Profiles: profiles}) {
		if f.Severity != lint.Warning {
			continue
		}
		if want := told[f.Field]; want == "" || !strings.Contains(f.Message, want) {
			t.Errorf("%s: %s: %s", f.Field, f.Message, f.Fix)
		}
		delete(told, f.Field)
	}
	for at, what := range told {
		t.Errorf("%s: check does not say that it %s", at, what)
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
