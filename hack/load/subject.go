package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/hack/load/bystander"
)

//go:embed manifests.yaml
var manifests string

const host = "upstream.load.svc"

// subject is the process under load.
type subject struct {
	cmd     *exec.Cmd
	good    access             // of well-behaved agents
	rude    access             // of hostile ones
	other   bystander.Question // of the bystander
	records atomic.Int64       // of decisions on all but hostile agents
	reading chan struct{}
}

// access is what a credential gives an agent.
type access struct {
	token     string
	addresses []string // of its listeners, one for each endpoint
}

// startSubject runs the data plane on the manifests, with an authority for the
// upstream, and what it connects to at ports of this machine. It ends with ctx.
func startSubject(ctx context.Context, binary, dir, authority string, ports map[string]int, stderr io.Writer) (*subject, error) {
	file, ready := filepath.Join(dir, "manifests.yaml"), filepath.Join(dir, "ready.json")
	text := strings.ReplaceAll(manifests, "AUTHORITY", strconv.Quote(authority))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing manifests: %w", err)
	}
	args := []string{"run", "-f", file, "--ready-file", ready}
	for name, port := range ports {
		args = append(args, "--connect-to", name+"=127.0.0.1:"+strconv.Itoa(port))
	}
	cmd := command(ctx, binary, args)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	// What reads the records shares a processor with all the load: it is late at times.
	if _, err := unix.FcntlInt(said.(*os.File).Fd(), unix.F_SETPIPE_SZ, 1<<20); err != nil {
		return nil, fmt.Errorf("enlarging the pipe of records: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	s := &subject{cmd: cmd, reading: make(chan struct{})}
	go s.count(said, stderr)
	return s, s.await(ctx, ready)
}

// count counts the records, which are written to standard error, but those of
// hostile agents, of whose requests nobody knows how many arrive. It passes all
// else on.
func (s *subject) count(said io.Reader, others io.Writer) {
	defer close(s.reading)
	const longest = 64 << 10
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(`"event":"decision"`)) {
			if !bytes.Contains(lines.Bytes(), []byte(`"credential":"load/hostile"`)) {
				s.records.Add(1)
			}
		} else if !bytes.Contains(lines.Bytes(), []byte(`"event":`)) {
			_, _ = fmt.Fprintf(others, "%s\n", lines.Bytes())
		}
	}
}

// credential is one that the ready file tells of.
type credential struct {
	Name      string
	Token     string
	Endpoints []struct{ URL string }
}

// take gives a credential to those whose it is.
func (s *subject) take(c credential) {
	a := access{token: c.Token}
	for _, e := range c.Endpoints {
		a.addresses = append(a.addresses, strings.TrimPrefix(e.URL, "http://"))
	}
	switch c.Name {
	case "bystander":
		s.other.Token, s.other.Base = c.Token, c.Endpoints[0].URL
	case "hostile":
		s.rude = a
	default:
		s.good = a
	}
}

func (s *subject) await(ctx context.Context, ready string) error {
	var is struct{ Credentials []credential }
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		text, err := os.ReadFile(ready)
		if err == nil {
			tick.Stop()
			if err := json.Unmarshal(text, &is); err != nil {
				return fmt.Errorf("reading the ready file: %w", err)
			}
			for _, c := range is.Credentials {
				s.take(c)
			}
			return nil
		}
		select {
		case <-s.reading:
			tick.Stop()
			return fmt.Errorf("the data plane ended: %w", s.cmd.Wait())
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stop ends the process and waits for all it wrote.
func (s *subject) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	<-s.reading
	exit := (*exec.ExitError)(nil)
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// resident is its memory, in bytes.
func (s *subject) resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// descriptors counts what it has open.
func (s *subject) descriptors() (int, error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	return len(open), err
}
