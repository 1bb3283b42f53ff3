// Package mcp plays the official clients of MCP, in Go and in TypeScript, and
// the official conformance suite against official servers, with the sallyport
// binary in between: what an agent may do goes on as ever, what it may not is
// refused in the protocol's own words, and the server hears nothing of it.
package mcp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/npm"
)

const key = "k3y-0f-th3-upstr3am"

// programs is the directory of those under test, and of the Go SDK's.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-mcp-")
	if err != nil {
		panic(err)
	}
	programs = dir + string(filepath.Separator)
	const official = "github.com/modelcontextprotocol/go-sdk/conformance/"
	for _, build := range [][]string{
		{"build", "-o", programs, "../../cmd/sallyport"},
		{"build", "-C", "gosdk", "-o", programs, ".", official + "everything-server", official + "everything-client"},
	} {
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			panic(string(out))
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// patience bounds every wait.
const patience = time.Minute

// eventually waits for something to become true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		poll := time.NewTimer(5 * time.Millisecond)
		<-poll.C
	}
}

// start runs a program until the test ends, and returns what it says.
func start(t testing.TB, env []string, args ...string) *said {
	t.Helper()
	command := exec.CommandContext(t.Context(), args[0], args[1:]...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.Env, command.WaitDelay = env, time.Second
	out := &said{}
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // it is told to end
		close(ended)
	}()
	t.Cleanup(func() {
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(args[0]), out)
		}
	})
	return out
}

