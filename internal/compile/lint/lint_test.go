package lint

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/profile"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const upstreamText = `
metadata: {name: github, namespace: agents}
spec:
  endpoints:
  - {name: rest, url: https://api.github.com, profile: github-rest, inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
`

// TestFindings has scopes with one fault each, beside the same without it.
func TestFindings(t *testing.T) {
	const fine = `{name: read, http: {methods: [GET], paths: ["/repos/{repo=*/*}/issues"]}, where: {repo: {in: [acme/docs]}}}`
	for name, test := range map[string]struct {
		why   string
		spec  string
		rule  Rule
		at    string
		says  string // of the message
		quiet bool   // a note
	}{
		"fine":         {why: "nothing is to be said of it", spec: "grants: [" + fine + "]"},
		"used set":     {why: "a grant names it", spec: "sets: [{name: docs, in: [acme/docs]}]\n  grants: [" + strings.Replace(fine, "in: [acme/docs]", "set: docs", 1) + "]"},
		"set of never": {why: "an entry names it", spec: "sets: [{name: docs, in: [acme/docs]}]\n  grants: [" + fine + "]\n  never: [{http: {methods: [PUT]}, query: {params: {q: {set: docs}}}}]"},
		"set of git": {why: "its repositories are named so", spec: `sets: [{name: docs, in: [acme/docs]}]
  grants: [{name: a, git: {repos: {set: docs}, fetch: true}}]`},
		"set of messages": {why: "a field is bound by it", spec: `sets: [{name: kinds, in: [ping]}]
  grants: [{name: a, websocket: {path: /ws, messages: {fields: {type: {set: kinds}}}}}]`},
		"set of never git": {why: "an entry of never names it", spec: `sets: [{name: repo, in: [acme/web]}]
  grants: [` + fine + `]
  never: [{git: {repos: {set: repo}}}]`},
		"opaque messages": {why: "they are not looked at", spec: `grants: [{name: a, websocket: {path: /ws, messages: {media: Opaque}}}]`, rule: Opaque, at: "spec.grants[0].websocket.messages.media", says: "messages are not looked at", quiet: true},
		"calls":           {why: "their messages are not looked at", spec: `grants: [{name: a, grpc: {methods: [a.B/C]}}]`, rule: Opaque, at: "spec.grants[0].grpc", says: "messages of a call are not looked at", quiet: true},
		"open tool":       {why: "its arguments are not looked at", spec: `grants: [{name: a, mcp: {path: /mcp, revisions: ["2025-11-25"], tools: [{name: t, unlisted: Allow}]}}]`, rule: Opaque, at: "spec.grants[0].mcp.tools[0].unlisted", says: "any argument of the tool t passes", quiet: true},
		"unused set":      {why: "it bounds nothing", spec: "sets: [{name: docs, in: [acme/docs]}]\n  grants: [" + fine + "]", rule: UnusedSet, at: "spec.sets[0]", says: "nothing names the set docs"},
		"open tail":       {why: "it matches every path below", spec: `grants: [{name: a, http: {methods: [GET], paths: ["/repos/acme/docs/{rest...}"]}}]`, rule: OpenCapture, at: "spec.grants[0].http.paths[0]", says: "the capture rest matches every path below"},
		"open segment":    {why: "it is one segment", spec: `grants: [{name: a, http: {methods: [GET], paths: ["/repos/acme/docs/issues/{number}"]}}]`, rule: OpenCapture, at: "spec.grants[0].http.paths[0]", says: "the capture number matches any segment", quiet: true},
		"wildcard":        {why: "any segments match it", spec: `grants: [{name: a, http: {methods: [GET], paths: ["/repos/acme/docs/pulls/{rest...}"]}, where: {rest: {glob: "**"}}}]`, rule: Wildcard, at: "spec.grants[0].where.rest", says: "lets everything pass"},
		"any text":        {why: "any segment is text", spec: `grants: [{name: a, http: {methods: [GET], paths: ["/repos/acme/docs/issues/{nr}"]}, where: {nr: {type: String}}}]`, rule: Wildcard, at: "spec.grants[0].where.nr", says: "lets everything pass"},
		"one segment":     {why: "a tail of one segment is not every tail", spec: `grants: [{name: a, http: {methods: [GET], paths: ["/repos/acme/docs/pulls/{rest...}"]}, where: {rest: {glob: "*"}}}]`},
		"unlisted":        {why: "names are not looked at", spec: "grants: [" + strings.TrimSuffix(fine, "}") + ", query: {unlisted: Allow}}]", rule: Opaque, at: "spec.grants[0].query.unlisted", says: "any name of a query passes", quiet: true},
		"opaque":          {why: "the body is not looked at", spec: `grants: [{name: a, http: {methods: [POST], paths: [/markdown/raw]}, body: {media: Opaque}}]`, rule: Opaque, at: "spec.grants[0].body.media", says: "the body is not looked at", quiet: true},
		"unlisted fields": {why: "they are not looked at", spec: `grants: [{name: a, http: {methods: [POST], paths: [/markdown]}, body: {unlisted: Allow}}]`, rule: Opaque, at: "spec.grants[0].body.unlisted", says: "any field or part", quiet: true},
		"deletes":         {why: "people regret it", spec: `grants: [{name: a, http: {methods: [DELETE], paths: [/repos/acme/docs]}}]`, rule: Sensitive, at: "spec.grants[0]", says: "the grant a allows rest DELETE /repos/acme/docs, which deletes the repository"},
		"workflows":       {why: "the glob holds them", spec: `grants: [{name: a, http: {methods: [PUT], paths: ["/repos/acme/docs/contents/{file...}"]}, where: {file: {glob: "*/workflows/*"}}}]`, rule: Sensitive, at: "spec.grants[0]", says: "which changes workflows"},
		"no workflows":    {why: "the hole leaves them out", spec: `grants: [{name: a, http: {methods: [PUT], paths: ["/repos/acme/docs/contents/{file...}"]}, where: {file: {kind: Path, under: docs}}, body: {fields: {message: {type: String}}}}]`},
		"shadowed":        {why: "another one has it", spec: "grants: [" + fine + ", " + strings.Replace(strings.Replace(fine, "name: read", "name: again", 1), "issues", "{issues,pulls}", 1) + "]", rule: Shadowed, at: "spec.grants[0]", says: "other grants allow all that the grant read does"},
		"twice":           {why: "the later one is told of", spec: "grants: [" + fine + ", " + strings.Replace(fine, "name: read", "name: again", 1) + "]", rule: Shadowed, at: "spec.grants[1]", says: "the grant again does"},
		"nothing":         {why: "its matchers contradict each other", spec: `grants: [{name: a, http: {methods: [GET], paths: ["/repos/acme/{repo}"]}, where: {repo: {in: [docs], glob: "web*"}}}]`, rule: Nothing, at: "spec.grants[0]", says: "no request matches the grant a"},
	} {
		t.Run(name, func(t *testing.T) {
			var up v1alpha1.UpstreamSecret
			var sc v1alpha1.ScopedCredential
			text := "metadata: {name: notes, namespace: agents}\nspec:\n  upstream: {name: github}\n  holders: {serviceAccounts: [agent]}\n  " + test.spec + "\n"
			if err := yaml.UnmarshalStrict([]byte(upstreamText), &up); err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(text), &sc); err != nil {
				t.Fatal(err)
			}
			doc, err := compile.Credential(&sc, &up)
			if err != nil {
				t.Fatal(err)
			}
			found := Findings(Scope{&sc, &doc, map[string]string{"rest": "github-rest"}})
			switch {
			case test.rule == "" && len(found) > 0:
				t.Errorf("%s: found %+v", test.why, found)
			case test.rule == "":
			case len(found) != 1:
				t.Errorf("%s: found %+v", test.why, found)
			case found[0].Rule != test.rule || found[0].Field != test.at || !strings.Contains(found[0].Message, test.says) || (found[0].Severity == Note) != test.quiet || found[0].Fix == "":
				t.Errorf("%s: found %+v", test.why, found[0])
			}
		})
	}
}

// TestOperations: every operation of the data is a path of the scope language,
// of a profile that there is.
func TestOperations(t *testing.T) {
	for name, list := range operations() {
		if _, known := profile.Lookup(name); !known {
			t.Errorf("there is no profile %s", name)
		}
		for _, op := range list {
			if len(op.Methods) == 0 || len(op.Paths) == 0 || op.Why == "" {
				t.Errorf("%s: %+v says too little", name, op)
			}
			for _, path := range op.Paths {
				if _, err := scope.ParsePath(path); err != nil {
					t.Errorf("%s: %s: %v", name, path, err)
				}
			}
		}
	}
	if len(operations()["github-rest"]) == 0 {
		t.Error("no operations of GitHub are known")
	}
}
