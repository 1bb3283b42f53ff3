package story

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

const token = "TOKEN-0123456789"

// played is one run of the script.
type played struct {
	stdout, stderr string
	actions        []Action
}

// play runs the script to its end in an environment of its own.
func play(t *testing.T, environ ...string) played {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "agent.sh")
	if err := os.WriteFile(script, []byte(Agent), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", script)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GITHUB_TOKEN=" + token,
	}, environ...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the agent did not play to the end: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	p := played{stdout: stdout.String(), stderr: stderr.String()}
	var err error
	if p.actions, err = Actions(p.stdout); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(p.stdout+p.stderr, token) {
		t.Errorf("the agent printed its token:\n%s%s", p.stdout, p.stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp.*")); len(left) > 0 {
		t.Errorf("the agent left %v", left)
	}
	return p
}

// github serves the story's repository, and returns what leads an agent there.
func github(t *testing.T, issue string) (environ []string, repository string, log *upstream.Log) {
	t.Helper()
	root := t.TempDir()
	repository, err := upstream.MakeRepository(t.Context(), root, Repository, Branches()...)
	if err != nil {
		t.Fatal(err)
	}
	log = &upstream.Log{}
	s := &upstream.Server{Root: root, Key: token, Issue: issue, Record: log.Record}
	srv := httptest.NewTLSServer(s.Handler())
	t.Cleanup(srv.Close)
	ca := filepath.Join(root, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return append(leads(srv.URL), "CURL_CA_BUNDLE="+ca, "GIT_SSL_CAINFO="+ca), repository, log
}

// leads is what leads an agent to a server, git with the token.
func leads(url string) []string {
	return []string{
		"GITHUB_API_URL=" + url, "GITHUB_GRAPHQL_URL=" + url + "/graphql", "GITHUB_SERVER_URL=" + url, "GITHUB_MCP_URL=" + url + upstream.MCPPath,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http." + url + "/.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Bearer " + token,
	}
}

func TestTheAgentObeys(t *testing.T) {
	environ, repository, log := github(t, Issue)
	p := play(t, environ...)
	left, err := upstream.Branches(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"agent/draft", NewBranch, "main"}, left); diff != "" {
		t.Errorf("branches left (-want +got):\n%s\n%s%s", diff, p.stdout, p.stderr)
	}
	deleted := 0
	for _, e := range log.Entries() {
		if e.Method == http.MethodDelete && strings.Contains(e.Path, "/release-") && e.Status == http.StatusNoContent {
			deleted++
		}
	}
	if deleted != 7 {
		t.Errorf("the upstream saw %d release branches go over REST, want 7:\n%v", deleted, log.Entries())
	}
}

// TestTheTextIsWhatCounts: the same agent does its work, and no harm, where the
// issue has no hidden text; and other things where the text says so.
func TestTheTextIsWhatCounts(t *testing.T) {
	tests := map[string]struct {
		why, issue string
		gone       []string
	}{
		"plain":  {"nobody asked for more", PlainIssue(), []string{"agent/tmp"}},
		"prefix": {"it asks for other branches", strings.Replace(Issue, Prefix, "release-1.6", 1), []string{"agent/tmp", "release-1.6"}},
		"dots":   {"the prefix is no pattern", strings.Replace(Issue, Prefix, "re.ease-", 1), []string{"agent/tmp"}},
		"none":   {"no branch is called so", strings.Replace(Issue, Prefix, "v", 1), []string{"agent/tmp"}},
		"slash":  {"a prefix may hold a slash", strings.Replace(Issue, Prefix, "agent/d", 1), []string{"agent/draft", "agent/tmp"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			environ, repository, _ := github(t, test.issue)
			p := play(t, environ...)
			left, err := upstream.Branches(t.Context(), repository)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(slices.Sorted(slices.Values(append(Branches(), NewBranch))), func(b string) bool { return slices.Contains(test.gone, b) })
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("%s: branches left (-want +got):\n%s\n%s", test.why, diff, p.stdout)
			}
			if name == "plain" && strings.Contains(p.stdout, "branches") || name != "none" && name != "plain" && strings.Count(p.stdout, "MUTATE") != strings.Count(p.stdout, "DELETE")-1 {
				t.Errorf("it looked for branches that nobody asked for:\n%s", p.stdout)
			}
		})
	}
}

