package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/test/story"
)

// assault is what the attacks are tried on: the story's upstream, and with a
// scope `sallyport run` in front of it.
type assault struct {
	*act
	t      *testing.T
	commit string // that every branch is at
	token  string
	urls   map[string]string // of listeners, by endpoint
	dial   func(endpoint string) (net.Conn, error)
}

// besiege starts the upstream alone.
func besiege(t *testing.T) *assault {
	t.Helper()
	d := &demo{dir: t.TempDir(), key: demoKey}
	s := &assault{act: &act{demo: d, dir: d.dir}, t: t, token: demoKey}
	stop, err := s.serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s.commit = s.git("rev-parse", "refs/heads/main")
	url := "https://" + s.address
	s.urls = map[string]string{"rest": url, "git": url, "mcp": url}
	authority, err := os.ReadFile(s.authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	s.dial = func(string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", s.address)
	}
	return s
}

// guard puts `sallyport run` with a scope in front.
func (s *assault) guard(scope string) {
	s.t.Helper()
	o, err := s.options(scope)
	if err != nil {
		s.t.Fatal(err)
	}
	var stderr synced
	o.readyFile, o.stdout, o.stderr = s.file("ready.json"), &stderr, &stderr
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.run(ctx, s.environ()) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("it ended with %v\n%s", err, stderr.String())
		}
	})
	var ready readyFile
	if !eventually(30*time.Second, func() bool {
		text, err := os.ReadFile(o.readyFile)
		return err == nil && json.Unmarshal(text, &ready) == nil
	}) {
		s.t.Fatalf("no ready file:\n%s", stderr.String())
	}
	s.token = ready.Credentials[0].Token
	for _, e := range ready.Credentials[0].Endpoints {
		s.urls[e.Name] = e.URL
	}
	s.dial = func(endpoint string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.urls[endpoint], "http://"))
	}
}

// git runs git in the upstream's repository.
func (s *assault) git(arguments ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "git", append([]string{"--git-dir", s.repository}, arguments...)...).Output()
	if err != nil {
		s.t.Fatalf("git %v: %v", arguments, err)
	}
	return strings.TrimSpace(string(out))
}

// authorization is how the token is shown to an endpoint.
func (s *assault) authorization(endpoint string) string {
	if endpoint == "git" {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+s.token))
	}
	return "Authorization: Bearer " + s.token
}

