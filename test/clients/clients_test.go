package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/test/npm"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

const (
	issue   = "https://api.github.com/repos/acme/docs/issues/7"
	release = "https://api.github.com/repos/acme/docs/git/refs/heads/release-1"
)

// asking are clients by how they ask a URL: they print status and answer.
func asking(t *testing.T) map[string]func(method, url string) []string {
	t.Helper()
	node, err := npm.Node()
	if err != nil {
		t.Fatal(err)
	}
	const python = `import os, sys, requests
r = requests.request(sys.argv[1], sys.argv[2], headers={"Authorization": "Bearer " + os.environ["TOKEN"]}, timeout=20)
print(r.status_code, r.text)`
	const script = `const [method, url] = process.argv.slice(1);
const r = await fetch(url, {method, headers: {authorization: "Bearer " + process.env.TOKEN}, signal: AbortSignal.timeout(20000)});
console.log(r.status, await r.text());`
	// What the virtual machine says of its options is left out: there may be a
	// number in it that looks like a status.
	java := func(api string) func(method, url string) []string {
		return func(method, url string) []string {
			return []string{"sh", "-c", `exec java -cp "$0" Client "$@" 2>/dev/null`, programs, api, method, url}
		}
	}
	return map[string]func(method, url string) []string{
		"Java's HttpURLConnection": java("URLConnection"),
		"Java's HttpClient":        java("HttpClient"),
		"curl": func(method, url string) []string {
			return []string{"sh", "-c", `curl -sS -m 20 -X "$1" -w '\n%{http_code}\n' -H "Authorization: Bearer $TOKEN" "$2"`, "-", method, url}
		},
		"Python requests": func(method, url string) []string { return []string{"/usr/bin/python3", "-c", python, method, url} },
		"Node fetch": func(method, url string) []string {
			return []string{node, "--input-type=module", "-e", script, method, url}
		},
		"Go": func(method, url string) []string { return []string{filepath.Join(programs, "goclient"), method, url} },
	}
}

func githubOnly(w *world) map[string]http.Handler {
	h := w.github()
	return map[string]http.Handler{"api.github.com:443": h, "github.com:443": h}
}

// TestHTTPClients has each client do what its scope grants, and what it does not.
func TestHTTPClients(t *testing.T) {
	for name, ask := range asking(t) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, scope, githubOnly)
			token := []string{"TOKEN=" + w.variable("GITHUB_TOKEN")}
			out, status := w.runWith(token, ask("GET", issue)...)
			if status != 0 || !strings.Contains(out, "200") || !strings.Contains(out, "please") {
				t.Errorf("allowed: status %d: %s", status, out)
			}
			out, status = w.runWith(token, ask("DELETE", "https://api.github.com/repos/acme/docs/git/refs/heads/agent/old")...)
			if status != 0 || !strings.Contains(out, "204") {
				t.Errorf("allowed: status %d: %s", status, out)
			}
			want := []string{"GET /repos/acme/docs/issues/7", "DELETE /repos/acme/docs/git/refs/heads/agent/old"}
			if got := w.seen(); !slices.Equal(got, want) {
				t.Errorf("the upstream saw %q", got)
			}
			out, status = w.runWith(token, ask("DELETE", release)...)
			if status != 0 || !strings.Contains(out, "403") || !strings.Contains(out, "no grant allows this method and path") {
				t.Errorf("refused: status %d: %s", status, out)
			}
			out, status = w.runWith([]string{"TOKEN=" + key + "x"}, ask("GET", issue)...)
			if status != 0 || !strings.Contains(out, "401") {
				t.Errorf("another token: status %d: %s", status, out)
			}
			if out, status = w.runWith(token, ask("GET", "https://example.org/")...); status == 0 {
				t.Errorf("another host: status %d: %s", status, out)
			}
			out, status = w.runWith(token, ask("GET", "http://example.org/")...)
			plain := "GET http://example.org/ OutOfScope"
			if name == "Node fetch" { // it opens a tunnel for plain HTTP, too
				plain = "CONNECT example.org:80 OutOfScope"
			} else if status != 0 || !strings.Contains(out, "nothing else is reached through this proxy") {
				t.Errorf("another host, plain: status %d: %s", status, out)
			}
			if !strings.Contains(out, "403") {
				t.Errorf("another host, plain: status %d: %s", status, out)
			}
			if got := w.seen(); len(got) > 0 || w.branches() != "main release-1" {
				t.Errorf("the upstream saw %q, and has %s", got, w.branches())
			}
			refused := []string{
				"DELETE /repos/acme/docs/git/refs/heads/release-1 OutOfScope", "GET /repos/acme/docs/issues/7 Unauthenticated",
				"CONNECT example.org:443 OutOfScope", plain,
			}
			if got := w.refusals(); !slices.Equal(got, refused) {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

const plain = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: notes, namespace: agents}
spec:
  endpoints:
  - {name: api, url: "http://notes.agents.svc/base", inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
  network: {private: Allow}
  plaintext: AllowClusterInternal
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: notes, namespace: agents}
spec:
  upstream: {name: notes}
  holders: {serviceAccounts: [agent]}
  client: {env: [{name: NOTES_TOKEN, value: "{token}"}]}
  grants:
  - {name: read, http: {methods: [GET], paths: ["/notes"]}}