// said is what a program has said so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// pinned is the path of a file of an npm package.
func pinned(t testing.TB, name, file string) string {
	t.Helper()
	path, err := npm.Path(name, file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// node is the path of Node.js.
func node(t testing.TB) string {
	t.Helper()
	path, err := npm.Node()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// serveEverything starts @modelcontextprotocol/server-everything and returns
// its address.
func serveEverything(t testing.TB) string {
	t.Helper()
	out := start(t, []string{"PORT=0", "SECRET_OF_THE_SERVER=hidden"}, node(t), "--require", "./loopback.cjs",
		pinned(t, "@modelcontextprotocol/server-everything", "dist/index.js"), "streamableHttp")
	port := regexp.MustCompile(`loopback port (\d+)`)
	eventually(t, "for the server to listen", func() bool { return port.MatchString(out.String()) })
	return "127.0.0.1:" + port.FindStringSubmatch(out.String())[1]
}

// serveConformance starts the Go SDK's server and returns its address.
func serveConformance(t testing.TB, args ...string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close() // the server takes an address, and no socket
	start(t, nil, append([]string{programs + "everything-server", "-http", address}, args...)...)
	eventually(t, "for the server to listen", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close() // nothing was said
		}
		return err == nil
	})
	return address
}

// agent is where an agent finds the server.
type agent struct{ url, token string }

// sidecar is a running `sallyport run`.
type sidecar struct {
	agents map[string]agent // by credential
	audit  string
}

// runSidecar starts the binary, and waits until it serves.
func runSidecar(t testing.TB, f *front, manifests string) *sidecar {
	t.Helper()
	home := t.TempDir()
	file := func(name string) string { return filepath.Join(home, name) }
	write(t, file("scope.yaml"), manifests)
	start(t, []string{"HOME=" + home, "TMPDIR=" + home}, programs+"sallyport", "run", "-f", file("scope.yaml"), "--connect-to", "mcp.example:443="+f.address,
		"--upstream-ca", f.authority, "--audit-file", file("audit.jsonl"), "--ready-file", file("ready.json"))
	var ready struct {
		Credentials []struct {
			Name, Token string
			Endpoints   []struct{ URL string }
		}
	}
	eventually(t, "for the sidecar to be ready", func() bool {
		text, err := os.ReadFile(file("ready.json"))
		return err == nil && json.Unmarshal(text, &ready) == nil
	})
	s := &sidecar{agents: map[string]agent{}, audit: file("audit.jsonl")}
	for _, c := range ready.Credentials {
		s.agents[c.Name] = agent{url: c.Endpoints[0].URL + "/mcp", token: c.Token}
	}
	return s
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

type record struct{ Verdict, Reason, Method, Path string }

// records are those of the audit file.
func (s *sidecar) records(t testing.TB) (all []record) {
	t.Helper()
	text, err := os.ReadFile(s.audit)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// step is one thing that a client does.
type step struct {
	Do        string            `json:"do"`
	Revision  string            `json:"revision,omitempty"`
	Name      string            `json:"name,omitempty"`
	URI       string            `json:"uri,omitempty"`
	Arguments json.RawMessage   `json:"arguments,omitempty"`
	Prompt    map[string]string `json:"prompt,omitempty"`
	Progress  bool              `json:"progress,omitempty"`
}

// told is a line of a client's: what came of a step, or an event.
type told struct {
	Done   bool
	Result json.RawMessage
	Error  string
	Code   int

	Event  string
	Params json.RawMessage
}

func (a told) String() string { return fmt.Sprintf("%s %s (%d)", a.Result, a.Error, a.Code) }

// client is a program of an SDK.
type client struct {
	in    io.Writer
	lines chan told

	mu     sync.Mutex
	events []told
}

// sdks are the programs of the SDKs.
func sdks(t testing.TB) map[string][]string {
	return map[string][]string{
		"Go":         {programs + "gosdk"},
		"TypeScript": {node(t), "client.mjs", filepath.Dir(pinned(t, "@modelcontextprotocol/sdk", "package.json"))},
	}
}

// newClient starts the program of an SDK as an agent.
func newClient(t testing.TB, a agent, args []string) *client {
	t.Helper()
	command := exec.CommandContext(t.Context(), args[0], args[1:]...)
	command.Env = []string{"MCP_URL=" + a.url, "MCP_TOKEN=" + a.token}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &client{in: in, lines: make(chan told)}
	go c.listen(out)
	t.Cleanup(func() {
		_ = in.Close() // it ends by that
		for range c.lines {
			continue
		}
		_ = command.Wait()
		if t.Failed() && complaints.Len() > 0 {
			t.Logf("the client said:\n%s", complaints.String())
		}
	})
	return c
}

// listen reads what the client tells.
func (c *client) listen(out io.Reader) {
	defer close(c.lines)
	all := bufio.NewScanner(out)
	all.Buffer(nil, 16<<20)
	for all.Scan() {
		var line told
		if json.Unmarshal(all.Bytes(), &line) != nil {
			continue // no line of ours
		}
		if line.Done {
			c.lines <- line
			continue
		}
		c.mu.Lock()
		c.events = append(c.events, line)
		c.mu.Unlock()
	}
}

// begin has the client do something.
func (c *client) begin(t testing.TB, s step) {
	t.Helper()
	if err := json.NewEncoder(c.in).Encode(s); err != nil {
		t.Fatal(err)
	}
}

// end waits for what came of it.
func (c *client) end(t testing.TB) told {
	t.Helper()
	select {
	case line, open := <-c.lines:
		if !open {
			t.Fatal("the client has ended")
		}
		return line
	case <-time.After(patience):
		t.Fatal("the client does not answer")
	}
	return told{}
}

func (c *client) do(t testing.TB, s step) told {
	t.Helper()
	c.begin(t, s)
	return c.end(t)
}

// must does something that is granted.
func (c *client) must(t testing.TB, s step) told {
	t.Helper()
	got := c.do(t, s)
	if got.Error != "" {
		t.Errorf("%+v: %s", s, got)
	}
	return got
}

// told counts the events of a kind.
func (c *client) told(event string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.events {
		if c.events[i].Event == event {
			n++
		}
	}
	return n
}

// post sends a message as an agent without an SDK.
func (a agent) post(t testing.TB, message string, head map[string]string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url, strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range head {
		r.Header.Set(name, value)
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	answer, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}
