package ask

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

const upstreamText = `
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: github, namespace: agents}
spec:
  endpoints:
  - {name: rest, url: https://api.github.com, profile: github-rest, inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
`

const scopeText = `
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: notes, namespace: agents}
spec:
  upstream: {name: github}
  holders: {serviceAccounts: [agent]}
  grants:
  - name: read
    http: {endpoint: rest, methods: [GET], paths: ["/repos/{repo=*/*}/issues"]}
    where: {repo: {in: [acme/web, acme/docs]}}
`

// ran is what came of a command.
type ran struct {
	stdout string
	status int
	err    error
}

// ask runs one of the verbs.
func ask(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	root := &cobra.Command{Use: "sallyport", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(Commands()...)
	var stdout bytes.Buffer
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&stdout)
	root.SetErr(&stdout)
	err := root.ExecuteContext(t.Context())
	var ended *Ended
	switch {
	case errors.As(err, &ended):
		return ran{stdout.String(), ended.Status, ended.Err}
	case err != nil:
		return ran{stdout.String(), 1, err}
	}
	return ran{stdout: stdout.String()}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func change(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

func TestDiff(t *testing.T) {
	with := func(ceiling string) string { return upstreamText + "  ceiling: {grants: [" + ceiling + "]}\n" }
	const ceiling = `{name: a, http: {methods: [GET], paths: ["/repos/{all...}"]}}`
	for name, test := range map[string]struct {
		why, from, to string
		also          string
		status        int
		want          string
	}{
		"same": {"in other words", scopeText, change(scopeText, "in: [acme/web, acme/docs]", `pattern: "acme/(?:docs|web)"`), upstreamText, 0,
			"ScopedCredential agents/notes: same\n"},
		"narrowed": {"a repository less", scopeText, change(scopeText, "acme/web, ", ""), upstreamText, 1,
			"ScopedCredential agents/notes: narrowed\n  - rest GET /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused now\n"},
		"widened": {"a method more", scopeText, change(scopeText, "[GET]", "[GET, PATCH]"), upstreamText, 2,
			"ScopedCredential agents/notes: widened\n  + rest PATCH /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused before\n"},
		"both": {"one for another", scopeText, change(scopeText, "acme/web", "acme/api"), upstreamText, 2,
			"ScopedCredential agents/notes: both\n  + rest GET /repos/acme/api/issues\n      grant read, path /repos/{repo=*/*}/issues; refused before\n  - rest GET /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused now\n"},
		"otherwise": {"what goes upstream differs", change(scopeText, "/repos/{repo=*/*}/issues", "/x/{repo=*/*}", "in: [acme/web, acme/docs]", `glob: "acme/*", fold: ASCII`), change(scopeText, "/repos/{repo=*/*}/issues", "/x/{repo=*/*}", "in: [acme/web, acme/docs]", `glob: "acme/*"`), upstreamText, 2,
			"ScopedCredential agents/notes: both\n  + rest GET /x/acme/A\n      grant read, path /x/{repo=*/*}; it was let pass otherwise before\n  - rest GET /x/acme/A\n      grant read, path /x/{repo=*/*}; it is let pass otherwise now\n"},
		"unknown": {"it takes too much work", change(scopeText, "in: [acme/web, acme/docs]", `pattern: "a/(?:a|b)*a(?:a|b){40}"`), change(scopeText, "in: [acme/web, acme/docs]", `pattern: "a/(?:b|a)*a(?:a|b){40}"`), upstreamText, 2,
			"ScopedCredential agents/notes: unknown\n  ? grant read: it takes too much work to find out\n"},
		"new": {"all of it is new", upstreamText, scopeText, "", 2,
			"ScopedCredential agents/notes: widened\n  + rest GET /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused before\n"},
		"gone": {"all of it is gone", scopeText, upstreamText, "", 1,
			"ScopedCredential agents/notes: narrowed\n  - rest GET /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused now\n"},
		"no upstream": {"its owner keeps it elsewhere", scopeText, change(scopeText, "acme/web", "acme/WEB"), "", 2,
			"ScopedCredential agents/notes: both\n  + rest GET /repos/acme/WEB/issues\n      grant read, path /repos/{repo=*/*}/issues; refused before\n  - rest GET /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused now\n" +
				"  note: UpstreamSecret github is not in the files: this holds whatever profile its endpoints have; give it with -f for a closer answer\n"},
		"the profile's fold": {"to GitHub it is the same", scopeText, change(scopeText, "acme/web", "acme/WEB"), upstreamText, 0,
			"ScopedCredential agents/notes: same\n"},
		"a wider ceiling": {"its owner allows more", with(ceiling), with(change(ceiling, "[GET]", "[GET, PUT]")), "", 2,
			"UpstreamSecret agents/github, its ceiling: widened\n  + rest PUT /repos/a\n      grant a, path /repos/{all...}; refused before\n"},
		"a ceiling": {"there was none", upstreamText, with(ceiling), "", 1,
			"UpstreamSecret agents/github, its ceiling: narrowed\n  - whatever the key can do: there was no ceiling\n"},
		"no ceiling": {"there is none any more", with(ceiling), upstreamText, "", 2,
			"UpstreamSecret agents/github, its ceiling: widened\n  + whatever the key can do: there is no ceiling\n"},
		"no limit": {"the bucket of all grants is gone", scopeText + "  limits: {requests: {count: 5, per: 1m}, concurrency: 4}\n", scopeText, upstreamText, 2,
			"ScopedCredential agents/notes: widened\n  + more requests in all than spec.limits.requests of the other lets pass\n  + more requests in all than spec.limits.concurrency of the other lets pass\n"},
		"new with a limit": {"nothing was allowed before", upstreamText, scopeText + "  limits: {requests: {count: 5, per: 1m}}\n", "", 2,
			"ScopedCredential agents/notes: widened\n  + rest GET /repos/acme/web/issues\n      grant read, path /repos/{repo=*/*}/issues; refused before\n"},
		"nothing": {"neither holds anything to compare", upstreamText, upstreamText, "", 0, "no ScopedCredential and no ceiling in either version\n"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"diff", file(t, "old.yaml", test.from), file(t, "new.yaml", test.to)}
			if test.also != "" {
				args = append(args, "-f", file(t, "also.yaml", test.also))
			}
			got := ask(t, "", args...)
			if got.err != nil || got.status != test.status {
				t.Errorf("%s: status %d, %v, want %d", test.why, got.status, got.err, test.status)
			}
			if diff := cmp.Diff(test.want, got.stdout); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

// TestDiffTrouble: what cannot be compared is neither the same nor wider.
func TestDiffTrouble(t *testing.T) {
	good := file(t, "good.yaml", scopeText)
	for name, args := range map[string][]string{
		"one file":         {"diff", good},
		"three files":      {"diff", good, good, good},
		"no such file":     {"diff", good, good + "x"},
		"no such revision": {"diff", good, "nowhere:file.yaml"},
		"twice stdin":      {"diff", "-", "-"},
		"no such flag":     {"diff", "--narrowed", good, good},
		"format":           {"diff", good, good, "-o", "yaml"},
		"does not compile": {"diff", good, file(t, "bad.yaml", change(scopeText, "{repo=*/*}", "{repo"))},
		"no manifest":      {"diff", good, file(t, "bad.yaml", "a: [")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, "", args...); got.status != 3 || got.err == nil {
				t.Errorf("status %d, %v", got.status, got.err)
			}
		})
	}
}

func TestDiffOfRevisions(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@a.example", "-c", "init.defaultBranch=main"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile("scope.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	write(upstreamText + "---" + scopeText)
	git("add", ".")
	git("commit", "-qm", "one")
	write(upstreamText + "---" + change(scopeText, "[GET]", "[GET, PUT]"))
	if got := ask(t, "", "diff", "HEAD:scope.yaml", "scope.yaml"); got.status != 2 || !strings.Contains(got.stdout, "+ rest PUT /repos/acme/web/issues") {
		t.Errorf("status %d, %v\n%s", got.status, got.err, got.stdout)
	}
	if got := ask(t, upstreamText+"---"+scopeText, "diff", "HEAD:scope.yaml", "-"); got.status != 0 || got.err != nil {
		t.Errorf("standard input: status %d, %v\n%s", got.status, got.err, got.stdout)
	}
	if got := ask(t, "", "diff", "--", "HEAD:scope.yaml", "--output:x"); got.status != 3 {
		t.Errorf("a revision is taken for an option of git: status %d, %v", got.status, got.err)
	}
}

func TestDiffJSON(t *testing.T) {
	got := ask(t, "", "diff", "-o", "json", "-f", file(t, "up.yaml", upstreamText), file(t, "old.yaml", scopeText), file(t, "new.yaml", change(scopeText, "[GET]", "[GET, PUT]")))
	var answer map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"verdict": "Widened", "objects": []any{map[string]any{
		"kind": "ScopedCredential", "namespace": "agents", "name": "notes", "verdict": "Widened",
		"added": []any{map[string]any{
			"grant": "read", "path": "/repos/{repo=*/*}/issues", "text": "rest PUT /repos/acme/web/issues",
			"request": map[string]any{"endpoint": "rest", "method": "PUT", "target": "/repos/acme/web/issues"},
		}},
	}}}
	if diff := cmp.Diff(want, answer); diff != "" || got.status != 2 {
		t.Errorf("status %d (-want +got):\n%s", got.status, diff)
	}
}

func TestExplain(t *testing.T) {
	up, sc := file(t, "up.yaml", upstreamText), file(t, "scope.yaml", scopeText+`  - name: note
    http: {endpoint: rest, methods: [POST], paths: [/notes]}
    headers: {X-Trace: {maxLength: 4}}
    body: {fields: {text: {maxLength: 3}}}
`)
	for name, test := range map[string]struct {
		why  string
		args []string
		want string
	}{
		"allowed":      {"the grant is named", []string{"GET /repos/acme/docs/issues"}, "agents/notes: allowed by read, forwarded as /repos/acme/docs/issues\n"},
		"words":        {"quotes may be forgotten", []string{"rest", "GET", "/repos/acme/docs/issues"}, "agents/notes: allowed by read, forwarded as /repos/acme/docs/issues\n"},
		"folded":       {"what goes upstream is told", []string{"GET /repos/ACME/docs/issues"}, "agents/notes: allowed by read, forwarded as /repos/acme/docs/issues\n"},
		"dropped":      {"a header does not go upstream", []string{"GET /repos/acme/docs/issues", "-H", "X-Other: a"}, "agents/notes: allowed by read, forwarded as /repos/acme/docs/issues\n  the header X-Other does not go upstream: list it under headers of the grant\n"},
		"with a body":  {"it is judged", []string{"POST /notes", "-H", "Content-Type: application/json", "-d", `{"text": "abc"}`}, "agents/notes: allowed by note, forwarded as /notes\n"},
		"another body": {"the field is named", []string{"POST /notes", "-H", "Content-Type: application/json", "-d", `{"text": "abcd"}`}, "agents/notes: refused, ParameterRefused: the body field text has a value that is not allowed\n"},
		"refused":      {"what is missing is told", []string{"DELETE /repos/acme/docs/issues"}, "agents/notes: refused, OutOfScope: no grant allows this method and path\n  grant read:\n    the method DELETE is none of GET\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, "", append([]string{"explain", "-f", up, "-f", sc}, test.args...)...)
			if got.status != 0 || got.err != nil || !strings.HasPrefix(got.stdout, test.want) {
				t.Errorf("%s: status %d, %v, got\n%s\nwant\n%s", test.why, got.status, got.err, got.stdout, test.want)
			}
		})
	}
	if got := ask(t, "", "explain", "-f", sc, "GET /repos/acme/docs/issues"); !strings.Contains(got.stdout, "UpstreamSecret github is not in the files: its endpoints are taken for strict ones") {
		t.Errorf("what is assumed is not told:\n%s", got.stdout)
	}
	for name, args := range map[string][]string{
		"no request": {"explain", "-f", sc}, "no file": {"explain", "GET /"}, "half a header": {"explain", "-f", sc, "GET /", "-H", "X"},
		"no such endpoint": {"explain", "-f", up, "-f", sc, "git GET /"}, "no credential": {"explain", "-f", up, "GET /"},
	} {
		if got := ask(t, "", args...); got.err == nil || got.stdout != "" {
			t.Errorf("%s: no error, and %q", name, got.stdout)
		}
	}
	var answers []map[string]any
	if got := ask(t, "", "explain", "-f", up, "-f", sc, "-o", "json", "GET /repos/acme/docs/issues"); json.Unmarshal([]byte(got.stdout), &answers) != nil || answers[0]["allowed"] != true || answers[0]["name"] != "notes" {
		t.Errorf("got %s", got.stdout)
	}
}

