package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build builds a binary under test.
func build(t *testing.T, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return binary
}

// process is a running `sallyport run`.
type process struct {
	directory string
	command   *exec.Cmd
	output    synced
	ended     chan struct{}
	found     readyFile // what the ready file says
}

type readyFile struct {
	Credentials []struct {
		Namespace, Name, Token, TokenFile string
		Endpoints                         []struct{ Name, URL string }
	}
}

// launch says how a process is started.
type launch struct {
	network     *network // where it lives
	binary      string
	arguments   []string
	environment []string
	audit       string // file of audit records; empty: one of its own
}

// startProcess runs the binary until every listener accepts.
func startProcess(t *testing.T, l launch) *process {
	t.Helper()
	p := launchProcess(t, l)
	if !p.ready(t) {
		t.Fatalf("the process did not become ready:\n%s", p.output.text())
	}
	return p
}

// launchProcess runs `sallyport run`.
func launchProcess(t *testing.T, l launch) *process {
	t.Helper()
	p := &process{directory: t.TempDir(), ended: make(chan struct{})}
	if l.audit == "" {
		l.audit = p.auditFile()
	}
	arguments := append([]string{"run", "--ready-file", filepath.Join(p.directory, "ready.json"), "--audit-file", l.audit}, l.arguments...)
	p.command = exec.Command(l.binary, arguments...) //nolint:noctx // it is stopped by signal, so that it can say goodbye
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.directory, "TMPDIR=" + p.directory}, l.environment...)
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	p.run(t, l.network)
	return p
}

// run starts the command, which lives until the test ends.
func (p *process) run(t *testing.T, n *network) {
	t.Helper()
	p.command.WaitDelay = time.Second
	var err error
	if n.do(func() { err = p.command.Start() }); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.stop)
}

// ready waits until every listener accepts, and reads where that is; false: the
// process has ended, or says nothing.
func (p *process) ready(t *testing.T) bool {
	t.Helper()
	if !eventually(10*time.Second, func() bool { return len(p.read("ready.json")) > 0 || !p.alive() }) || !p.alive() {
		return false
	}
	if err := json.Unmarshal(p.read("ready.json"), &p.found); err != nil {
		t.Fatalf("reading ready file: %v\n%s", err, p.read("ready.json"))
	}
	return true
}

// read returns a file of the process; nothing where there is none.
func (p *process) read(name string) []byte {
	text, _ := os.ReadFile(filepath.Join(p.directory, name))
	return text
}

func (p *process) auditFile() string { return filepath.Join(p.directory, "audit.jsonl") }

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// credential returns the token and the listener's address of a credential.
func (p *process) credential(name string) (token, address string, err error) {
	for _, c := range p.found.Credentials {
		if c.Name == name && len(c.Endpoints) == 1 {
			u, err := url.Parse(c.Endpoints[0].URL)
			if err != nil {
				return "", "", err
			}
			return c.Token, u.Host, nil
		}
	}
	return "", "", fmt.Errorf("the ready file has no credential %s with one endpoint", name)
}

// record is the part of an audit record that every case looks at.
type record struct{ ID, Reason string }

// audit returns the whole audit file, and the records after the first skip
// bytes of it.
func (p *process) audit(skip int) (text string, records []record) {
	all, _ := os.ReadFile(p.auditFile())
	for line := range bytes.Lines(all[min(skip, len(all)):]) {
		var r record
		if json.Unmarshal(line, &r) == nil {
			records = append(records, r)
		}
	}
	return string(all), records
}

// synced is a buffer that is written to while it is read.
type synced struct {
	mu  sync.Mutex
	all strings.Builder
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *synced) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// eventually polls until the condition holds or the limit has passed.
func eventually(limit time.Duration, condition func() bool) bool {
	return eventuallyEvery(5*time.Millisecond, limit, condition)
}

func eventuallyEvery(pause, limit time.Duration, condition func() bool) bool {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		if condition() {
			return true
		}
	}
	return condition()
}
