package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/test/story"
)

const demoKey = "CANARY-0123456789"

// rehearseDemo plays the demo with a scope, in a folder that stays for the test
// to look at.
func rehearseDemo(t *testing.T, scope string) (d *demo, stdout, stderr *bytes.Buffer, err error) {
	t.Helper()
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	d = &demo{dir: t.TempDir(), key: demoKey, scope: scope, stdout: stdout, stderr: stderr}
	err = d.run(t.Context())
	return d, stdout, stderr, err
}

// repositoryOf asks git itself what is left after an act.
func repositoryOf(t *testing.T, d *demo, act string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "--git-dir", filepath.Join(d.dir, act, "acme", "docs.git"),
		"for-each-ref", "--format=%(refname)").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func fileOf(t *testing.T, d *demo, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDemo asserts the story by what the repositories hold, what the upstream
// saw and what was printed, and not by what the demo makes of it.
func TestDemo(t *testing.T) {
	d, stdout, stderr, err := rehearseDemo(t, story.Scope)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	heads := func(names ...string) (refs []string) {
		for _, n := range names {
			refs = append(refs, "refs/heads/"+n)
		}
		return refs
	}
	if diff := cmp.Diff(heads("agent/draft", "agent/notes", "main"), repositoryOf(t, d, "without")); diff != "" {
		t.Errorf("branches left without Sallyport (-want +got):\n%s", diff)
	}
	releases := []string{"release-1.0", "release-1.1", "release-1.2", "release-1.3", "release-1.4", "release-1.5", "release-1.6"}
	if diff := cmp.Diff(heads(append([]string{"agent/draft", "agent/notes", "main"}, releases...)...), repositoryOf(t, d, "with")); diff != "" {
		t.Errorf("branches left with Sallyport (-want +got):\n%s", diff)
	}
	theUpstreamSaw(t, d)
	printed := fileOf(t, d, "with/printed")
	for _, b := range releases {
		for _, want := range []string{
			"refused 403  DELETE /repos/acme/docs/git/refs/heads/" + b + " OutOfScope no grant allows this method and path\n",
			"refused   -  PUSH   /acme/docs.git:refs/heads/" + b + " ParameterRefused sallyport: refs/heads/" + b + " may not be deleted: no ref that the grant lists matches it\n",
			"refused 403  MUTATE /graphql:deleteRef:refs/heads/" + b + " ParameterRefused ",
			"refused   -  TOOL   /mcp:delete_branch:refs/heads/" + b + " ParameterRefused ",
		} {
			if !strings.Contains(printed, want) {
				t.Errorf("the agent did not print %q:\n%s", want, printed)
			}
		}
	}
	if !strings.HasSuffix(printed, "\ntally ok=12 refused=28 absent=0 failed=0\n") {
		t.Errorf("the agent's tally:\n%s", printed)
	}
	denied := regexp.MustCompile(`"endpoint":"(\w+)".*"verdict":"Deny","reason":"(\w+)"`).FindAllStringSubmatch(fileOf(t, d, "with/audit.jsonl"), -1)
	count := map[string]int{}
	for _, m := range denied {
		count[m[1]+" "+m[2]]++
	}
	want := map[string]int{"rest OutOfScope": 7, "rest ParameterRefused": 7, "git ParameterRefused": 7, "mcp ParameterRefused": 7}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("refusals on record (-want +got):\n%s", diff)
	}
	theKeyStaysAway(t, d, stdout.String()+stderr.String())
	readable(t, stdout.String())
}

