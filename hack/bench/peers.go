package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed peers
var configs embed.FS

// setup is what all proxies of a run are told.
type setup struct {
	Dir, Token, Key, Host string
	Upstream, Listen      int
	binary                string
	engine                *engine
}

// peer is one proxy. start returns the arguments that serve on s.Listen, or
// that write a ready file.
type peer struct {
	name string
	args func(s *setup) ([]string, error)
}

const (
	haproxy   = "HAProxy"
	sallyport = "Sallyport"
)

var peers = []peer{
	{haproxy, func(s *setup) ([]string, error) {
		f, err := s.render("haproxy.cfg")
		return []string{"haproxy", "-db", "-q", "-f", f}, err
	}},
	{"nginx", func(s *setup) ([]string, error) {
		f, err := s.render("nginx.conf")
		return []string{"nginx", "-e", filepath.Join(s.Dir, "error.log"), "-c", f}, err
	}},
	{"httputil.ReverseProxy", func(s *setup) ([]string, error) {
		self, err := os.Executable()
		return []string{self, reverseProxyVerb, "127.0.0.1:" + strconv.Itoa(s.Listen), "127.0.0.1:" + strconv.Itoa(s.Upstream), s.Token}, err
	}},
	{sallyport, func(s *setup) ([]string, error) {
		f, err := s.render("sallyport.yaml")
		return []string{s.binary, "run", "-f", f, "--ready-file", s.ready(), "--audit-file", s.audit(),
			"--connect-to", s.Host + ":80=127.0.0.1:" + strconv.Itoa(s.Upstream)}, err
	}},
}

func (s *setup) ready() string { return filepath.Join(s.Dir, "ready.json") }
func (s *setup) audit() string { return filepath.Join(s.Dir, "audit.jsonl") }

func (s *setup) render(name string) (string, error) {
	t, err := template.ParseFS(configs, "peers/"+name)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, out.Bytes(), 0o600)
}

// start runs p on one processor and returns where it listens and what token
// it takes. The process ends with ctx.
func (p peer) start(ctx context.Context, s *setup, cpu int) (cmd *exec.Cmd, addr, token string, err error) {
	if s.Listen, err = freePort(); err != nil {
		return nil, "", "", err
	}
	_ = os.Remove(s.ready())
	_ = os.Remove(s.audit())
	args, err := p.args(s)
	if err != nil {
		return nil, "", "", err
	}
	cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu)}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, "", "", fmt.Errorf("starting: %w", err)
	}
	addr, token = "127.0.0.1:"+strconv.Itoa(s.Listen), s.Token
	if p.name == sallyport {
		addr, token, err = awaitReady(ctx, s.ready())
	} else {
		err = awaitListener(ctx, addr)
	}
	return cmd, addr, token, err
}

// agentToken makes a token for the others that is as long as the one that
// Sallyport gives an agent: all read the same bytes.
func agentToken(ctx context.Context, s *setup, cpu int) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	i := slices.IndexFunc(peers, func(p peer) bool { return p.name == sallyport })
	cmd, _, token, err := peers[i].start(ctx, s, cpu)
	if cmd != nil {
		stop()
		_ = cmd.Wait()
	}
	return strings.Repeat("t", len(token)), err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("choosing a port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func awaitListener(ctx context.Context, addr string) error {
	return poll(ctx, func() bool {
		c, err := net.Dial("tcp", addr)
		return err == nil && c.Close() == nil
	})
}

func awaitReady(ctx context.Context, path string) (addr, token string, err error) {
	var file struct {
		Credentials []struct {
			Token     string
			Endpoints []struct{ URL string }
		}
	}
	err = poll(ctx, func() bool {
		b, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(b, &file) == nil
	})
	if err != nil {
		return "", "", err
	}
	c := file.Credentials[0]
	return strings.TrimPrefix(c.Endpoints[0].URL, "http://"), c.Token, nil
}

func poll(ctx context.Context, done func() bool) error {
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return errors.New("it did not start within 10 s: see its messages above")
		case <-tick.C:
			if done() {
				return nil
			}
		}
	}
}

const reverseProxyVerb = "reverse-proxy"

// serveReverseProxy is the standard library's proxy with the same work.
func serveReverseProxy(ctx context.Context, listen, upstream, token string) error {
	allowed := regexp.MustCompile(`^/repos/acme/(web|api|docs)/[^/]+$`)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", upstream, host
			r.Out.Header.Set("Authorization", "Bearer the-real-key")
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}
	s := &http.Server{Addr: listen, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method != http.MethodGet || !allowed.MatchString(r.URL.Path):
			w.WriteHeader(http.StatusForbidden)
		default:
			proxy.ServeHTTP(w, r)
		}
	})}
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
