package clients

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

//go:embed hub.yaml
var hub string

// built is a program that make builds from hack/clients.
func built(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "sallyport", "clients", name)
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("run `make clients`: %v", err)
	}
	return program
}

// hubs are in the shape of GitHub, in both layouts.
func hubs(w *world) map[string]http.Handler {
	serve := func(base, graph string) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/issues/{number}", func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(out, `{"number":7,"title":"Release notes","body":"please","state":"open","user":{"login":"octocat"}}`)
		})
		mux.HandleFunc("POST "+graph, func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(out, `{"data":{"viewer":{"login":"octocat"}}}`)
		})
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			w.log.Record(upstream.Entry{Method: r.Method, Path: r.URL.Path, Authorized: shown == key && (scheme == "token" || scheme == "Bearer")})
			mux.ServeHTTP(out, r)
		})
	}
	plain := serve("", "/graphql")
	return map[string]http.Handler{"api.github.com:443": plain, "hub.example:443": plain, "ghe.example:443": serve("/api/v3", "/api/graphql")}
}

// TestGH runs GitHub's own program for github.com, for a server in the layout of
// GitHub Enterprise, and by that layout for one that has the other.
func TestGH(t *testing.T) {
	w := newWorld(t, hub, hubs)
	for name, test := range map[string]struct {
		env            []string
		issue, graphql string // as the upstream sees them
	}{
		"github.com":          {nil, "GET /repos/acme/docs/issues/7", "POST /graphql"},
		"Enterprise":          {[]string{"GH_HOST=ghe.example"}, "GET /api/v3/repos/acme/docs/issues/7", "POST /api/graphql"},
		"Enterprise's layout": {[]string{"GH_HOST=hub.example"}, "GET /repos/acme/docs/issues/7", "POST /graphql"},
	} {
		t.Run(name, func(t *testing.T) {
			gh := func(args ...string) (string, int) {
				env := append([]string{"GH_NO_UPDATE_NOTIFIER=1", "GH_PROMPT_DISABLED=1", "NO_COLOR=1"}, test.env...)
				return w.runWith(env, append([]string{built(t, "gh"), "api"}, args...)...)
			}
			if out, status := gh("repos/acme/docs/issues/7", "--jq", ".body"); status != 0 || out != "please\n" {
				t.Errorf("an issue: status %d: %s", status, out)
			}
			if out, status := gh("graphql", "-f", "query=query{viewer{login}}", "--jq", ".data.viewer.login"); status != 0 || out != "octocat\n" {
				t.Errorf("GraphQL: status %d: %s", status, out)
			}
			if got, want := w.seen(), []string{test.issue, test.graphql}; !slices.Equal(got, want) {
				t.Errorf("the upstream saw %q, want %q", got, want)
			}
			for what, args := range map[string][]string{
				"a release branch":   {"-X", "DELETE", "repos/acme/docs/git/refs/heads/release-1"},
				"another repository": {"repos/acme/secret/issues/7"},
				"other fields":       {"graphql", "-f", "query=query{viewer{email}}"},
				"a mutation":         {"graphql", "-f", `query=mutation{deleteRef(input:{refId:"x"}){clientMutationId}}`},
			} {
				out, status := gh(args...)
				if status == 0 || !strings.Contains(out, "HTTP 403") || !strings.Contains(out, `"detail"`) {
					t.Errorf("%s: status %d: %s", what, status, out)
				}
			}
			if got := w.seen(); len(got) > 0 {
				t.Errorf("the upstream saw %q", got)
			}
		})
	}
	if got := w.refusals(); !slices.Contains(got, "DELETE /repos/acme/docs/git/refs/heads/release-1 OutOfScope") {
		t.Errorf("recorded %q", got)
	}
}

// TestGitHubMCPServer runs GitHub's own MCP server as an agent does: its tools
// act by the credential of the pod, and as far as that reaches.
func TestGitHubMCPServer(t *testing.T) {
	w := newWorld(t, hub, hubs)
	for name, test := range map[string]struct{ host, issue string }{
		"github.com": {"", "GET /repos/acme/docs/issues/7"},
		"Enterprise": {"https://ghe.example", "GET /api/v3/repos/acme/docs/issues/7"},
	} {
		t.Run(name, func(t *testing.T) {
			var env []string
			if test.host != "" {
				env = []string{"GITHUB_HOST=" + test.host}
			}
			s := startServer(t, w, env)
			issue := map[string]any{"method": "get", "owner": "acme", "repo": "docs", "issue_number": 7}
			if text, failed := s.call("issue_read", issue); failed || !strings.Contains(text, "please") {
				t.Errorf("an issue: failed: %t: %s", failed, text)
			}
			if got := w.seen(); !slices.Equal(got, []string{test.issue}) {
				t.Errorf("the upstream saw %q", got)
			}
			issue["repo"] = "secret"
			if text, failed := s.call("issue_read", issue); !failed || !strings.Contains(text, "403") {
				t.Errorf("another repository: failed: %t: %s", failed, text)
			}
			comment := map[string]any{"owner": "acme", "repo": "docs", "issue_number": 7, "body": "done"}
			if text, failed := s.call("add_issue_comment", comment); !failed || !strings.Contains(text, "403") {
				t.Errorf("a comment: failed: %t: %s", failed, text)
			}
			if got := w.seen(); len(got) > 0 {
				t.Errorf("the upstream saw %q", got)
			}
		})
	}
}

// server is an MCP server that speaks over its standard streams.
type server struct {
	t     *testing.T
	stdin interface{ Write([]byte) (int, error) }
	lines *bufio.Scanner
	last  int
}

func startServer(t *testing.T, w *world, env []string) *server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	command := exec.CommandContext(ctx, built(t, "github-mcp-server"), "stdio")
	command.Dir, command.Env, command.WaitDelay = w.home, slices.Concat(w.env, env), time.Second
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
		cancel()
	})
	s := &server{t: t, stdin: stdin, lines: bufio.NewScanner(stdout)}
	s.lines.Buffer(nil, 1<<20)
	_, failure := s.ask("initialize", map[string]any{"protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "agent", "version": "1"}})
	if failure != nil {
		t.Fatalf("initialize: %s", failure)
	}
	s.send(map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"})
	return s
}

func (s *server) send(message map[string]any) {
	s.t.Helper()
	text, err := json.Marshal(message)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.stdin.Write(append(text, '\n')); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends a request and returns the result that answers it, or the error.
func (s *server) ask(method string, params map[string]any) (result, failure json.RawMessage) {
	s.t.Helper()
	s.last++
	s.send(map[string]any{"jsonrpc": "2.0", "id": s.last, "method": method, "params": params})
	for s.lines.Scan() {
		var answer struct {
			ID            int
			Result, Error json.RawMessage
		}
		if err := json.Unmarshal(s.lines.Bytes(), &answer); err != nil {
			s.t.Fatalf("%s: %v", s.lines.Bytes(), err)
		}
		if answer.ID == s.last {
			return answer.Result, answer.Error
		}
	}
	s.t.Fatalf("%s: no answer: %v", method, s.lines.Err())
	return nil, nil
}

// call calls a tool and returns what it says, and whether it failed.
func (s *server) call(tool string, arguments map[string]any) (text string, failed bool) {
	s.t.Helper()
	var result struct {
		IsError bool
		Content []struct{ Text string }
	}
	raw, failure := s.ask("tools/call", map[string]any{"name": tool, "arguments": arguments})
	if failure != nil {
		return string(failure), true
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		s.t.Fatalf("%s: %v", raw, err)
	}
	for _, c := range result.Content {
		text += c.Text
	}
	return text, result.IsError
}
