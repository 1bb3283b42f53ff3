package reach_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/reach"
	"github.com/sallyport-dev/sallyport/test/cpu"
	"github.com/sallyport-dev/sallyport/test/npm"
)

// described is how many operations the pinned description has.
const described = 1223

// github is GitHub's own description of its REST API.
func github(t testing.TB) []byte {
	t.Helper()
	text, err := npm.Read("@octokit/openapi", "generated/api.github.com.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const upstreamText = `
metadata: {name: github, namespace: agents}
spec:
  endpoints: [{name: rest, url: https://api.github.com, profile: github-rest, inject: {bearer: {}}}]
  source: {secretRef: {name: key, key: token}}
`

const agent = `
- name: read
  http: {methods: [GET], paths: ["/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"]}
  where: {repo: {in: [acme/web, acme/docs]}}
  query: {unlisted: Allow}
- name: tidy-up
  http: {methods: [DELETE], paths: ["/repos/{repo=*/*}/git/refs/{branch...}"]}
  where: {repo: {in: [acme/docs]}, branch: {glob: "heads/agent/**"}}
- name: comment
  http: {methods: [POST], paths: ["/repos/{repo=*/*}/issues/{number}/comments"]}
  where: {repo: {in: [acme/docs]}, number: {type: Integer, min: 1}}
  body: {fields: {body: {maxLength: 1000, required: true}}}
`

func compiled(t testing.TB, grants []v1alpha1.Grant) (bundle.Credential, error) {
	t.Helper()
	var up v1alpha1.UpstreamSecret
	if err := yaml.UnmarshalStrict([]byte(upstreamText), &up); err != nil {
		t.Fatal(err)
	}
	return compile.Credential(&v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "agents"},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "github"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Grants:   grants,
		},
	}, &up)
}

func agentOf(t testing.TB) bundle.Credential {
	t.Helper()
	var grants []v1alpha1.Grant
	if err := yaml.UnmarshalStrict([]byte(agent), &grants); err != nil {
		t.Fatal(err)
	}
	c, err := compiled(t, grants)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGitHub: all operations of a large API are answered for, and the counts
// are what a person counts in the description.
func TestGitHub(t *testing.T) {
	operations, err := reach.Read(github(t))
	if err != nil {
		t.Fatal(err)
	}
	c := agentOf(t)
	report := reach.Of(&c, "rest", operations)
	counts := map[string]int{}
	for _, r := range report.Reached {
		counts[r.Method]++
		if !strings.HasPrefix(r.Path, "/repos/{") {
			t.Errorf("%s %s is reached", r.Method, r.Path)
		}
	}
	reads := 0
	for _, o := range operations {
		if o.Method == "GET" && strings.HasPrefix(o.Path, "/repos/{owner}/{repo}") {
			reads++
		}
	}
	if report.Operations != described || len(report.Unknown) > 0 || counts["GET"] != reads || counts["DELETE"] != 1 || counts["POST"] != 1 {
		t.Errorf("of %d operations %v are reached and %d unknown; %d reads are described", report.Operations, counts, len(report.Unknown), reads)
	}
}

// The parts of a description that say what an operation takes.
type (
	description struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Parameters map[string]parameter `json:"parameters"`
		} `json:"components"`
	}
	operation struct {
		Parameters []parameter `json:"parameters"`
		Body       struct {
			Content map[string]struct {
				Schema schema `json:"schema"`
			} `json:"content"`
		} `json:"requestBody"`
	}
	parameter struct {
		Ref    string `json:"$ref"`
		Name   string `json:"name"`
		In     string `json:"in"`
		Many   bool   `json:"x-multi-segment"`
		Schema schema `json:"schema"`
	}
	schema struct {
		Type       any               `json:"type"`
		Enum       []any             `json:"enum"`
		Properties map[string]schema `json:"properties"`
		Items      *schema           `json:"items"`
		Required   []string          `json:"required"`
	}
)

// TestGitHubCompiles makes a scope of every operation, with a matcher for each
// parameter and each field of the body that is described. The scope compiles,
// and reaches the operation.
func TestGitHubCompiles(t *testing.T) {
	text := github(t)
	var d description
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	operations, err := reach.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, o := range operations {
		var op operation
		if err := json.Unmarshal(d.Paths[o.Path][strings.ToLower(o.Method)], &op); err != nil {
			t.Fatal(err)
		}
		g := d.grant(o.Method, o.Path, &op)
		if g.Body != nil {
			fields += len(g.Body.Fields)
		}
		c, err := compiled(t, []v1alpha1.Grant{g})
		if err != nil {
			t.Errorf("%s %s: %v", o.Method, o.Path, err)
			continue
		}
		if report := reach.Of(&c, "rest", rivals(o, operations)); !slices.ContainsFunc(report.Reached, func(r reach.Reached) bool { return r.ID == o.ID }) || len(report.Unknown) > 0 {
			t.Errorf("%s %s: its own scope does not reach it: %d are reached, %d unknown", o.Method, o.Path, len(report.Reached), len(report.Unknown))
		}
	}
	if len(operations) != described || fields < 1000 {
		t.Errorf("%d operations with %d fields of bodies compiled", len(operations), fields)
	}
}

// rivals are the operations that a request for o may be taken for.
func rivals(o reach.Operation, all []reach.Operation) []reach.Operation {
	first := func(path string) string { return strings.Split(path, "/")[1] }
	return slices.DeleteFunc(slices.Clone(all), func(other reach.Operation) bool {
		return other.Method != o.Method || first(other.Path) != first(o.Path) ||
			strings.Count(other.Path, "/") != strings.Count(o.Path, "/")
	})
}

// grant is what an operation takes.
func (d *description) grant(method, path string, op *operation) v1alpha1.Grant {
	g := v1alpha1.Grant{Name: "operation", Where: map[string]v1alpha1.Matcher{}}
	params := map[string]v1alpha1.Matcher{}
	for _, p := range op.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Components.Parameters[name]
		}
		name := strings.ReplaceAll(p.Name, "-", "_")
		switch {
		case p.In == "query":
			params[p.Name] = p.Schema.matcher()
		case p.In != "path" || !strings.Contains(path+"/", "/{"+p.Name+"}/"):
		case p.Many && strings.HasSuffix(path, "/{"+p.Name+"}"):
			path = strings.Replace(path, "{"+p.Name+"}", "{"+name+"...}", 1)
			g.Where[name] = like("**")
		default:
			path = strings.Replace(path, "{"+p.Name+"}", "{"+name+"}", 1)
			g.Where[name] = p.Schema.matcher()
		}
	}
	path = partly(path, g.Where)
	g.HTTP = &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{v1alpha1.Method(method)}, Paths: []string{path}}
	if len(params) > 0 {
		g.Query = &v1alpha1.Query{Params: params}
	}
	if content, ok := op.Body.Content["application/json"]; ok {
		g.Body = &v1alpha1.Body{Fields: map[string]v1alpha1.Matcher{}}
		content.Schema.fields("", 0, g.Body.Fields)
		if len(g.Body.Fields) == 0 {
			g.Body.Unlisted = v1alpha1.UnlistedAllow // what it holds is not described
		}
	}
	return g
}

// partly replaces a segment that is a literal in part: the scope language has
// captures of whole segments, which a glob bounds.
func partly(path string, where map[string]v1alpha1.Matcher) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if at := strings.IndexByte(s, '{'); at > 0 || at == 0 && !strings.HasSuffix(s, "}") || strings.Count(s, "{") > 1 {
			name := fmt.Sprintf("part%d", i)
			segments[i] = "{" + name + "}"
			where[name] = like("*")
		}
	}
	return strings.Join(segments, "/")
}

func like(glob string) v1alpha1.Matcher {
	return v1alpha1.Matcher{Constraint: v1alpha1.Constraint{Glob: glob}}
}

func typed(t v1alpha1.ValueType) v1alpha1.Matcher {
	return v1alpha1.Matcher{Constraint: v1alpha1.Constraint{Type: t}}
}

func (s *schema) matcher() v1alpha1.Matcher {
	kind, _ := s.Type.(string)
	switch {
	case kind == "string" && len(s.Enum) > 0 && !slices.Contains(s.Enum, any("")):
		var m v1alpha1.Matcher
		for _, v := range s.Enum {
			m.In = append(m.In, fmt.Sprint(v))
		}
		return m
	case kind == "integer":
		return typed(v1alpha1.TypeInteger)
	case kind == "number":
		return typed(v1alpha1.TypeNumber)
	case kind == "boolean":
		return typed(v1alpha1.TypeBoolean)
	}
	return typed(v1alpha1.TypeString)
}

// most bounds how deep and how many fields of a body are listed.
const mostDeep, mostFields = 3, 128

// fields lists the fields of a body, those below objects and arrays with them.
func (s *schema) fields(path string, depth int, to map[string]v1alpha1.Matcher) {
	if s.Items != nil {
		s.Items.field(path+"[]", depth, to)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		at := strings.NewReplacer(".", `\.`, "[", `\[`, "]", `\]`, `\`, `\\`).Replace(name)
		if path != "" {
			at = path + "." + at
		}
		p.field(at, depth, to)
		if m, ok := to[at]; ok && slices.Contains(s.Required, name) {
			m.Required = true
			to[at] = m
		}
	}
}

func (s *schema) field(at string, depth int, to map[string]v1alpha1.Matcher) {
	kind, _ := s.Type.(string)
	nested := kind == "array" || kind == "object" || kind == ""
	switch {
	case len(to) >= mostFields:
	case nested && depth < mostDeep && (s.Items != nil || len(s.Properties) > 0):
		s.fields(at, depth+1, to)
	case nested:
		to[at] = typed(v1alpha1.TypeAny)
	default:
		to[at] = s.matcher()
	}
}

// BenchmarkGitHub answers for each of the operations.
func BenchmarkGitHub(b *testing.B) {
	c := agentOf(b)
	operations, err := reach.Read(github(b))
	if err != nil {
		b.Fatal(err)
	}
	cpu.Loop(b, func() {
		if report := reach.Of(&c, "rest", operations); len(report.Reached) < 100 {
			b.Fatal(len(report.Reached))
		}
	})
}

// BenchmarkGitHubWhole reads the description of 13 MB as well, as the command
// does.
func BenchmarkGitHubWhole(b *testing.B) {
	text, c := github(b), agentOf(b)
	b.SetBytes(int64(len(text)))
	cpu.Loop(b, func() {
		operations, err := reach.Read(text)
		if err != nil {
			b.Fatal(err)
		}
		if report := reach.Of(&c, "rest", operations); len(report.Reached) < 100 {
			b.Fatal(len(report.Reached))
		}
	})
}
