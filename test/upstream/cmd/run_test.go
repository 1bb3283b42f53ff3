package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/test/story"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

// synced is a buffer that is read while it is written to.
type synced struct {
	mu  sync.Mutex
	all strings.Builder
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

// process is the command as it runs.
type process struct {
	t              *testing.T
	client         *http.Client
	served, told   string // addresses
	stdout, stderr synced
}

var serving = regexp.MustCompile(`serving (\S+), telling on (\S+)\n`)

// start runs it until the test ends, with a certificate of its own.
func start(t *testing.T, more ...string) *process {
	t.Helper()
	dir := t.TempDir()
	key, authority := filepath.Join(dir, "key"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(key, []byte("k3y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	p := &process{t: t}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append([]string{
			"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-key", key,
			"-names", "github.example,localhost", "-authority", authority,
		}, more...), &p.stdout, &p.stderr)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
		if left, _ := os.ReadDir(temporary); len(left) > 0 {
			t.Errorf("it left %v", left)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		if found := serving.FindStringSubmatch(p.stderr.String()); found != nil {
			p.served, p.told = found[1], found[2]
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not serve:\n%s", p.stderr.String())
		}
	}
	text, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no authority in %q", text)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "github.example"}}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return p
}

func (p *process) send(method, url string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.HasPrefix(url, "https:") {
		req.Header.Set("Authorization", "Bearer k3y")
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// list asks the second listener.
func list[T any](p *process, path string) []T {
	p.t.Helper()
	status, body := p.send(http.MethodGet, "http://"+p.told+path)
	var got []T
	if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil || got == nil {
		p.t.Fatalf("GET %s: %d %s: %v", path, status, body, err)
	}
	return got
}

func TestRun(t *testing.T) {
	p := start(t)
	if diff := cmp.Diff(story.Branches(), list[string](p, "/-/branches")); diff != "" {
		t.Errorf("branches as it begins (-want +got):\n%s", diff)
	}
	if got := list[upstream.Entry](p, "/-/log"); len(got) != 0 {
		t.Errorf("the log as it begins: %v", got)
	}
	const path = "/repos/acme/docs/git/refs/heads/release-1.0"
	for _, want := range []int{http.StatusNoContent, http.StatusUnprocessableEntity} {
		if status, body := p.send(http.MethodDelete, "https://"+p.served+path); status != want {
			t.Errorf("deleting a branch: %d %s, want %d", status, body, want)
		}
	}
	if slices.Contains(list[string](p, "/-/branches"), "release-1.0") {
		t.Error("a branch that was deleted is still told of")
	}
	want := []upstream.Entry{
		{Method: "DELETE", Path: path, Status: 204, Authorized: true, Does: []string{"delete refs/heads/release-1.0"}},
		{Method: "DELETE", Path: path, Status: 422, Authorized: true, Does: []string{"delete refs/heads/release-1.0"}},
	}
	if diff := cmp.Diff(want, list[upstream.Entry](p, "/-/log")); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if lines := strings.Count(p.stdout.String(), `"path":"`+path+`"`); lines != 2 {
		t.Errorf("%d lines on the standard output, want 2:\n%s", lines, p.stdout.String())
	}
	if status, body := p.send(http.MethodPost, "http://"+p.told+"/-/reset"); status != http.StatusOK {
		t.Errorf("resetting: %d %s", status, body)
	}
	if diff := cmp.Diff(story.Branches(), list[string](p, "/-/branches")); diff != "" {
		t.Errorf("branches after a reset (-want +got):\n%s", diff)
	}
	if got := list[upstream.Entry](p, "/-/log"); len(got) != 0 {
		t.Errorf("the log after a reset: %v", got)
	}
	if _, body := p.send(http.MethodGet, "https://"+p.served+"/repos/acme/docs/issues/7"); !strings.Contains(body, story.Prefix) {
		t.Errorf("the issue has no hidden text: %s", body)
	}
	for _, url := range []string{"https://" + p.served + "/-/log", "http://" + p.told + "/repos/acme/docs"} {
		if status, _ := p.send(http.MethodGet, url); status != http.StatusNotFound {
			t.Errorf("%s: %d, want that each listener has its own", url, status)
		}
	}
	if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, "k3y") {
		t.Errorf("the key was printed:\n%s", text)
	}
}

func TestRunPlain(t *testing.T) {
	p := start(t, "-plain")
	if _, body := p.send(http.MethodGet, "https://"+p.served+"/repos/acme/docs/issues/7"); strings.Contains(body, story.Prefix) || !strings.Contains(body, "Thank you") {
		t.Errorf("the issue: %s", body)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	made := []string{"-names", "a.example", "-authority", filepath.Join(dir, "ca")}
	tests := map[string]struct {
		why  string
		args []string
		want string
	}{
		"no key":        {"anybody would be served", made, "-key"},
		"empty key":     {"the same", append(slices.Clone(made), "-key", empty), "is empty"},
		"no such key":   {"nothing to read", append(slices.Clone(made), "-key", empty+"x"), "reading the key"},
		"plain HTTP":    {"keys are not sent in the clear", []string{"-key", empty}, "-tls-cert and -tls-key"},
		"half a pair":   {"there is no private key", []string{"-key", empty, "-tls-cert", empty}, "-tls-cert and -tls-key"},
		"no authority":  {"no client would trust it", []string{"-key", empty, "-names", "a.example"}, "together"},
		"two ways":      {"which one is meant", append(slices.Clone(made), "-key", empty, "-tls-cert", empty), "not both"},
		"no pair":       {"not a certificate", []string{"-key", empty, "-tls-cert", empty, "-tls-key", empty}, "reading the certificate"},
		"more":          {"a typo", append(slices.Clone(made), "-key", empty, "x"), "unknown argument"},
		"nobody's disk": {"it cannot be written", []string{"-key", empty, "-names", "a.example", "-authority", dir}, "writing the authority"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), test.args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.why, err, test.want)
			}
		})
	}
}