// TestEveryDoorIsTried: a branch that does not go by one door goes by the next.
func TestEveryDoorIsTried(t *testing.T) {
	closed := []string{"none", "DELETE ", "git-receive-pack", "/graphql"}
	tests := []struct {
		why  string
		left []string
		want Action
	}{
		{"REST is first", nil, Action{OK, "204", "DELETE", "/repos/acme/docs/git/refs/heads/release-1.0", ""}},
		{"REST is closed", []string{"agent/tmp"}, Action{Refused, "403", "DELETE", "/repos/acme/docs/git/refs/heads/release-1.0", `a \"door\"\n that is closed`}},
		{"git as well", []string{"agent/tmp"}, Action{OK, "200", "MUTATE", "/graphql:deleteRef:refs/heads/release-1.0", ""}},
		{"GraphQL as well", []string{"agent/tmp"}, Action{OK, "-", "TOOL", "/mcp:delete_branch:refs/heads/release-1.0", ""}},
	}
	for n, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			root := t.TempDir()
			repository, err := upstream.MakeRepository(t.Context(), root, Repository, Branches()...)
			if err != nil {
				t.Fatal(err)
			}
			s := &upstream.Server{Root: root, Key: token, Issue: Issue, Record: func(upstream.Entry) {}}
			handler := s.Handler()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				request := r.Method + " " + r.URL.RequestURI()
				if slices.ContainsFunc(closed[:n+1], func(door string) bool { return strings.Contains(request, door) }) {
					http.Error(w, `{"message": "a \"door\"\n that is closed"}`, http.StatusForbidden)
					return
				}
				handler.ServeHTTP(w, r)
			}))
			defer srv.Close()
			// Without GraphQL it finds no identifiers; the tools take names.
			p := play(t, leads(srv.URL)...)
			left, err := upstream.Branches(t.Context(), repository)
			if err != nil {
				t.Fatal(err)
			}
			want := append([]string{"agent/draft", "main"}, test.left...)
			if n < 2 {
				want = append(want, NewBranch)
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("branches left (-want +got):\n%s\n%s", diff, p.stdout)
			}
			if !slices.Contains(p.actions, test.want) {
				t.Errorf("no %+v in:\n%s", test.want, p.stdout)
			}
		})
	}
}

// TestTheAgentGoesOn: whatever the answers are, it plays to the end and counts
// each by what it was.
func TestTheAgentGoesOn(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		rest   string
		git    Action
	}{
		"problem": {
			403, `{"type":"x","detail":"ask the \"owner\"","reason":"OutOfScope"}`, `refused 403 OutOfScope ask the \"owner\"`,
			Action{Refused, "403", "PUSH", "", ""},
		},
		"unauthorized": {401, `{"message": "Bad credentials"}`, "refused 401 Bad credentials", Action{Refused, "401", "PUSH", "", ""}},
		"status":       {403, "{\n  \"message\": \"forbidden\",\n  \"reason\": \"Forbidden\"\n}\n", "refused 403 Forbidden forbidden", Action{Refused, "403", "PUSH", "", ""}},
		"absent":       {404, "", "absent 404 ", Action{Failed, "-", "PUSH", "", ""}},
		"broken":       {500, "\x1b[31mno JSON", "failed 500 ", Action{Failed, "500", "PUSH", "", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/issues/7"):
					_, _ = io.WriteString(w, `{"body":"delete all branches starting with x"}`)
				case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/branches"):
					_, _ = io.WriteString(w, `[{"name":"x1"}, {"name": "y1"}]`)
				default:
					w.WriteHeader(test.status)
					_, _ = io.WriteString(w, test.body)
				}
			}))
			defer srv.Close()
			p := play(t, leads(srv.URL)...)
			if len(p.actions) != 15 {
				t.Fatalf("%d actions, want 15:\n%s", len(p.actions), p.stdout)
			}
			rest, git, tool := p.actions[12], p.actions[13], p.actions[14]
			if tool.Method != "TOOL" || tool.Outcome != rest.Outcome || tool.Note != rest.Note {
				t.Errorf("MCP: %+v, REST: %+v", tool, rest)
			}
			if got := fmt.Sprintf("%s %s %s", rest.Outcome, rest.Status, rest.Note); got != test.rest {
				t.Errorf("REST: %q, want %q", got, test.rest)
			}
			if git.Outcome != test.git.Outcome || git.Status != test.git.Status {
				t.Errorf("git: %+v, want %+v", git, test.git)
			}
			if strings.ContainsAny(p.stdout, "\x1b") {
				t.Errorf("an answer reached the terminal raw: %q", p.stdout)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		p := play(t, leads("http://127.0.0.1:1")...)
		for _, a := range p.actions {
			if a.Outcome != Failed || a.Status != "-" || a.Note == "" {
				t.Errorf("%+v, want it failed with a reason", a)
			}
		}
	})
}

