// Package clients runs programs that know nothing of Sallyport in proxy mode:
// what each may do goes on as ever, what it may not is refused in its own output,
// and the upstream hears nothing of it.
package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

const key = "k3y-0f-th3-upstr3am"

//go:embed scope.yaml
var scope string

// programs has what is under test and what is built for it.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-clients-")
	if err != nil {
		panic(err)
	}
	programs = dir
	for name, source := range map[string]string{"sallyport": "../../cmd/sallyport", "goclient": "./goclient"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), source).CombinedOutput(); err != nil {
			panic(string(out))
		}
	}
	if out, err := exec.Command("javac", "-d", dir, "javaclient/Client.java").CombinedOutput(); err != nil {
		panic("run `make host`: " + err.Error() + "\n" + string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is an upstream with TLS on this machine, `sallyport run --client proxy`
// in front of it, and the environment that its COMMAND is given.
type world struct {
	t          *testing.T
	home       string
	root       string // of the upstream's repositories
	repository string
	env        []string
	pid        int
	log        *upstream.Log
	ready      struct {
		Credentials []struct{ Name, Token, TokenFile string }
		Proxy       struct{ URL, CA, Bundle string }
	}
}

// newWorld serves hosts, written HOST:PORT, by their handlers: in the clear on
// port 80, else with TLS. There may be more arguments.
func newWorld(t *testing.T, manifests string, serve func(w *world) map[string]http.Handler, more ...string) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir(), log: &upstream.Log{}}
	hosts := serve(w)
	arguments := []string{"run", "--client", "proxy", "-f", filepath.Join(w.home, "scope.yaml"),
		"--ready-file", filepath.Join(w.home, "ready.json"), "--audit-file", filepath.Join(w.home, "audit.jsonl"), "--upstream-ca", filepath.Join(w.home, "ca.pem")}
	arguments = append(arguments, more...)
	var names []string
	for host := range hosts {
		name, _, _ := strings.Cut(host, ":")
		names = append(names, name)
	}
	certificate, authority, err := upstream.Certificate(names...)
	if err != nil {
		t.Fatal(err)
	}
	for host, handler := range hosts {
		server := httptest.NewUnstartedServer(handler)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		if strings.HasSuffix(host, ":80") {
			server.Start()
		} else {
			server.StartTLS()
		}
		t.Cleanup(server.Close)
		arguments = append(arguments, "--connect-to", host+"="+server.Listener.Addr().String())
	}
	w.write("scope.yaml", manifests)
	w.write("ca.pem", string(authority))
	w.start(append(arguments, "--", "sh", "-c", "env -0 && printf '\\001' && cat"))
	return w
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	file := filepath.Join(w.home, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// start runs the binary with a COMMAND that tells its environment, and keeps it
// until the test ends.
func (w *world) start(arguments []string) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), filepath.Join(programs, "sallyport"), arguments...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + w.home, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}
	stdin, err := command.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	var output bytes.Buffer
	command.Stderr, command.WaitDelay = &output, time.Second
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.pid = command.Process.Pid
	w.t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
		if w.t.Failed() {
			w.t.Logf("the process said:\n%s", output.String())
		}
	})
	text, err := bufio.NewReader(stdout).ReadString(1)
	if err != nil {
		w.t.Fatalf("the command did not start: %v", err)
	}
	w.env = strings.Split(strings.TrimSuffix(text, "\x00\x01"), "\x00")
	ready, err := os.ReadFile(filepath.Join(w.home, "ready.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(ready, &w.ready); err != nil {
		w.t.Fatal(err)
	}
}

// variable is one of the environment.
func (w *world) variable(name string) string {
	w.t.Helper()
	for _, v := range w.env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	w.t.Fatalf("%s is not set", name)
	return ""
}

// run runs a program as the agent does, and returns what it printed and its exit
// status.
func (w *world) run(args ...string) (string, int) {
	w.t.Helper()
	return w.runWith(nil, args...)
}

func (w *world) runWith(more []string, args ...string) (string, int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir, command.Env = w.home, slices.Concat(w.env, more)
	out, err := command.CombinedOutput()
	ended := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &ended) {
		w.t.Fatalf("%s: %v", args[0], err)
	}
	if strings.Contains(string(out), key) {
		w.t.Errorf("%s got the key: %s", args[0], out)
	}
	return string(out), command.ProcessState.ExitCode()
}

// seen returns the requests that reached the upstream, and forgets them. Each
// had the key, or it would not be ours.
func (w *world) seen() (all []string) {
	w.t.Helper()
	for _, e := range w.log.Entries() {
		all = append(all, e.Method+" "+e.Path)
		if !e.Authorized {
			w.t.Errorf("%s %s came without the key", e.Method, e.Path)
		}
	}
	w.log.Clear()
	return all
}

// refusals are the reasons in the audit records, in order.
func (w *world) refusals() (all []string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.home, "audit.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r struct{ Method, Path, Reason string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatal(err)
		}
		if r.Reason != "" {
			all = append(all, r.Method+" "+r.Path+" "+r.Reason)
		}
	}
	return all
}

// github serves repositories over REST and git.
func (w *world) github() http.Handler {
	w.t.Helper()
	w.root = w.t.TempDir()
	repository, err := upstream.MakeRepository(w.t.Context(), w.root, "acme/docs", "release-1", "agent/old")
	if err != nil {
		w.t.Fatal(err)
	}
	w.repository = repository
	return (&upstream.Server{Root: w.root, Key: key, Issue: "please", Record: w.log.Record}).Handler()
}

// branches are those of the upstream's repository.
func (w *world) branches() string {
	w.t.Helper()
	names, err := upstream.Branches(w.t.Context(), w.repository)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(names, " ")
}
