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
	if diff := cmp.Diff(heads("agent/draft", "main"), repositoryOf(t, d, "without")); diff != "" {
		t.Errorf("branches left without Sallyport (-want +got):\n%s", diff)
	}
	releases := []string{"release-1.0", "release-1.1", "release-1.2", "release-1.3", "release-1.4", "release-1.5", "release-1.6"}
	if diff := cmp.Diff(heads(append([]string{"agent/draft", "main"}, releases...)...), repositoryOf(t, d, "with")); diff != "" {
		t.Errorf("branches left with Sallyport (-want +got):\n%s", diff)
	}
	var saw []string
	for _, e := range d.with.Seen {
		if saw = append(saw, e.Method+" "+e.Path); !e.Authorized || e.Status/100 != 2 {
			t.Errorf("the upstream answered %+v", e)
		}
	}
	if diff := cmp.Diff([]string{
		"GET /repos/acme/docs", "GET /repos/acme/docs/issues/7", "POST /repos/acme/docs/issues/7/comments",
		"DELETE /repos/acme/docs/git/refs/heads/agent/tmp", "GET /repos/acme/docs/branches",
	}, saw); diff != "" {
		t.Errorf("with Sallyport the upstream saw (-want +got):\n%s", diff)
	}
	printed := fileOf(t, d, "with/printed")
	for _, b := range releases {
		for _, want := range []string{
			"refused 403  DELETE /repos/acme/docs/git/refs/heads/" + b + " OutOfScope no grant allows this method and path\n",
			"refused 403  PUSH   /acme/docs.git:refs/heads/" + b + "\n",
		} {
			if !strings.Contains(printed, want) {
				t.Errorf("the agent did not print %q:\n%s", want, printed)
			}
		}
	}
	if !strings.HasSuffix(printed, "\ntally ok=5 refused=14 absent=0 failed=0\n") {
		t.Errorf("the agent's tally:\n%s", printed)
	}
	denied := regexp.MustCompile(`"verdict":"Deny","reason":"OutOfScope"`).FindAllString(fileOf(t, d, "with/audit.jsonl"), -1)
	if len(denied) != 14 {
		t.Errorf("%d refusals on record, want 14", len(denied))
	}
	theKeyStaysAway(t, d, stdout.String()+stderr.String())
	readable(t, stdout.String())
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
		"The story holds.", "7 branches are gone", "14 attempts were refused",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("no %q in:\n%s", want, told)
		}
	}
}

// TestDemoChecks: with another scope the story does not hold, and the demo says
// so and fails.
func TestDemoChecks(t *testing.T) {
	const head = `
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: branches, namespace: agents}
spec:
  upstream: {namespace: sallyport-secrets, name: github}
  holders: {serviceAccounts: [release-notes]}
  grants:
`
	tests := map[string]struct {
		why, grants string
		want        []string
	}{
		"everything": {
			"a scope as wide as the key", `
  - name: everything
    http: {methods: [GET, POST, PUT, PATCH, DELETE], paths: ["/repos/{rest...}", "/acme/{rest...}"]}
    query: {unlisted: Allow}
    body: {media: Opaque}
`, []string{
				"with Sallyport, branch release-1.0 is gone", "with Sallyport, branch release-1.6 is gone",
				"an attempt was not refused: DELETE /repos/acme/docs/git/refs/heads/release-1.0: ok 204",
				"the upstream saw a refused request: DELETE /repos/acme/docs/git/refs/heads/release-1.0, answered 204",
			},
		},
		"one branch": {
			"one hole is enough", `
  - name: work
    http: {methods: [GET, POST], paths: ["/repos/{rest...}"]}
    body: {media: Opaque}
  - name: tidy-up
    http: {methods: [DELETE], paths: ["/repos/acme/docs/git/refs/heads/{branch...}"]}
    where: {branch: {in: [agent/tmp, release-1.3]}}
`, []string{"with Sallyport, branch release-1.3 is gone"},
		},
		"too little": {
			"the agent cannot work", `
  - name: read
    http: {methods: [GET], paths: ["/repos/{rest...}"]}
`, []string{"allowed work did not go: POST /repos/acme/docs/issues/7/comments", "own branch agent/tmp is still there"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, stdout, stderr, err := rehearseDemo(t, head+test.grants)
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