`

// TestPlainUpstream sends whole URLs to the proxy, as programs do for http ones.
// NO_PROXY covers such hosts: a program has to be told to use the proxy.
func TestPlainUpstream(t *testing.T) {
	w := newWorld(t, plain, func(w *world) map[string]http.Handler {
		return map[string]http.Handler{"notes.agents.svc:80": http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			w.log.Record(upstream.Entry{Method: r.Method, Path: r.RequestURI, Authorized: r.Header.Get("Authorization") == "Bearer "+key})
			_, _ = out.Write([]byte("noted"))
		})}
	})
	curl := func(url string) string {
		out, status := w.run("curl", "-sS", "-m", "20", "--noproxy", "", "-w", " %{http_code}", "-H", "Authorization: Bearer "+w.variable("NOTES_TOKEN"), url)
		if status != 0 {
			t.Errorf("%s: status %d: %s", url, status, out)
		}
		return out
	}
	if out := curl("http://notes.agents.svc/base/notes"); out != "noted 200" {
		t.Errorf("granted: %s", out)
	}
	if got := w.seen(); !slices.Equal(got, []string{"GET /base/notes"}) {
		t.Errorf("the upstream saw %q", got)
	}
	for _, url := range []string{"http://notes.agents.svc/base/users", "http://notes.agents.svc/notes", "http://notes.agents.svc:8080/base/notes", "http://other.agents.svc/base/notes"} {
		if out := curl(url); !strings.HasSuffix(out, " 403") {
			t.Errorf("%s: %s", url, out)
		}
	}
	if got := w.seen(); len(got) > 0 {
		t.Errorf("the upstream saw %q", got)
	}
}

// TestGit clones and pushes by the upstream's own address.
func TestGit(t *testing.T) {
	w := newWorld(t, scope, githubOnly)
	git := func(dir string, args ...string) (string, int) {
		return w.run(append([]string{"git", "-C", filepath.Join(w.home, dir)}, args...)...)
	}
	if out, status := git("", "clone", "--quiet", "https://github.com/acme/docs", "it"); status != 0 {
		t.Fatalf("clone: status %d: %s", status, out)
	}
	for _, args := range [][]string{{"commit", "--quiet", "--allow-empty", "-m", "one"}, {"push", "--quiet", "origin", "HEAD:refs/heads/agent/new"}} {
		if out, status := git("it", args...); status != 0 {
			t.Fatalf("%s: status %d: %s", args[0], status, out)
		}
	}
	w.seen()
	for name, args := range map[string][]string{
		"another branch":   {"push", "origin", "HEAD:refs/heads/main"},
		"delete a release": {"push", "origin", ":refs/heads/release-1"},
		"clone another":    {"clone", "https://github.com/acme/secret"},
	} {
		out, status := git("it", args...)
		if status == 0 || !strings.Contains(out, "no grant") && !strings.Contains(out, "grant") {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
	}
	for _, request := range w.seen() {
		if strings.HasPrefix(request, "POST") || strings.Contains(request, "secret") {
			t.Errorf("the upstream saw %s", request)
		}
	}
	if got := w.branches(); got != "agent/new agent/old main release-1" {
		t.Errorf("the upstream has %s", got)
	}
}

// kubernetes answers as an API server does to what kubectl asks for.
func kubernetes(log *upstream.Log) http.Handler {
	type object = map[string]any
	pod := object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "web", "namespace": "agents"}}
	answers := map[string]object{
		"/api":  {"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []object{}},
		"/api/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": []object{
			{"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": []string{"get", "list", "delete"}, "shortNames": []string{"po"}},
			{"name": "secrets", "singularName": "secret", "namespaced": true, "kind": "Secret", "verbs": []string{"get", "list"}},
		}},
		"/api/v1/namespaces/agents/pods":     {"kind": "PodList", "apiVersion": "v1", "metadata": object{}, "items": []object{pod}},
		"/api/v1/namespaces/agents/pods/web": pod,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Record(upstream.Entry{Method: r.Method, Path: r.URL.Path, Authorized: r.Header.Get("Authorization") == "Bearer "+key})
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
}

// kubectl is the one of the local cluster, else that of the machine.
func kubectl(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	built, err := filepath.Glob(filepath.Join(cache, "sallyport", "bin-*", "kubectl"))
	if err == nil && len(built) > 0 {
		return built[len(built)-1]
	}
	program, err := exec.LookPath("kubectl")
	if err != nil {
		t.Fatalf("run `make binaries`: %v", err)
	}
	return program
}

// TestKubectl reads its token from the file that the sidecar keeps fresh.
func TestKubectl(t *testing.T) {
	w := newWorld(t, scope, func(w *world) map[string]http.Handler {
		return map[string]http.Handler{"kube.example:6443": kubernetes(w.log)}
	})
	var token string
	for _, c := range w.ready.Credentials {
		if c.Name == "cluster" {
			token = c.TokenFile
		}
	}
	config := w.write("kubeconfig", `apiVersion: v1
