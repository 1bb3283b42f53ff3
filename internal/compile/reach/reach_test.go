package reach

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/profile"
)

const describedText = `
openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /repos/{owner}/{repo}/pulls/{number}: {get: {operationId: pulls/get}, patch: {operationId: pulls/update}}
  /repos/{owner}/{repo}/pulls/comments: {get: {operationId: pulls/comments}}
  /repos/{owner}/{repo}/contents/{path}:
    parameters: [{name: path, in: path, x-multi-segment: true}]
    get: {operationId: contents/get}
  /repos/{owner}/{repo}/zip/{ref}.zip: {get: {operationId: zip}}
  /repos/{owner}/{repo}: {$ref: "#/components/pathItems/repo"}
  /user: {get: {operationId: user}}
  /: {get: {operationId: root}}
components:
  pathItems: {repo: {get: {operationId: repos/get}, delete: {operationId: repos/delete}}}
`

func credential(t testing.TB, grants string) *bundle.Credential {
	t.Helper()
	github, _ := profile.Lookup("github-rest")
	c := &bundle.Credential{Endpoints: []bundle.Endpoint{{Name: "rest", Profile: github.Scope}}}
	if err := yaml.UnmarshalStrict([]byte(grants), &c.Grants); err != nil {
		t.Fatal(err)
	}
	for i := range c.Grants {
		c.Grants[i].Name, c.Grants[i].Endpoint = fmt.Sprintf("g%d", i), "rest"
		for _, problem := range c.Grants[i].Check(github.Scope) {
			t.Fatal(problem)
		}
	}
	return c
}

