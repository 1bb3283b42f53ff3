package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // for -debug
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sallyport-dev/sallyport/test/fleet"
)

// access is what a process needs to reach the API server.
type access struct {
	Host          string
	CA, Cert, Key []byte
}

func (a access) config() *rest.Config {
	// As controller-runtime has it for the manager: the API server is fair.
	return &rest.Config{QPS: -1, Host: a.Host, TLSClientConfig: rest.TLSClientConfig{CAData: a.CA, CertData: a.Cert, KeyData: a.Key}}
}

// beManager is the process that is measured.
func beManager(ctx context.Context, file, address, debug string) error {
	if debug != "" {
		go func() { _, _ = fmt.Fprintln(os.Stderr, http.ListenAndServe(debug, nil)) }()
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading where the API server is: %w", err)
	}
	var a access
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("reading where the API server is: %w", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening for sidecars: %w", err)
	}
	return (&fleet.Manager{Config: a.config(), Leads: true, Listener: l}).Run(ctx)
}

// process is a manager that runs.
type process struct {
	cmd     *exec.Cmd
	address string
	debug   string // where it is profiled
	file    string
	stderr  bytes.Buffer
}

// startManager starts one at address, which is free.
func startManager(ctx context.Context, dir string, config *rest.Config, address, debug string) (*process, error) {
	p := &process{address: address, debug: debug, file: filepath.Join(dir, "access.json")}
	text, err := json.Marshal(access{Host: config.Host, CA: config.CAData, Cert: config.CertData, Key: config.KeyData})
	if err != nil {
		return nil, fmt.Errorf("writing where the API server is: %w", err)
	}
	if err := os.WriteFile(p.file, text, 0o600); err != nil {
		return nil, fmt.Errorf("writing where the API server is: %w", err)
	}
	return p, p.start(ctx)
}

func (p *process) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding ourselves: %w", err)
	}
	p.cmd = exec.CommandContext(ctx, self, "-manager", p.file, "-address", p.address, "-debug", p.debug)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting the manager: %w", err)
	}
	return nil
}

// stop asks it to end, as a kubelet does, and waits.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the manager: %w", err)
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("stopping the manager: %w: %s", err, p.stderr.String())
	}
	return nil
}

// memory is what it holds now and held at most, in MiB.
func (p *process) memory() (now, most int, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0, 0, fmt.Errorf("reading the manager's memory: %w", err)
	}
	return kib(string(text), "VmRSS:") / 1024, kib(string(text), "VmHWM:") / 1024, nil
}

func kib(status, name string) (n int) {
	for line := range strings.Lines(status) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ = strconv.Atoi(fields[1]) // the kernel writes numbers
		}
	}
	return n
}

// freeAddress is one that nobody listens on just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// poll asks until the answer is yes.
func poll(ctx context.Context, what string, wanted func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// report writes a line of the report.
func report(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

// profile writes what manager and sidecars do for so long into dir, and what
// the manager's memory is.
func (p *process) profile(dir string, length time.Duration) (wait func() error, err error) {
	own, err := os.Create(filepath.Join(dir, "sidecars.cpu"))
	if err != nil {
		return nil, fmt.Errorf("profiling: %w", err)
	}
	if err := pprof.StartCPUProfile(own); err != nil {
		return nil, fmt.Errorf("profiling: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		err := errors.Join(p.fetch(fmt.Sprintf("profile?seconds=%d", int(length.Seconds())), filepath.Join(dir, "manager.cpu")),
			p.fetch("heap?gc=1", filepath.Join(dir, "manager.heap")))
		pprof.StopCPUProfile() // which writes: the file is closed behind it
		done <- err
	}()
	return func() error { return errors.Join(<-done, own.Close()) }, nil
}

func (p *process) fetch(what, file string) error {
	response, err := http.Get("http://" + p.debug + "/debug/pprof/" + what)
	if err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	return os.WriteFile(file, text, 0o600)
}