kind: Config
clusters: [{name: it, cluster: {server: "`+w.variable("CLUSTER_URL")+`"}}]
users: [{name: it, user: {tokenFile: `+token+`}}]
contexts: [{name: it, context: {cluster: it, user: it, namespace: agents}}]
current-context: it
`)
	run := func(args ...string) (string, int) {
		return w.run(append([]string{kubectl(t), "--kubeconfig", config}, args...)...)
	}
	for _, args := range [][]string{{"get", "pods", "-o", "name"}, {"get", "pod", "web", "-o", "name"}} {
		if out, status := run(args...); status != 0 || out != "pod/web\n" {
			t.Errorf("%s: status %d: %s; refused: %q", args, status, out, w.refusals())
		}
	}
	if got := w.seen(); !slices.Contains(got, "GET /api/v1/namespaces/agents/pods/web") {
		t.Errorf("the upstream saw %q", got)
	}
	for _, args := range [][]string{{"delete", "pod", "web", "--wait=false"}, {"get", "secrets"}} {
		if out, status := run(args...); status == 0 || !strings.Contains(out, "orbidden") && !strings.Contains(out, "no grant") {
			t.Errorf("%s: status %d: %s", args, status, out)
		}
	}
	for _, request := range w.seen() {
		if strings.HasPrefix(request, "DELETE") || strings.Contains(request, "secrets") {
			t.Errorf("the upstream saw %s", request)
		}
	}
	if got := strings.Join(w.refusals(), "; "); !strings.Contains(got, "DELETE /api/v1/namespaces/agents/pods/web OutOfScope") || !strings.Contains(got, "GET /api/v1/namespaces/agents/secrets OutOfScope") {
		t.Errorf("recorded %s", got)
	}
}
