package reach

import (
	"fmt"
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
