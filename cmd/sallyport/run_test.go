package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rehearsal is a `sallyport run` in this process, with an upstream behind it.
type rehearsal struct {
	manifest, ready, audit string
	arguments              []string
	stdout, stderr         synced
}

// synced is a buffer that is read while it is written to.
type synced struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// rehearse prepares a run of manifestText with one change. The upstream
// answers with the path and the credential that it got.
func rehearse(t *testing.T, from, to string) *rehearsal {
	t.Helper()
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "path "+r.URL.Path+", key at hand: "+map[bool]string{true: "yes", false: "no"}[r.Header.Get("Authorization") == "Bearer CANARY-0123456789"])
	}))
	t.Cleanup(upstream.Close)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rehearsal{
		manifest: writeManifest(t, "https://files.example", "https://example.com"), // of httptest's certificate
		ready:    filepath.Join(dir, "ready.json"), audit: filepath.Join(dir, "audit"),
	}
	r.change(t, from, to)
	r.arguments = []string{
		"run", "-f", r.manifest, "--ready-file", r.ready, "--audit-file", r.audit, "--upstream-ca", ca,
		"--connect-to", "example.com:443=" + upstream.Listener.Addr().String(),
	}
	return r
}

// change rewrites the manifest.
func (r *rehearsal) change(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(r.manifest)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("the manifest does not hold %q", from)
	}
	if err := replaceFile(r.manifest, []byte(strings.Replace(string(text), from, to, 1))); err != nil {
		t.Fatal(err)
	}
}

// start runs it until the test ends, and waits for the ready file.
func (r *rehearsal) start(t *testing.T, more ...string) readyFile {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append(r.arguments, more...), strings.NewReader(""), &r.stdout, &r.stderr)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
		if _, err := os.Stat(r.ready); !os.IsNotExist(err) {
			t.Error("the ready file is still there")
		}
	})
	var ready readyFile
	if !eventually(10*time.Second, func() bool {
		text, err := os.ReadFile(r.ready)
		return err == nil && json.Unmarshal(text, &ready) == nil
	}) {
		t.Fatalf("no ready file:\n%s", r.stderr.String())
	}
	return ready
}

func eventually(limit time.Duration, condition func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		if condition() {
			return true
		}
	}
	return condition()
}

// get asks a listener, and returns status and body.
func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestRun(t *testing.T) {
	r := rehearse(t, "", "")
	ready := r.start(t, "--watch")
	c := ready.Credentials[0]
	url := c.Endpoints[0].URL
	if status, body := get(t, url+"/v1/a", c.Token); status != 200 || body != "path /v1/a, key at hand: yes" {
		t.Fatalf("granted: %d %s", status, body)
	}
	if status, body := get(t, url+"/v2/a", c.Token); status != 403 || !strings.Contains(body, "OutOfScope") {
		t.Errorf("not granted: %d %s", status, body)
	}
	for _, file := range []string{r.ready, c.TokenFile, r.audit} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", file, info.Mode(), err)
		}
	}
	if text, err := os.ReadFile(c.TokenFile); err != nil || string(text) != c.Token {
		t.Errorf("the token file does not hold the token: %v", err)
	}

	r.change(t, "/v1/{name}", "/v2/{name}")
	if !eventually(5*time.Second, func() bool { status, _ := get(t, url+"/v2/a", c.Token); return status == 200 }) {
		t.Error("a changed scope is not in force, or refuses the old token")
	}
	r.change(t, "/v2/{name}", "/{name}")
	if !eventually(5*time.Second, func() bool { return strings.Contains(r.stderr.String(), "spec.grants[0].http.paths[0]") }) {
		t.Errorf("a broken change was not reported:\n%s", r.stderr.String())
	}
	if status, _ := get(t, url+"/v2/a", c.Token); status != 200 {
		t.Errorf("a broken change took the last scope away: %d", status)
	}
	r.change(t, "  grants:", "  suspend: true\n  grants:")
	var body string
	if !eventually(5*time.Second, func() bool {
		var status int
		status, body = get(t, url+"/v2/a", c.Token)
		return status == 403 && strings.Contains(body, "Suspended")
	}) {
		t.Errorf("suspended, beside a broken scope: %s", body)
	}
	if text := r.stderr.String() + r.stdout.String(); strings.Contains(text, "CANARY") || strings.Contains(text, c.Token) {
		t.Errorf("key or token were printed:\n%s", text)
	}
}

// TestRunExpires: the end of a grant holds for tokens that are out already.
func TestRunExpires(t *testing.T) {
	at := time.Now().Add(3 * time.Second).UTC().Truncate(time.Second)
	r := rehearse(t, "  grants:", "  expiresAt: \""+at.Format(time.RFC3339)+"\"\n  grants:")
	c := r.start(t).Credentials[0]
	if status, body := get(t, c.Endpoints[0].URL+"/v1/a", c.Token); status != 200 && time.Now().Before(at) {
		t.Fatalf("before its end: %d %s", status, body)
	}
	var body string
	if !eventually(8*time.Second, func() bool {
		var status int
		status, body = get(t, c.Endpoints[0].URL+"/v1/a", c.Token)
		return status == 403 && strings.Contains(body, "Expired")
	}) {
		t.Errorf("after its end: %s", body)
	}
}

