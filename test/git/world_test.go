// Package git plays git's own program, and a second implementation, against
// real repositories that git http-backend serves, with the sallyport binary in
// between: what an agent may do goes on as ever, what it may not is refused in
// git's own output, and the upstream hears nothing of it.
package git

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

const key = "k3y-0f-th3-upstr3am"

const manifests = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: github, namespace: agents}
spec:
  endpoints:
  - {name: git, url: "https://github.com", profile: github-git, inject: {basic: {username: x-access-token}}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: agent, namespace: agents}
spec:
  upstream: {name: github}
  holders: {serviceAccounts: [agent]}
  sets:
  - {name: readable, in: [acme/docs, acme/Web, acme/options], fold: ASCII}
  grants:
  - {name: read, git: {repos: {set: readable}, fetch: true}}
  - name: write
    git:
      repos: {in: [acme/docs], fold: ASCII}
      push: {refs: [refs/heads/agent/**, "refs/tags/agent-*"], actions: [Create, Update, Delete]}
  - {name: create, git: {repos: {equals: acme/web}, push: {refs: [refs/heads/agent/**], actions: [Create]}}}
  - {name: options, git: {repos: {equals: acme/options}, push: {refs: [refs/heads/**], actions: [Create], pushOptions: Any}}}
`

// binary is the one under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-git-")
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

// world is an upstream, the binary in front of it, and an agent's environment.
type world struct {
	root, home, audit string
	env               []string
	pid               int

	zipped   atomic.Int64 // requests that came compressed
	discards atomic.Bool  // bodies are read and not looked at
	upstream string       // its address
	roots    *x509.CertPool

	mu  sync.Mutex
	log []upstream.Entry
}

// newWorld starts all of it. The agent's environment is what `sallyport run`
// gives to its COMMAND, and nothing else.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, manifests)
}

func newWorldOf(t testing.TB, manifests string) *world {
	t.Helper()
	w := &world{root: t.TempDir(), home: t.TempDir()}
	for _, name := range []string{"acme/docs", "acme/web", "acme/options", "acme/secret", "acme/docs.wiki"} {
		dir, err := upstream.MakeRepository(t.Context(), w.root, name, "release-1", "release-2", "agent/old")
		if err != nil {
			t.Fatal(err)
		}
		for _, config := range []string{"uploadpack.allowFilter", "receive.advertisePushOptions", "uploadpack.allowAnySHA1InWant"} {
			run(t, dir, nil, "git", "config", config, "true")
		}
	}
	address, authority := w.serve(t)
	w.start(t, manifests, address, authority)
	return w
}

// serve starts the upstream and returns its address and authority.
func (w *world) serve(t testing.TB) (address, authority string) {
	t.Helper()
	certificate, pem, err := upstream.Certificate("github.com")
	if err != nil {
		t.Fatal(err)
	}
	s := &upstream.Server{Root: w.root, Key: key, Record: func(e upstream.Entry) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log = append(w.log, e)
	}}
	handler := s.Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Encoding") == "gzip" {
			w.zipped.Add(1)
		}
		if w.discards.Load() && r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body) // half a pack is as good
			return
		}
		handler.ServeHTTP(out, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	w.upstream, w.roots = server.Listener.Addr().String(), x509.NewCertPool()
	w.roots.AppendCertsFromPEM(pem)
	authority = filepath.Join(w.home, "ca.pem")
	write(t, authority, string(pem))
	return server.Listener.Addr().String(), authority
}

// start runs the binary with a COMMAND that tells its environment, and a zero
// and a one at its end.
func (w *world) start(t testing.TB, manifests, address, authority string) {
	t.Helper()
	scope := filepath.Join(w.home, "scope.yaml")
	write(t, scope, manifests)
	w.audit = filepath.Join(w.home, "audit.jsonl")
	command := exec.CommandContext(t.Context(), binary, "run", "-f", scope, "--connect-to", "github.com:443="+address, "--upstream-ca", authority,
		"--audit-file", w.audit, "--", "sh", "-c", "env -0 && printf '\\001' && cat")
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + w.home, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command.Stderr, command.WaitDelay = &output, time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	w.pid = command.Process.Pid
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the process said:\n%s", output.String())
		}
	})
	text, err := bufio.NewReader(stdout).ReadString(1)
	if err != nil {
		t.Fatalf("the command did not start: %v", err)
	}
	w.env = strings.Split(strings.TrimSuffix(text, "\x00\x01"), "\x00")
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a program that must succeed.
func run(t testing.TB, dir string, env []string, args ...string) string {
	t.Helper()
	out, err := try(t, dir, env, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func try(t testing.TB, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), args[0], args[1:]...)
	command.Dir, command.Env = dir, env
	out, err := command.CombinedOutput()
	return string(out), err
}

// git runs git as the agent does; it must succeed.
func (w *world) git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return run(t, dir, w.env, append([]string{"git"}, args...)...)
}

// clone clones a repository by its address at the upstream.
func (w *world) clone(t testing.TB, name string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	w.git(t, dir, append(append([]string{"clone", "--quiet"}, args...), "https://github.com/"+name, "it")...)
	return filepath.Join(dir, "it")
}

// commit adds a commit to what is checked out.
func (w *world) commit(t testing.TB, dir, text string) {
	t.Helper()
	w.git(t, dir, "commit", "--quiet", "--allow-empty", "-m", text)
}

// refs are the refs of a repository of the upstream, with what they point to.
func (w *world) refs(t testing.TB, name string) map[string]string {
	t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(run(t, filepath.Join(w.root, name+".git"), nil, "git", "for-each-ref", "--format=%(refname) %(objectname)")) {
		ref, object, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[ref] = object
	}
	return refs
}

// calls returns how many requests reached the upstream, and forgets them.
func (w *world) calls() (all, pushes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.log {
		if all++; e.Method == http.MethodPost && strings.HasSuffix(e.Path, "/git-receive-pack") {
			pushes++
		}
	}
	w.log = nil
	return all, pushes
}

type record struct{ Verdict, Reason, Method, Path string }

// records are those of the audit file.
func (w *world) records(t testing.TB) []record {
	t.Helper()
	text, err := os.ReadFile(w.audit)
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	for line := range bytes.Lines(text) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, r)
	}
	return out
}

// address is where the agent's git finds the upstream.
func (w *world) address(t testing.TB) string {
	t.Helper()
	for _, v := range w.env {
		if url, found := strings.CutPrefix(v, "GIT_CONFIG_KEY_0=url.http://"); found {
			host, _, _ := strings.Cut(url, "/")
			if _, _, err := net.SplitHostPort(host); err == nil {
				return host
			}
		}
	}
	t.Fatalf("no address in %v", w.env)
	return ""
}

func basic(handle string) string {
	return base64.StdEncoding.EncodeToString([]byte("x-access-token:" + handle))
}

// handle is the token that the agent has.
func (w *world) handle(t testing.TB) string {
	t.Helper()
	for _, v := range w.env {
		value, found := strings.CutPrefix(v, "GIT_CONFIG_VALUE_1=Authorization: Basic ")
		if !found {
			continue
		}
		pair, err := base64.StdEncoding.DecodeString(value)
		if _, handle, ok := strings.Cut(string(pair), ":"); err == nil && ok {
			return handle
		}
	}
	t.Fatalf("no token in %v", w.env)
	return ""
}