func TestCheck(t *testing.T) {
	up := file(t, "up.yaml", upstreamText)
	fine := ask(t, "", "check", "-f", up, "-f", file(t, "scope.yaml", scopeText))
	if fine.stdout != "nothing found\n" || fine.status != 0 {
		t.Errorf("status %d, %s", fine.status, fine.stdout)
	}
	path := file(t, "scope.yaml", change(scopeText, `/issues"]}`, `/issues/{rest...}"]}`))
	open := ask(t, "", "check", "-f", up, "-f", path)
	if want := path + ":10: spec.grants[0].http.paths[0]: warning: the capture rest matches every path below: bound it by where: {rest: ...}, such as {in: [...]} or {glob: ...}\n"; open.stdout != want || open.status != 1 {
		t.Errorf("status %d, got\n%s\nwant\n%s", open.status, open.stdout, want)
	}
	noted := ask(t, scopeText+"    query: {unlisted: Allow}\n", "check", "-f", up, "-f", "-", "-o", "json")
	var found []map[string]any
	if err := json.Unmarshal([]byte(noted.stdout), &found); err != nil || len(found) != 1 || found[0]["severity"] != "note" || found[0]["rule"] != "Opaque" || noted.status != 0 {
		t.Errorf("status %d, %v, got %s", noted.status, err, noted.stdout)
	}
	bad := ask(t, "", "check", "-f", up, "-f", file(t, "scope.yaml", change(scopeText, "acme/docs]}", "acme/docs], glob: '**x'}")))
	if !errors.As(bad.err, new(manifest.Errors)) {
		t.Errorf("it compiles: %v", bad.err)
	}
}