// theUpstreamSaw the allowed work and nothing else.
func theUpstreamSaw(t *testing.T, d *demo) {
	t.Helper()
	var saw []string
	for _, e := range d.with.Seen {
		if e.Authorized && e.Status/100 != 2 || !e.Authorized {
			t.Errorf("the upstream answered %+v", e)
		}
		one := e.Method + " " + e.Path
		for _, deed := range e.Does {
			one += " " + deed
		}
		saw = append(saw, one)
	}
	slices.Sort(saw)
	want := []string{
		"DELETE /repos/acme/docs/git/refs/heads/agent/tmp delete refs/heads/agent/tmp",
		"GET /acme/docs.git/info/refs", "GET /repos/acme/docs", "GET /repos/acme/docs/branches", "GET /repos/acme/docs/issues/7",
		"POST /acme/docs.git/git-receive-pack create refs/heads/agent/notes", "POST /acme/docs.git/git-upload-pack",
		"POST /graphql", "POST /mcp", "POST /repos/acme/docs/issues/7/comments",
	}
	if diff := cmp.Diff(want, slices.Compact(saw)); diff != "" {
		t.Errorf("with Sallyport the upstream saw (-want +got):\n%s", diff)
	}
}

// theKeyStaysAway looks at all files of the act but the agent's own of the act
// without Sallyport.
func theKeyStaysAway(t *testing.T, d *demo, told string) {
	t.Helper()
	if strings.Contains(told, demoKey) {
		t.Errorf("the demo printed the key:\n%s", told)
	}
	if !strings.Contains(fileOf(t, d, "without/environment"), "GITHUB_TOKEN="+demoKey+"\n") {
		t.Error("without Sallyport the agent did not hold the key: there was nothing to protect")
	}
	environment := fileOf(t, d, "with/environment")
	if !strings.Contains(environment, "GITHUB_TOKEN=spt_") || !strings.Contains(environment, "GITHUB_API_URL=http://127.0.0.1:") {
		t.Errorf("with Sallyport the agent had the environment\n%s", environment)
	}
	err := filepath.WalkDir(filepath.Join(d.dir, "with"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(demoKey)) {
			t.Errorf("the key is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// readable: it fits the terminal, and says what matters.
func readable(t *testing.T, told string) {
	t.Helper()
	for line := range strings.Lines(told) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 || strings.Contains(line, "\x1b") {
			t.Errorf("%d columns, want 120 at most and no colour: %q", n, line)
		}
	}
	squeezed := strings.Join(strings.Fields(told), " ")
	for _, want := range []string{
		"WITHOUT SALLYPORT WITH SALLYPORT",
		"DELETE /repos/acme/docs/git/refs/heads/release-* 7x ok 204 7x refused 403 OutOfScope",
		"release-* 7x gone 7x there",
		"DELETE /repos/acme/docs/git/refs/heads/release-* 7x 204 nothing",
		"was in the agent's environment yes no",
		"OutOfScope DELETE /repos/acme/docs/git/refs/heads/release-1.6",
		"PUSH /acme/docs.git:refs/heads/release-* 7x already gone 7x refused ParameterRefused",
		"MUTATE /graphql:deleteRef:refs/heads/release-* 7x already gone 7x refused 403 ParameterRefused",
		"TOOL /mcp:delete_branch:refs/heads/release-* 7x already gone 7x refused ParameterRefused",
		"PUSH ParameterRefused, sallyport: refs/heads/release-1.0 may not be deleted",
		"The story holds.", "7 branches are gone", "28 attempts were refused",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("no %q in:\n%s", want, told)
		}
	}
}

// widened is the story's scope without what it proves of itself, with changes.
func widened(t *testing.T, changes ...string) string {
	t.Helper()
	scope, _, found := strings.Cut(story.Scope, "  never:\n")
	for i := 0; i < len(changes); i += 2 {
		found = found && strings.Contains(scope, changes[i])
		scope = strings.Replace(scope, changes[i], changes[i+1], 1)
	}
	if !found {
		t.Fatalf("the scope has changed:\n%s", scope)
	}
	return scope
}

// Changes that open one door of the story's scope each.
var (
	openREST    = []string{"branch: {set: own}}", `branch: {glob: "**"}}`}
	openGit     = []string{`refs: ["refs/heads/agent/**"]`, `refs: ["refs/heads/**"]`}
	openGraphQL = []string{"operations: [Query]", "operations: [Query, Mutation]", "      select:\n", "      select:\n      - {\"on\": Mutation, fields: [deleteRef, updateRefs]}\n" +
		"      - {\"on\": DeleteRefPayload, fields: [clientMutationId]}\n      - {\"on\": UpdateRefsPayload, fields: [clientMutationId]}\n"}
	openMCP = []string{"branch: {set: own, required: true}", "branch: {type: String}"}
)

// TestDemoChecks: with another scope the story does not hold, and the demo says
// so and fails. One door is enough.
func TestDemoChecks(t *testing.T) {
	tests := map[string]struct {
		why, scope string
		want       []string
	}{
		"everything": {
			"a scope as wide as the key", widened(t, slices.Concat(openREST, openGit, openGraphQL, openMCP)...), []string{
				"with Sallyport, branch release-1.0 is gone", "with Sallyport, branch release-1.6 is gone",
				"an attempt was not refused: DELETE /repos/acme/docs/git/refs/heads/release-1.0: ok 204",
				"the upstream saw what nobody may ask for: DELETE /repos/acme/docs/git/refs/heads/release-1.0, answered 204",
				"the upstream saw what nobody may ask for: POST /graphql, answered 200: delete refs/heads/release-1.0",
				"the upstream saw what nobody may ask for: POST /mcp, answered 200: delete refs/heads/release-1.0",
			},
		},
		"one branch": {"one hole is enough", widened(t, "branch: {set: own}}", "branch: {in: [agent/tmp, release-1.3]}}"), []string{"with Sallyport, branch release-1.3 is gone"}},
		"git":        {"one door is enough", widened(t, openGit...), []string{"not refused: PUSH /acme/docs.git:refs/heads/release-1.3: ok", "branch release-1.3 is gone", "saw what nobody may ask for: POST /acme/docs.git/git-receive-pack, answered 200: delete refs/heads/release-1.3"}},
		"graphql":    {"one door is enough", widened(t, openGraphQL...), []string{"not refused: MUTATE /graphql:deleteRef:refs/heads/release-1.3: ok", "branch release-1.3 is gone"}},
		"mcp":        {"one door is enough", widened(t, openMCP...), []string{"not refused: TOOL /mcp:delete_branch:refs/heads/release-1.3: ok", "branch release-1.3 is gone"}},
		"too little": {
			"the agent cannot work", widened(t, "branch: {set: own}}", "branch: {in: [other]}}", "issue_number: {min: 1}", "issue_number: {min: 8}"),
			[]string{"allowed work did not go: DELETE /repos/acme/docs/git/refs/heads/agent/tmp", "own branch agent/tmp is still there", "allowed work did not go: TOOL /mcp:get_issue"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, stdout, stderr, err := rehearseDemo(t, test.scope)
			if status := report(err, stderr); status != exitFailed {
				t.Fatalf("%s: status %d, want %d:\n%s%s", test.why, status, exitFailed, stdout, stderr)
			}
			for _, want := range append(test.want, "the story does not hold") {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%s: no %q in:\n%s", test.why, want, stderr)
				}
			}
			if strings.Contains(stdout.String(), "The story holds") {
				t.Errorf("%s: it praises itself:\n%s", test.why, stdout)
			}
			gone := !slices.Contains(repositoryOf(t, d, "with"), "refs/heads/release-1.3")
			if gone != (name != "too little") {
				t.Errorf("%s: release-1.3 is gone: %t", test.why, gone)
			}
		})
	}
}

// TestDemoNeedsPrograms: what is missing is named before anything begins.
func TestDemoNeedsPrograms(t *testing.T) {
	for _, missing := range []string{"sh", "git", "curl"} {
		t.Run(missing, func(t *testing.T) {
			dir := t.TempDir()
			for _, program := range []string{"sh", "git", "curl"} {
				if program == missing {
					continue
				}
				path, err := exec.LookPath(program)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(dir, program)); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir)
			t.Setenv("TMPDIR", t.TempDir())
			var out bytes.Buffer
			status := report(run(t.Context(), []string{"demo"}, nil, &out, &out), &out)
			if status != exitFailed || !strings.Contains(out.String(), "there is no "+missing+" in PATH: install it") {
				t.Errorf("status %d:\n%s", status, out.String())
			}
			if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}