func TestOf(t *testing.T) {
	operations, err := Read([]byte(describedText))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		why, grants string
		want        []string // operation: example
	}{
		"a literal":         {"it is one operation, and not the one with a parameter there", `[{http: {methods: [GET], paths: ["/repos/{r=*/*}/pulls/comments"]}, where: {r: {in: [acme/web]}}}]`, []string{"pulls/comments: rest GET /repos/acme/web/pulls/comments"}},
		"a parameter":       {"its value may be the name of another operation", `[{http: {methods: [GET], paths: ["/repos/acme/web/pulls/{n}"]}}]`, []string{"pulls/get: rest GET /repos/acme/web/pulls/a", "pulls/comments: rest GET /repos/acme/web/pulls/comments"}},
		"numbers":           {"that is no number", `[{http: {methods: [GET], paths: ["/repos/acme/web/pulls/{nr}"]}, where: {nr: {type: Integer, min: "1"}}}]`, []string{"pulls/get: rest GET /repos/acme/web/pulls/1"}},
		"another method":    {"it is another operation", `[{http: {methods: [PATCH], paths: ["/repos/acme/web/pulls/{nr}"]}, where: {nr: {in: ["7"]}}}]`, []string{"pulls/update: rest PATCH /repos/acme/web/pulls/7"}},
		"a tail":            {"a parameter that may hold slashes", `[{http: {methods: [GET], paths: ["/repos/acme/web/contents/{file...}"]}, where: {file: {glob: "docs/*.md"}}}]`, []string{"contents/get: rest GET /repos/acme/web/contents/docs/.md"}},
		"a part of one":     {"literal text beside a parameter", `[{http: {methods: [GET], paths: ["/repos/acme/web/zip/{ref}"]}, where: {ref: {in: [main.zip, main.tar]}}}]`, []string{"zip: rest GET /repos/acme/web/zip/main.zip"}},
		"no part of it":     {"it ends otherwise", `[{http: {methods: [GET], paths: ["/repos/acme/web/zip/{ref}"]}, where: {ref: {in: [main.tar]}}}]`, nil},
		"a reference":       {"it stands elsewhere in the description", `[{http: {methods: [DELETE], paths: ["/repos/{owner}/{name}"]}, where: {owner: {equals: acme}}}]`, []string{"repos/delete: rest DELETE /repos/acme/a"}},
		"the root":          {"a single path", `[{http: {methods: [GET], paths: [/]}}]`, []string{"root: rest GET /"}},
		"two grants":        {"each is named", `[{http: {methods: [GET], paths: [/user]}}, {http: {methods: [GET], paths: [/user]}, query: {params: {a: {equals: b, required: true}}}}]`, []string{"user: rest GET /user, rest GET /user?a=b"}},
		"nothing described": {"what is not described is not counted", `[{http: {methods: [GET], paths: [/gists]}}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			report := Of(credential(t, test.grants), "rest", operations)
			var got []string
			for _, r := range report.Reached {
				var examples []string
				for _, through := range r.Through {
					examples = append(examples, through.Example)
				}
				got = append(got, r.ID+": "+strings.Join(examples, ", "))
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
			if report.Operations != 9 || len(report.Unknown) > 0 {
				t.Errorf("of %d operations %v are unknown", report.Operations, report.Unknown)
			}
		})
	}
}

func TestWhen(t *testing.T) {
	c := credential(t, `[{http: {methods: [POST], paths: ["/repos/{repo=*/*}/issues"]}, where: {repo: {in: [acme/web]}}, query: {unlistedAllow: true, params: {page: {min: "1"}}}, headers: {X-Trace: {type: String, required: true}},
		body: {media: JSON, maxBytes: 9, unlistedAllow: true, fields: {title: {maxLength: 5}}}, limits: {requests: {count: 3, per: 60000000000}}, response: {keep: [id]}}]`)
	want := []string{"repo: one of acme/web", "query page: a number from 1 on", "query: any other name", "header X-Trace: any string, required",
		"body: JSON, up to 9 bytes", "body title: at most 5 characters", "body: anything else", "at most 3 requests in 1m0s", "of the answer: id"}
	if diff := cmp.Diff(want, When(&c.Grants[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"{":            "reading the description",
		"a: [":         "reading the description",
		"paths: {}":    "neither openapi nor swagger",
		`{"paths":{}}`: "neither openapi nor swagger",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// github is the description of a large API, as far as it is read.
func github(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/github.txt")
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]map[string]any{}
	for line := range strings.Lines(string(text)) {
		method, path, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || method == "#" {
			continue
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		many := strings.HasSuffix(path, "{path}") || strings.HasSuffix(path, "{ref}")
		paths[path][strings.ToLower(method)] = map[string]any{
			"operationId": method + path, "description": strings.Repeat("what it does ", 100),
			"parameters": []map[string]any{{"name": path[strings.LastIndex(path, "/")+1:], "in": "path"}, {"name": "path", "in": "path", "x-multi-segment": many}, {"name": "ref", "in": "path", "x-multi-segment": many}},
			"responses":  map[string]any{"200": map[string]any{"content": strings.Repeat("a schema ", 500)}},
		}
	}
	doc, err := json.Marshal(map[string]any{"openapi": "3.0.3", "paths": paths})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

const agent = `[
  {http: {methods: [GET], paths: ["/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"]}, where: {repo: {in: [acme/web, acme/docs]}}, query: {unlistedAllow: true}},
  {http: {methods: [DELETE], paths: ["/repos/{repo=*/*}/git/refs/{branch...}"]}, where: {repo: {in: [acme/docs]}, branch: {glob: "heads/agent/**"}}},
  {http: {methods: [POST], paths: ["/repos/{repo=*/*}/issues/{number}/comments"]}, where: {repo: {in: [acme/docs]}, number: {type: Integer, min: "1"}}, body: {media: JSON, maxBytes: 1000, fields: {body: {maxLength: 1000}}}}]`

// TestGitHub: all operations of a large API are answered for, and the counts
// are what a person counts in the list.
func TestGitHub(t *testing.T) {
	operations, err := Read(github(t))
	if err != nil {
		t.Fatal(err)
	}
	report := Of(credential(t, agent), "rest", operations)
	counts := map[string]int{}
	for _, r := range report.Reached {
		counts[r.Method]++
		if !strings.HasPrefix(r.Path, "/repos/{") {
			t.Errorf("%s %s is reached", r.Method, r.Path)
		}
	}
	reads := 0
	for _, o := range operations {
		if o.Method == "GET" && strings.HasPrefix(o.Path, "/repos/{owner}/{repo}") || o.Path == "/repos/{template_owner}/{template_repo}" && o.Method == "GET" {
			reads++
		}
	}
	if report.Operations < 1223 || len(report.Unknown) > 0 || counts["GET"] != reads || counts["DELETE"] != 1 || counts["POST"] != 1 {
		t.Errorf("of %d operations %v are reached and %d unknown; %d reads are described", report.Operations, counts, len(report.Unknown), reads)
	}
}

// BenchmarkGitHub reads a description of more than 1,223 operations and answers
// for each of them.
func BenchmarkGitHub(b *testing.B) {
	doc, c := github(b), credential(b, agent)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		operations, err := Read(doc)
		if err != nil {
			b.Fatal(err)
		}
		if report := Of(c, "rest", operations); len(report.Reached) < 100 {
			b.Fatal(len(report.Reached))
		}
	}
}
