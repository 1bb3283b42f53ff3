package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/npm"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

const streams = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: events, namespace: agents}
spec:
  endpoints:
  - {name: api, url: "https://events.example", inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: events, namespace: agents}
spec:
  upstream: {name: events}
  holders: {serviceAccounts: [agent]}
  suspend: false
  client: {env: [{name: TOKEN, value: "{token}"}]}
  grants:
  - {name: listen, http: {methods: [GET], paths: ["/events", "/poll"]}}
  - name: discover
    http: {methods: [GET], paths: ["/api", "/apis", "/api/v1"]}
    query: {params: {timeout: {type: String}}}
  - name: pods
    http: {methods: [GET], paths: ["/api/v1/namespaces/agents/pods"]}
    query: {params: {limit: {type: Integer}, watch: {type: Boolean}, resourceVersion: {type: String}, allowWatchBookmarks: {type: Boolean}, timeoutSeconds: {type: Integer}}}
`

// source is an upstream that says what a test gives it, when it is given it.
type source struct {
	next chan string   // a line, which is sent at once; "" ends the answer
	left chan struct{} // whoever listened has gone
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/events" && r.URL.Path != "/poll" && r.URL.Query().Get("watch") == "" {
		kubernetes(&upstream.Log{}).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if strings.HasPrefix(r.URL.Path, "/api") {
		w.Header().Set("Content-Type", "application/json")
	}
	if r.URL.Path != "/poll" {
		_ = http.NewResponseController(w).Flush()
	}
	for {
		select {
		case line := <-s.next:
			if line == "" {
				return
			}
			_, _ = fmt.Fprintln(w, line)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			s.left <- struct{}{}
			return
		}
	}
}

func (s *source) say(t *testing.T, line string) {
	t.Helper()
	select {
	case s.next <- line:
	case <-time.After(time.Minute):
		t.Fatal("nobody has asked the upstream")
	}
}

// listening are clients that print what they hear, when they hear it, by what
// the upstream says for it.
func listening(t *testing.T, w *world) map[string]struct {
	args []string
	says func(int) (said, heard string)
} {
	t.Helper()
	node, err := npm.Node()
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://events.example/events"
	const python = `import os, sys, requests
r = requests.get(sys.argv[1], headers={"Authorization": "Bearer " + os.environ["TOKEN"]}, stream=True, timeout=60)
for line in r.iter_lines(chunk_size=1): print(line.decode(), flush=True)`
	const script = `const r = await fetch(process.argv[1], {headers: {authorization: "Bearer " + process.env.TOKEN}});
