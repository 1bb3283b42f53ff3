package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/test/story"
	github "github.com/sallyport-dev/sallyport/test/upstream"
)

// act is the story as it is played once: a fresh upstream and an agent.
type act struct {
	demo       *demo
	dir        string
	address    string // of the upstream
	authority  string // file with the CA that its certificate is from
	repository string
	log        github.Log
	printed    *os.File // by the agent, as it was meant
	complained *os.File // by the agent otherwise, and by the data plane
}

// play plays one act: agent leads the agent to the upstream in one way or the
// other.
func (d *demo) play(ctx context.Context, name string, agent func(*act, context.Context, []string) error) (*story.Act, error) {
	a := &act{demo: d, dir: filepath.Join(d.dir, name)}
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	defer a.close()
	if err := a.prepare(); err != nil {
		return nil, fmt.Errorf("preparing the agent: %w", err)
	}
	stop, err := a.serve(ctx)
	if err != nil {
		return nil, err
	}
	err = agent(a, ctx, a.environ())
	stop()
	var ended *commandEnded
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !errors.As(err, &ended):
		return nil, err
	case ended.status != 0:
		said, _ := os.ReadFile(a.complained.Name()) // the status is what counts
		return nil, fmt.Errorf("the agent ended with status %d, having said:\n%s", ended.status, said)
	}
	return a.story(ctx)
}

// prepare makes the files that the agent is read from and writes to.
func (a *act) prepare() (err error) {
	if a.printed, err = os.Create(a.file("printed")); err != nil {
		return err
	}
	if a.complained, err = os.Create(a.file("complained")); err != nil {
		return err
	}
	return os.WriteFile(a.file("agent.sh"), []byte(story.Agent), 0o600)
}

func (a *act) close() {
	for _, file := range []*os.File{a.printed, a.complained} {
		_ = file.Close() // read by name by now, or nobody's business any more
	}
}

func (a *act) file(name string) string { return filepath.Join(a.dir, name) }

// serve makes the repository and starts the upstream. Once it is stopped, its
// log is whole.
func (a *act) serve(ctx context.Context) (stop func(), err error) {
	if a.repository, err = github.MakeRepository(ctx, a.dir, story.Repository, story.Branches()...); err != nil {
		return nil, err
	}
	certificate, authority, err := github.Certificate(append(slices.Clone(hosts), "localhost")...)
	if err != nil {
		return nil, err
	}
	a.authority = a.file("ca.pem")
	if err := os.WriteFile(a.authority, authority, 0o600); err != nil {
		return nil, fmt.Errorf("writing the authority: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the upstream: %w", err)
	}
	a.address = l.Addr().String()
	u := &github.Server{Root: a.dir, Key: a.demo.key, Issue: story.Issue, Record: a.log.Record}
	server := &http.Server{
		Handler: u.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
	}
	go func() { _ = server.ServeTLS(l, "", "") }() // until it is closed
	return func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
		defer cancel()
		_ = server.Shutdown(limit) // what is still under way then is cut off with the process
	}, nil
}

// environ is what both agents have: nothing of the user's own settings, which
// would make it another agent.
func (a *act) environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + a.dir, "TMPDIR=" + a.dir, "GIT_CONFIG_NOSYSTEM=1",
	}
}

// command plays the agent, and leaves its environment in a file.
func (a *act) command() []string {
	return []string{"sh", "-c", `env >"$1" && exec sh "$2"`, "sh", a.file("environment"), a.file("agent.sh")}
}

// hosts are those of the endpoints that the story's upstream stands for.
var hosts = []string{"api.github.com", "github.com", "mcp.github.example"}

// unguarded gives the agent the real key, and the way to the upstream. git has
// the key as a user would give it.
func (a *act) unguarded(ctx context.Context, environ []string) error {
	_, port, err := net.SplitHostPort(a.address)
	if err != nil {
		return err
	}
	url := "https://localhost:" + port
	basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + a.demo.key))
	environ = append(environ,
		"GITHUB_API_URL="+url, "GITHUB_GRAPHQL_URL="+url+"/graphql", "GITHUB_MCP_URL="+url+github.MCPPath,
		"GITHUB_SERVER_URL="+url, "GITHUB_TOKEN="+a.demo.key,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http."+url+"/.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+basic,
		"CURL_CA_BUNDLE="+a.authority, "GIT_SSL_CAINFO="+a.authority)
	return runCommand(ctx, a.command(), environ, nil, a.printed, a.complained)
}

// guarded is `sallyport run` with the agent as its COMMAND. The key reaches it
// by the standard input, as a Secret among the manifests. git is told the
// address of GitHub itself.
func (a *act) guarded(ctx context.Context, environ []string) error {
	o, err := a.options(a.demo.scope)
	if err != nil {
		return err
	}
	o.command, o.stdout, o.stderr = a.command(), a.printed, a.complained
	return o.run(ctx, append(environ, "GITHUB_SERVER_URL=https://github.com"))
}

// options are those of a `sallyport run` with a scope, in front of the upstream.
func (a *act) options(scope string) (*runOptions, error) {
	key, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata":   map[string]string{"name": "github-token", "namespace": "sallyport-secrets"},
		"stringData": map[string]string{"token": a.demo.key},
	})
	if err != nil {
		return nil, err
	}
	manifests := strings.Join([]string{string(key), story.Upstream, scope}, "\n---\n")
	o := &runOptions{
		client: clientBaseURL,
		files:  []string{"-"}, stdin: strings.NewReader(manifests),
		auditFile: a.file("audit.jsonl"), upstreamCA: a.authority,
	}
	for _, host := range hosts {
		o.connectTo = append(o.connectTo, host+":443="+a.address)
	}
	return o, nil
}

// story gathers what was seen of the act.
func (a *act) story(ctx context.Context) (*story.Act, error) {
	var texts [4]string
	for i, name := range []string{"printed", "complained", "environment", "audit.jsonl"} {
		text, err := os.ReadFile(a.file(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // without Sallyport nobody keeps a record
			return nil, fmt.Errorf("reading what the agent did: %w", err)
		}
		texts[i] = string(text)
	}
	s := &story.Act{Printed: texts[0] + texts[1], Environment: texts[2], Seen: a.log.Entries()}
	var err error
	if s.Actions, err = story.Actions(texts[0]); err != nil {
		return nil, err
	}
	if s.Branches, err = github.Branches(ctx, a.repository); err != nil {
		return nil, err
	}
	s.Audit, err = story.Decisions([]byte(texts[3]))
	return s, err
}
