// Package peers starts the proxies of a benchmark. All are told to do the same
// work: take the agent's token, hold method and path against what is allowed,
// put the real key in the token's place, verify the upstream's certificate
// where there is one, judge the JSON that is uploaded to /records where they can
// read it, and keep connections on both sides.
package peers

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/hack/bench/isolate"
)

//go:embed haproxy.cfg nginx.conf sallyport.yaml
var configs embed.FS

// Setup is what a proxy is told.
type Setup struct {
	Dir      string         // of its files
	Listen   netip.AddrPort // set by Start
	Upstream netip.AddrPort
	CA       string // PEM: whom the upstream is verified by; empty: it is asked by HTTP
	Token    string // of the agent
	Key      string // in its place
	Streams  bool   // events are asked for: HAProxy holds back what goes on, unless told otherwise
	Logs     bool   // a line is written of each request; set by Start
	Grants   int    // further ones that match nothing that is asked; of Sallyport alone

	Sidecar string  // path of the program
	Broker  *Broker `json:"-"` // of the sidecar
}

// Host is the name of the upstream.
func (s Setup) Host() string { return isolate.UpstreamName }

// Port is that of the upstream.
func (s Setup) Port() int { return int(s.Upstream.Port()) }

// CAFile is where CA is while a proxy runs.
func (s Setup) CAFile() string { return filepath.Join(s.Dir, "ca.pem") }

// Audit is where the records are, of the proxies that write any.
func (s Setup) Audit() string { return filepath.Join(s.Dir, "audit.jsonl") }

// Authority is host and port as requests have them.
func (s Setup) Authority() string {
	if s.Port() == 80 && s.CA == "" || s.Port() == 443 && s.CA != "" {
		return s.Host()
	}
	return net.JoinHostPort(s.Host(), strconv.Itoa(s.Port()))
}

// URL is the upstream's.
func (s Setup) URL() string {
	if s.CA == "" {
		return "http://" + s.Authority()
	}
	return "https://" + s.Authority()
}

// Peer is one proxy.
type Peer struct {
	Name string
	// Logs says that it writes a line of each request, as the sidecar must.
	Logs bool
	// Reads says that it looks into JSON that goes to /records, as the sidecar does.
	Reads bool
	// command readies what the proxy needs, and returns how it is started.
	command func(ctx context.Context, s Setup) (command, error)
}

type command struct {
	args []string
	env  []string // nil: that of this process
}

// The names that reports look for.
const (
	HAProxy   = "HAProxy"
	Silent    = "HAProxy, no log"
	Sallyport = "Sallyport"
)

// All are the proxies, in the order of reports.
var All = []Peer{
	{HAProxy, true, true, haproxy},
	{Silent, false, true, haproxy},
	{"nginx", true, false, func(_ context.Context, s Setup) (command, error) {
		f, err := s.render("nginx.conf")
		return command{args: []string{"nginx", "-e", filepath.Join(s.Dir, "error.log"), "-c", f}}, err
	}},
	{"httputil.ReverseProxy", true, true, reverseProxy},
	{Sallyport, true, true, sidecar},
}

func haproxy(_ context.Context, s Setup) (command, error) {
	f, err := s.render("haproxy.cfg")
	args := []string{"haproxy", "-db", "-f", f}
	if !s.Logs {
		args = append(args, "-q") // which closes the standard output
	}
	return command{args: args}, err
}

func (s Setup) render(name string) (string, error) {
	text, err := s.rendered(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

func (s Setup) rendered(name string) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"quote": strconv.Quote}).ParseFS(configs, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// Running is a proxy that was started.
type Running struct {
	Process *os.Process
	Addr    netip.AddrPort
	Started time.Time // just before it was
	stop    func()
}

// Stop ends the proxy and waits until it has.
func (r *Running) Stop() { r.stop() }

// Start starts p on one processor. It is to be stopped.
func (p Peer) Start(ctx context.Context, s Setup, cpu int) (*Running, error) {
	var err error
	if s.Listen, err = freePort(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.CAFile(), []byte(s.CA), 0o600); err != nil {
		return nil, err
	}
	s.Logs = p.Logs
	what, err := p.command(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("readying %s: %w", p.Name, err)
	}
	log := ""
	if p.Logs {
		log = s.Audit()
	}
	cmd, err := what.start(ctx, cpu, log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	cmd.Addr = s.Listen
	return cmd, nil
}

// start runs c on one processor. What it writes of requests is collected in a file;
// without one nothing is.
func (c command) start(ctx context.Context, cpu int, file string) (*Running, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu)}, c.args...)...)
	cmd.Env, cmd.Stderr = c.env, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var log bytes.Buffer // on stderr there is what is no news here
	collected := func() error { return nil }
	if file != "" {
		pipe, wait, err := collect(file)
		if err != nil {
			cancel()
			return nil, err
		}
		defer func() { _ = pipe.Close() }() // the process has its own
		cmd.Stdout, cmd.Stderr, collected = pipe, &log, wait
	}
	r := &Running{Started: time.Now()}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	r.Process = cmd.Process
	r.stop = func() {
		cancel()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() > 0 {
			fmt.Fprintf(os.Stderr, "%s ended with %v\n%s", c.args[0], err, log.String())
		}
		if err := collected(); err != nil {
			fmt.Fprintln(os.Stderr, "collecting what the proxy wrote:", err)
		}
	}
	return r, nil
}

// collect starts a process that copies what is written to the pipe into a file, as
// a container runtime does with the output of a pod. It ends with the last writer.
func collect(file string) (pipe *os.File, wait func() error, err error) {
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = to.Close() }() // the process has its own
	from, pipe, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = from.Close() }() // likewise
	// HAProxy drops what a full pipe does not take.
	if _, err := unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, 1<<20); err != nil {
		return nil, nil, errors.Join(err, pipe.Close())
	}
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = from, to, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, pipe.Close())
	}
	return pipe, cmd.Wait, nil
}

// Await waits until the proxy refuses what is out of scope: until then it may
// be that it has no configuration yet.
func (r *Running) Await(ctx context.Context, token string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr.String()+"/refused", http.NoBody)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		if answer, err := client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusForbidden {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return errors.New("it did not start within 10 s: see its messages above")
		case <-tick.C:
		}
	}
}

func freePort() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("choosing a port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).AddrPort(), l.Close()
}

func (s Setup) write(name string) (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, text, 0o600)
}