func TestReach(t *testing.T) {
	up, sc := file(t, "up.yaml", upstreamText), file(t, "scope.yaml", scopeText)
	doc := file(t, "api.json", `{"openapi": "3.1.0", "paths": {"/repos/{owner}/{repo}/issues": {"get": {"operationId": "issues/list"}, "post": {}}, "/user": {"get": {}}}}`)
	got := ask(t, "", "reach", "-f", up, "-f", sc, "--openapi", doc)
	if want := "agents/notes reaches 1 of 3 operations at rest\n  GET /repos/{owner}/{repo}/issues\n      grant read: repo: one of acme/web, acme/docs; such as rest GET /repos/acme/web/issues\n"; got.stdout != want || got.status != 0 {
		t.Errorf("status %d, %v, got\n%s\nwant\n%s", got.status, got.err, got.stdout, want)
	}
	var reports []map[string]any
	if got := ask(t, "", "reach", "-f", sc, "--openapi", doc, "-o", "json"); json.Unmarshal([]byte(got.stdout), &reports) != nil || reports[0]["operations"] != 3.0 || reports[0]["assumed"] == "" {
		t.Errorf("got %s", got.stdout)
	}
	for name, args := range map[string][]string{
		"no description": {"reach", "-f", sc}, "no such file": {"reach", "-f", sc, "--openapi", doc + "x"}, "no such endpoint": {"reach", "-f", sc, "--openapi", doc, "--endpoint", "git"},
		"no credential": {"reach", "-f", up, "--openapi", doc}, "no description in it": {"reach", "-f", sc, "--openapi", sc},
	} {
		if got := ask(t, "", args...); got.err == nil {
			t.Errorf("%s: no error, and %q", name, got.stdout)
		}
	}
}
