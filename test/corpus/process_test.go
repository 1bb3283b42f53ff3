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

// build builds the binary under test.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sallyport")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/sallyport").CombinedOutput()
	if err != nil {
		t.Fatalf("building sallyport: %v\n%s", err, out)
	}
	return binary
}

// process is a running `sallyport run`.
type process struct {
	directory string
	command   *exec.Cmd
	output    synced
	ended     chan struct{}
	ready     readyFile
}

type readyFile struct {
	Credentials []struct {
		Namespace, Name, Token, TokenFile string
		Endpoints                         []struct{ Name, URL string }
	}
}

// startProcess runs the binary and waits for its ready file.
func startProcess(t *testing.T, binary string, arguments ...string) *process {
	t.Helper()
	p := &process{directory: t.TempDir(), ended: make(chan struct{})}
	ready := filepath.Join(p.directory, "ready.json")
	arguments = append([]string{"run", "--ready-file", ready, "--audit-file", p.auditFile()}, arguments...)
	p.command = exec.Command(binary, arguments...) //nolint:noctx // it is stopped by signal, so that it can say goodbye
	p.command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.directory, "TMPDIR=" + p.directory}
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	p.command.WaitDelay = time.Second
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.stop)
	var text []byte
	if !eventually(10*time.Second, func() bool {
		text, _ = os.ReadFile(ready)
		return len(text) > 0 || !p.alive()
	}) || !p.alive() {
		t.Fatalf("the process did not become ready:\n%s", p.output.text())
	}
	if err := json.Unmarshal(text, &p.ready); err != nil {
		t.Fatalf("reading ready file: %v\n%s", err, text)
	}
	return p
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
	for _, c := range p.ready.Credentials {
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
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		if condition() {
			return true
		}
	}
	return condition()
}