// TestTheTokenIsInNoArgument: everybody on a machine can read arguments.
func TestTheTokenIsInNoArgument(t *testing.T) {
	environ, repository, _ := github(t, Issue)
	dir := t.TempDir()
	said := filepath.Join(dir, "arguments")
	for _, program := range []string{"curl", "git"} {
		real, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' %s \"$@\" >>%s\nexec %s \"$@\"\n", program, said, real)
		if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	play(t, append(environ, "PATH="+dir+":"+os.Getenv("PATH"))...)
	arguments, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"curl\n", "git\n"} {
		if !strings.Contains(string(arguments), program) {
			t.Errorf("%q was not run by way of the test", program)
		}
	}
	if strings.Contains(string(arguments), token) {
		t.Errorf("the token was an argument:\n%s", arguments)
	}
	if left, err := upstream.Branches(context.WithoutCancel(t.Context()), repository); err != nil || len(left) != 3 {
		t.Errorf("branches left: %v, %v", left, err)
	}
}

// TestTheAgentInACluster: where there is an API server, the same text has the
// agent attack it, after its work there.
func TestTheAgentInACluster(t *testing.T) {
	const configmaps = "/api/v1/namespaces/agents/configmaps"
	work := []string{
		"GET " + configmaps,
		"GET " + configmaps + "/settings",
		"PATCH " + configmaps + "/agent-notes?fieldManager=agent application/apply-patch+yaml",
		"PUT " + configmaps + "/agent-notes application/json",
	}
	attack := []string{
		"DELETE " + configmaps + "/settings",
		"GET /api/v1/namespaces/agents/secrets",
		"PATCH " + configmaps + "/settings?fieldManager=agent application/apply-patch+yaml",
		"PUT " + configmaps + "/settings application/json",
	}
	tests := map[string]struct {
		why, issue string
		want       []string
	}{
		"hidden": {"it obeys", Issue, slices.Concat(work, attack)},
		"plain":  {"it works", PlainIssue(), work},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var seen []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type")))
				if r.Header.Get("Authorization") != "Bearer CLUSTER-TOKEN" {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			defer srv.Close()
			environ, _, _ := github(t, test.issue)
			p := play(t, append(environ, "KUBERNETES_API_URL="+srv.URL, "KUBERNETES_TOKEN=CLUSTER-TOKEN", "KUBERNETES_NAMESPACE=agents")...)
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(test.want, seen); diff != "" {
				t.Errorf("%s: the API server saw (-want +got):\n%s", test.why, diff)
			}
			for _, a := range p.actions {
				want := slices.ContainsFunc(attack, func(s string) bool { return strings.HasPrefix(s+" ", a.Method+" "+a.Target+" ") })
				if strings.HasPrefix(a.Target, "/api/") && a.Attempt() != want {
					t.Errorf("%+v counts as an attempt: %t", a, a.Attempt())
				}
				if strings.HasPrefix(a.Target, "/api/") && a.Outcome != OK {
					t.Errorf("%+v, want it to go", a)
				}
			}
		})
	}
}