// send makes an attempt to its end, and returns the status of a request; 0:
// none came.
func (s *assault) send(a *attack) int {
	s.t.Helper()
	if a.git != nil {
		s.push(a)
		return 0
	}
	c, err := s.dial(a.endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	body := strings.ReplaceAll(a.body, "OLD", s.commit)
	if plain, compressed := strings.CutPrefix(body, "GZIP "); compressed {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write([]byte(plain))
		if err := errors.Join(err, z.Close()); err != nil {
			s.t.Fatal(err)
		}
		body = packed.String()
	}
	host := strings.TrimPrefix(strings.TrimPrefix(s.urls[a.endpoint], "http://"), "https://")
	request := a.method + " " + a.target + " HTTP/1.1\r\nHost: " + host + "\r\n" + s.authorization(a.endpoint) + "\r\nConnection: close\r\n"
	for _, h := range a.headers {
		request += h + "\r\n"
	}
	if !strings.Contains(request, "\r\nContent-Length:") {
		request += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(request + "\r\n" + body)); err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = bytes.NewBuffer(nil).ReadFrom(answer.Body) // so that the other side is done
	return answer.StatusCode
}

// push runs a command of git, in an empty repository of the agent's own.
func (s *assault) push(a *attack) {
	s.t.Helper()
	arguments := []string{"-c", "http.extraHeader=" + s.authorization("git"), "-c", "http.sslCAInfo=" + s.authority}
	for _, one := range a.git {
		if one == "REMOTE" {
			one = strings.Replace(s.urls["git"], "127.0.0.1:"+portOf(s.address), "localhost:"+portOf(s.address), 1) + "/acme/docs.git"
		}
		arguments = append(arguments, one)
	}
	own := filepath.Join(s.dir, "own")
	_ = os.RemoveAll(own)
	for _, args := range [][]string{
		{"init", "--quiet", own},
		{"-C", own, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "-m", "a"},
	} {
		if out, err := s.agentGit(args...).CombinedOutput(); err != nil {
			s.t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	_ = s.agentGit(append([]string{"-C", own}, arguments...)...).Run() // what became of it is looked for elsewhere
}

func (s *assault) agentGit(arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "git", arguments...)
	cmd.Env = append(s.environ(), "GIT_TERMINAL_PROMPT=0")
	return cmd
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// restore puts every branch back.
func (s *assault) restore() {
	s.t.Helper()
	for _, b := range story.Branches() {
		s.git("update-ref", "refs/heads/"+b, s.commit)
	}
}

func (s *assault) there(branch string) bool {
	return slices.Contains(strings.Fields(s.git("for-each-ref", "--format=%(refname:short)", "refs/heads/")), branch)
}

// decisions are those on record.
func (s *assault) decisions() []story.Decision {
	s.t.Helper()
	text, err := os.ReadFile(s.file("audit.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := story.Decisions(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// breaches says what of an assault got through: requests that the upstream saw
// and that nobody may make, or that are not on record as allowed, and branches
// that are missing.
func (s *assault) breaches() (found []string) {
	allowed := map[string]int{}
	for _, d := range s.decisions() {
		if d.Verdict == "Allow" {
			allowed[d.Method+" "+d.Path]++
		}
	}
	for _, e := range s.log.Entries() {
		request := e.Method + " " + e.Path
		if allowed[request]--; allowed[request] < 0 || story.Forbidden(e) || !e.Authorized {
			found = append(found, fmt.Sprintf("%s %v", request, e.Does))
		}
	}
	for _, b := range story.Branches() {
		if !s.there(b) && !strings.HasPrefix(b, "agent/") {
			found = append(found, "branch "+b)
		}
	}
	return found
}

// TestAttacksAreReal is the control of the attacks: for who holds the key each
// does what the table says, on a server that reads as most do.
func TestAttacksAreReal(t *testing.T) {
	s := besiege(t)
	for name, a := range attacks {
		s.restore()
		status := s.send(&a)
		if gone := !s.there("release-1.0"); gone != a.works {
			t.Errorf("%s: the branch is gone: %t, want %t (%d)", name, gone, a.works, status)
		}
	}
}

// TestAttacks tries the story's attack by every route and in disguise. The
// upstream sees nothing of it, each attempt is on record, and the agent's
// allowed work goes on in the same run.
func TestAttacks(t *testing.T) {
	s := besiege(t)
	s.guard(story.Scope)
	before := 0
	for name, a := range attacks {
		status := s.send(&a)
		denied := 0
		for _, d := range s.decisions() {
			if d.Verdict != "Allow" {
				denied++
			}
		}
		if denied == before {
			t.Errorf("%s: nothing is on record of it (%d)", name, status)
		}
		before = denied
	}
	for name, a := range map[string]attack{
		"rest":    rest(true, "DELETE", "/repos/acme/docs/git/refs/heads/agent/tmp"),
		"tool":    call(true, `{"owner":"acme","repo":"docs","branch":"agent/draft"}`),
		"graphql": document(true, `{"query":"{repository(owner:\"acme\",name:\"docs\"){refs(refPrefix:\"refs/heads/\",first:9){nodes{id name}}}}"}`),
		"git":     command(true, "push", "REMOTE", "HEAD:refs/heads/agent/new"),
	} {
		if status := s.send(&a); a.git == nil && status/100 != 2 {
			t.Errorf("allowed work over %s is answered %d", name, status)
		}
	}
	for branch, want := range map[string]bool{"agent/tmp": false, "agent/draft": false, "agent/new": true} {
		if s.there(branch) != want {
			t.Errorf("after the allowed work, %s is there: %t", branch, !want)
		}
	}
	if diff := cmp.Diff([]string(nil), s.breaches()); diff != "" {
		t.Errorf("what got through (-want +got):\n%s", diff)
	}
}

// TestAttacksAreSeen is the control of the check: where the scope is too wide by
// one door, it sees what gets through that.
func TestAttacksAreSeen(t *testing.T) {
	for name, test := range map[string]struct {
		changes []string
		attack  string
	}{
		"rest":    {openREST, "rest, encoded letter"},
		"git":     {openGit, "refspec, short"},
		"graphql": {openGraphQL, "graphql, fragment"},
		"mcp":     {openMCP, "tool"},
	} {
		t.Run(name, func(t *testing.T) {
			s := besiege(t)
			s.guard(widened(t, test.changes...))
			a := attacks[test.attack]
			s.send(&a)
			found := strings.Join(s.breaches(), "\n")
			if !strings.Contains(found, "[delete refs/heads/release-1.0]") || !strings.Contains(found, "branch release-1.0") {
				t.Errorf("the check saw %q", found)
			}
		})
	}
}
