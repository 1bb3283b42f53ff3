// Package sdk runs client libraries as an agent does, unmodified and configured
// by what `sallyport run` puts into their environment, against servers of the
// shapes that they are written for: what is allowed passes, and what is refused
// is an error that says why.
package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/test/npm"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

const key = "k3y-0f-th3-upstr3am"

// binary is the one under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-sdk-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sallyport")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/sallyport").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// seen is what a server saw.
type seen struct {
	mu       sync.Mutex
	requests []string
	keys     []string
}

func (s *seen) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		if shown := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); shown != key {
			s.keys = append(s.keys, shown)
		}
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (s *seen) has(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Errorf("the upstream saw (-want +got):\n%s", diff)
	}
	if len(s.keys) > 0 {
		t.Errorf("the upstream was shown other keys: %q", s.keys)
	}
}

// serve serves host, and returns what leads `sallyport run` there.
func serve(t *testing.T, host string, handler http.Handler) []string {
	t.Helper()
	certificate, authority, err := upstream.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = tlsOf(certificate)
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--upstream-ca", file, "--connect-to", host + ":443=" + server.Listener.Addr().String()}
}

// play runs a script under `sallyport run`, with what is set beside the
// environment it gives, and returns what it printed.
func play(t *testing.T, library, script, manifests string, flags []string, set string) map[string]any {
	t.Helper()
	modules, err := npm.Modules(library)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, script), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"run", "-f", "-", "--audit-file", filepath.Join(dir, "audit.jsonl")}, flags...)
	arguments = append(arguments, "--", "sh", "-c", set+` exec node "$0"`, filepath.Join(dir, script))
	cmd := exec.CommandContext(t.Context(), binary, arguments...)
	cmd.Stdin = strings.NewReader(manifests)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	if strings.Contains(stdout.String()+stderr.String(), key) {
		t.Error("the key was printed")
	}
	var out map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	return out
}

// holds compares what a script printed: of a refusal, the status and words that
// must be in its message.
func holds(t *testing.T, got map[string]any, want map[string]any) {
	t.Helper()
	for name, expected := range want {
		if words, refused := expected.([]string); refused {
			for _, word := range words {
				if said := fmt.Sprint(got[name]); !strings.Contains(said, word) {
					t.Errorf("%s: %q does not say %q", name, said, word)
				}
			}
			continue
		}
		if diff := cmp.Diff(expected, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d outcomes, want %d: %v", len(got), len(want), got)
	}
}

// TestOctokit: GitHub's library works with the recipe, by either layout of the
// address, pagination included.
func TestOctokit(t *testing.T) {
	recipe, err := os.ReadFile("../../config/samples/recipes/github-triage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ = bytes.Cut(recipe, []byte("\n---\n"))
	manifests := "apiVersion: v1\nkind: Secret\nmetadata: {name: github-token, namespace: sallyport-secrets}\nstringData: {token: " + key + "}\n---\n" + string(recipe)
	refused := func(reason string) []string {
		return []string{"403: ", `"reason":"` + reason + `"`, `"detail":"`, `"requestId":"`}
	}
	for name, layout := range map[string]string{"github.com": "", "Enterprise": "/api/v3"} {
		t.Run(name, func(t *testing.T) {
			s := &seen{}
			flags := serve(t, "api.github.com", s.record(github(t)))
			got := play(t, "@octokit/rest", "octokit.mjs", manifests, flags, `BASE_URL="$GITHUB_API_URL`+layout+`"`)
			holds(t, got, map[string]any{
				"paginate": []any{1.0, 2.0, 3.0, 4.0, 5.0}, "issue": "Release notes are out of date", "comment": 201.0, "label": 200.0,
				"create ref": 201.0, "delete ref": 204.0, "graphql": "Release notes are out of date",
				"another repository": refused("OutOfScope"), "another label": refused("ParameterRefused"), "release ref": refused("OutOfScope"),
				"dots": []string{"400: ", `"reason":"Malformed"`}, "graphql mutation": refused("ParameterRefused"),
			})
			s.has(t,
				"GET /repos/acme/docs/issues?state=open&per_page=2", "GET /repositories/1003/issues?state=open&per_page=2&page=2",
				"GET /repositories/1003/issues?state=open&per_page=2&page=3", "GET /repos/acme/docs/issues/7", "POST /repos/acme/docs/issues/7/comments",
				"POST /repos/acme/docs/issues/7/labels", "POST /repos/acme/docs/git/refs", "DELETE /repos/acme/docs/git/refs/heads/agent/tmp", "POST /graphql",
			)
		})
	}
}

// github is a server in the shape of GitHub, with five open issues.
func github(t *testing.T) http.Handler {
	t.Helper()
	root := t.TempDir()
	if _, err := upstream.MakeRepository(t.Context(), root, "acme/docs", "agent/tmp", "release-1.0"); err != nil {
		t.Fatal(err)
	}
	s := &upstream.Server{Root: root, Key: key, Issue: "text", Record: func(upstream.Entry) {}}
	mux := http.NewServeMux()
	mux.Handle("/", s.Handler())
	mux.HandleFunc("GET /repos/acme/docs/issues", page)
	mux.HandleFunc("GET /repositories/1003/issues", page)
	mux.HandleFunc("POST /repos/acme/docs/issues/7/labels", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"name":"bug"}]`)
	})
	mux.HandleFunc("POST /repos/acme/docs/git/refs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"ref":"refs/heads/agent/new"}`)
	})
	return mux
}

// page is one of three. GitHub's links name the repository by its number.
func page(w http.ResponseWriter, r *http.Request) {
	n := 1
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &n)
	if n < 3 {
		w.Header().Set("Link", fmt.Sprintf(`<https://api.github.com/repositories/1003/issues?state=open&per_page=2&page=%d>; rel="next", <https://api.github.com/repositories/1003/issues?state=open&per_page=2&page=3>; rel="last"`, n+1))
	}
	issues := []map[string]int{}
	for number := 2*n - 1; number <= min(2*n, 5); number++ {
		issues = append(issues, map[string]int{"number": number})
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(issues)
}