for await (const chunk of r.body) process.stdout.write(chunk);`
	config, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "it",
		"clusters": []any{map[string]any{"name": "it", "cluster": map[string]any{"server": "https://events.example"}}},
		"users":    []any{map[string]any{"name": "it", "user": map[string]any{"token": w.variable("TOKEN")}}},
		"contexts": []any{map[string]any{"name": "it", "context": map[string]any{"cluster": "it", "user": "it", "namespace": "agents"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	event := func(i int) (said, heard string) { return fmt.Sprintf("data: %d", i), fmt.Sprintf("data: %d", i) }
	pod := func(i int) (said, heard string) {
		return fmt.Sprintf(`{"type":"ADDED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-%d","namespace":"agents"}}}`, i), fmt.Sprintf("pod/web-%d", i)
	}
	return map[string]struct {
		args []string
		says func(int) (said, heard string)
	}{
		"curl":            {[]string{"sh", "-c", `exec curl -sSN -H "Authorization: Bearer $TOKEN" "$0"`, url}, event},
		"Python requests": {[]string{"/usr/bin/python3", "-c", python, url}, event},
		"Node fetch":      {[]string{node, "--input-type=module", "-e", script, url}, event},
		"kubectl":         {[]string{kubectl(t), "--kubeconfig", w.write("kubeconfig", string(config)), "get", "pods", "--watch-only", "-o", "name"}, pod},
	}
}

// TestStreams has clients listen to what never ends: each hears an event before
// the next one is there, and none hears anything, nor keeps the upstream, once
// its credential is suspended.
func TestStreams(t *testing.T) {
	for _, name := range []string{"curl", "Python requests", "Node fetch", "kubectl"} {
		t.Run(name, func(t *testing.T) {
			s := &source{next: make(chan string), left: make(chan struct{}, 1)}
			w := newWorld(t, streams, func(*world) map[string]http.Handler {
				return map[string]http.Handler{"events.example:443": s}
			}, "--watch")
			client := listening(t, w)[name]
			l := w.listen(client.args)
			for i := range 3 {
				said, want := client.says(i)
				s.say(t, said)
				if got := l.line(); got != want {
					t.Fatalf("event %d: heard %q, want %q\n%s", i, got, want, l.stderr.String())
				}
			}
			w.write("scope.yaml", strings.Replace(streams, "suspend: false", "suspend: true", 1))
			if got := l.line(); got != "" {
				t.Errorf("afterwards it heard %q", got)
			}
			select {
			case <-s.left:
			case <-time.After(time.Minute):
				t.Error("the upstream still speaks to somebody")
			}
			if err := l.command.Wait(); err == nil && name != "kubectl" { // which takes any end for one
				t.Errorf("it took the stream for whole: %s", l.stderr.String())
			}
			if got := w.refusals(); !slices.Contains(got, l.record(name)+" Suspended") {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

// TestLongPolls has an answer take its time: it is waited for, and refused at once
// where the credential is suspended meanwhile.
func TestLongPolls(t *testing.T) {
	s := &source{next: make(chan string), left: make(chan struct{}, 1)}
	w := newWorld(t, streams, func(*world) map[string]http.Handler {
		return map[string]http.Handler{"events.example:443": s}
	}, "--watch")
	poll := []string{"sh", "-c", `exec curl -sS -w '%{http_code}\n' -H "Authorization: Bearer $TOKEN" https://events.example/poll`}
	l := w.listen(poll)
	s.say(t, "news")
	s.say(t, "")
	if got, status := l.line(), l.line(); got != "news" || status != "200" {
		t.Errorf("got %q, %q\n%s", got, status, l.stderr.String())
	}
	l = w.listen(poll)
	for deadline := time.Now().Add(time.Minute); w.polls() < 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the request is not forwarded")
		}
	}
	w.write("scope.yaml", strings.Replace(streams, "suspend: false", "suspend: true", 1))
	if got, status := l.line(), l.line(); !strings.Contains(got, `"reason":"Suspended"`) || status != "403" {
		t.Errorf("got %q, %q\n%s", got, status, l.stderr.String())
	}
}

// polls is how many of these requests were recorded so far.
func (w *world) polls() int {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.home, "audit.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	return bytes.Count(text, []byte(`"path":"/poll"`))
}

// listener is a program that runs.
type listener struct {
	t       *testing.T
	command *exec.Cmd
	stdout  *bufio.Reader
	stderr  bytes.Buffer
}

// listen starts a program as the agent does.
func (w *world) listen(args []string) *listener {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	l := &listener{t: w.t, command: exec.CommandContext(ctx, args[0], args[1:]...)}
	l.command.Dir, l.command.Env, l.command.Stderr = w.home, w.env, &l.stderr
	stdout, err := l.command.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	l.stdout = bufio.NewReader(stdout)
	if err := l.command.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cancel()
		_ = l.command.Wait()
	})
	return l
}

// line is the next that it prints, "" where it has ended.
func (l *listener) line() string {
	line, err := l.stdout.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(line, "\n")
}

// record is the request that a client's stream is, as records have it.
func (l *listener) record(name string) string {
	if name == "kubectl" {
		return "GET /api/v1/namespaces/agents/pods"
	}
	return "GET /events"
}