// TestRunCommandLine: the environment leads an unmodified client to the
// listener, and the process says how the COMMAND ended.
func TestRunCommandLine(t *testing.T) {
	t.Setenv("FILES_TOKEN", "a raw key")
	r := rehearse(t, "", "")
	script := `case $FILES_URL in http://127.0.0.1:*/x) ;; *) exit 1 ;; esac; case $FILES_TOKEN in spt_*) exit 42 ;; esac; exit 2`
	err := run(t.Context(), append(r.arguments, "--", "/bin/sh", "-c", script), strings.NewReader(""), &r.stdout, &r.stderr)
	if status := report(err, &r.stderr); status != 42 {
		t.Errorf("status %d, want that of the command\n%s", status, r.stderr.String())
	}
}

func TestRunRefuses(t *testing.T) {
	file := writeManifest(t, "", "")
	broken := writeManifest(t, "methods: [GET]", "methods: [get]")
	empty := writeManifest(t, manifestText, "# nothing\n")
	tests := map[string]struct {
		why       string
		arguments []string
		status    int
		want      string
	}{
		"no files":     {"there is nothing to serve", []string{"run"}, 1, "-f"},
		"no such file": {"nothing to read", []string{"run", "-f", file + ".none"}, 1, "reading manifests"},
		"broken":       {"file, line and field", []string{"run", "-f", broken}, 2, broken + ":27: spec.grants[0].http.methods[0]: "},
		"empty":        {"nothing to serve", []string{"run", "-f", empty}, 2, empty + ": the files hold no ScopedCredential"},
		"no scope":     {"a Secret alone", []string{"run", "-f", "-"}, 2, "-: the files hold no ScopedCredential"},
		"stdin twice":  {"it can be read once", []string{"run", "-f", "-", "-f", "-"}, 1, "once"},
		"stdin watch":  {"it does not change", []string{"run", "-f", "-", "--watch"}, 1, "--watch"},
		"client":       {"another way", []string{"run", "-f", file, "--client", "pinned"}, 1, "--client"},
		"tunnel":       {"there is no proxy", []string{"run", "-f", file, "--tunnel"}, 1, "--client proxy"},
		"connect-to":   {"a name would be looked up", []string{"run", "-f", file, "--connect-to", "a:443=b:443"}, 1, "HOST:PORT=ADDR:PORT"},
		"resolver":     {"the same", []string{"run", "-f", file, "--resolver", "dns"}, 1, "ADDR:PORT"},
		"authority":    {"a CA that nobody can read", []string{"run", "-f", file, "--upstream-ca", file}, 1, "no certificate"},
		"audit":        {"without a record there is no call", []string{"run", "-f", file, "--audit-file", file + "/x"}, 1, "audit file"},
		"ready":        {"nobody would find the listeners", []string{"run", "-f", file, "--ready-file", file + "/x"}, 1, "ready file"},
		"command":      {"it is not there", []string{"run", "-f", file, "--", "/does/not/exist"}, 1, "starting the command"},
		"unknown flag": {"a typo", []string{"run", "-f", file, "--wach"}, 1, "--wach"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out synced
			secret := strings.SplitAfter(manifestText, "---\n")[0]
			status := report(run(t.Context(), test.arguments, strings.NewReader(secret), &out, &out), &out)
			if status != test.status || !strings.Contains(out.String(), test.want) {
				t.Errorf("%s: status %d, want %d with %q:\n%s", test.why, status, test.status, test.want, out.String())
			}
			if strings.Contains(out.String(), "CANARY") {
				t.Errorf("the key was printed:\n%s", out.String())
			}
		})
	}
}

func TestHelpWarns(t *testing.T) {
	var out synced
	if err := run(t.Context(), []string{"run", "--help"}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no wall against a COMMAND of the same", "for tests and rehearsals", "--watch"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help does not say %q", want)
		}
	}
}

// TestRenewal: the token file gets another token, and the old one is good
// until it expires.
func TestRenewal(t *testing.T) {
	r := rehearse(t, "", "")
	flag := func(name string) string { return r.arguments[slices.Index(r.arguments, name)+1] }
	o := runOptions{
		files: []string{r.manifest}, readyFile: r.ready, auditFile: r.audit, upstreamCA: flag("--upstream-ca"),
		connectTo: []string{flag("--connect-to")}, stdout: &r.stdout, stderr: &r.stderr,
	}
	all, _, err := o.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &session{o: &o, ledger: newLedger(), urls: map[string]map[string]string{}}
	s.ledger.take(all)
	stop, err := s.start(t.Context())
	defer stop()
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]bool{}
	for range 2 {
		text, err := os.ReadFile(filepath.Join(s.directory, "agents", "files", "token"))
		if err != nil {
			t.Fatal(err)
		}
		tokens[string(text)] = true
		if err := s.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(tokens) != 2 {
		t.Fatalf("%d tokens after a renewal, want another", len(tokens))
	}
	for token := range tokens {
		if status, body := get(t, s.urls["agents/files"]["api"]+"/v1/a", token); status != 200 {
			t.Errorf("a token that has not expired: %d %s", status, body)
		}
	}
	if text, err := os.ReadFile(r.ready); err != nil || !strings.Contains(string(text), s.ledger.held["agents/files"].token) {
		t.Errorf("the ready file does not hold the newest token: %v", err)
	}
}
