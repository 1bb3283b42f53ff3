package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// The control is what the machine takes to send as many bytes to as many
// HTTP/2 streams over TLS, each on a connection of its own, from one process to
// another, with nothing judged: the rest is ours.

// fan is the sending end.
type fan struct {
	mu      sync.Mutex
	streams []chan []byte
}

func (f *fan) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/open":
		lines := make(chan []byte, 1)
		f.mu.Lock()
		f.streams = append(f.streams, lines)
		f.mu.Unlock()
		control := http.NewResponseController(w)
		for {
			_ = control.Flush() // whoever is not there to read it misses nothing
			select {
			case <-r.Context().Done():
				return
			case line := <-lines:
				_, _ = w.Write(line)
			}
		}
	case "/send":
		line, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.streams {
			s <- line
		}
	}
}

// beFan is the process of the sending end.
func beFan(ctx context.Context, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for the control: %w", err)
	}
	s := httptest.NewUnstartedServer(&fan{})
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // whoever looks whether it listens says nothing
	_ = s.Listener.Close()
	s.Listener = l
	s.StartTLS()
	<-ctx.Done()
	s.CloseClientConnections()
	s.Close()
	return nil
}

// ears are the receiving ends.
type ears struct {
	address string
	roots   *x509.CertPool

	mu    sync.Mutex
	heard []time.Time
}

func (e *ears) transport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{RootCAs: e.roots, MinVersion: tls.VersionTLS13}}
}

func (e *ears) post(ctx context.Context, t *http.Transport, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+e.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	return t.RoundTrip(request)
}

// listen opens one stream and notes when a line is there.
func (e *ears) listen(ctx context.Context, opened func(error)) {
	response, err := e.post(ctx, e.transport(), "/open", nil)
	opened(err)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	for r := bufio.NewReaderSize(response.Body, 16<<10); ; {
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
		now := time.Now()
		e.mu.Lock()
		e.heard = append(e.heard, now)
		e.mu.Unlock()
	}
}

// control sends size bytes to every one of n streams, and returns when each had
// them.
func (p *plan) control(ctx context.Context, size int, out io.Writer) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding ourselves: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-fan", address)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the control: %w", err)
	}
	defer func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }()
	some := httptest.NewTLSServer(nil) // all of these have one certificate
	defer some.Close()
	e := &ears{address: address, roots: x509.NewCertPool()}
	e.roots.AddCert(some.Certificate())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := poll(ctx, "the control listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}); err != nil {
		return err
	}
	if err := e.open(ctx, p.sidecars); err != nil {
		return err
	}
	return e.measure(ctx, p, append(bytes.Repeat([]byte("x"), size-1), '\n'), out)
}

// open opens n streams, some at a time.
func (e *ears) open(ctx context.Context, n int) error {
	opened := make(chan error, n)
	for i := range n + creators {
		if i < n {
			go e.listen(ctx, func(err error) { opened <- err })
		}
		if i < creators {
			continue
		}
		if err := <-opened; err != nil {
			return fmt.Errorf("opening a stream of the control: %w", err)
		}
	}
	return nil
}

func (e *ears) measure(ctx context.Context, p *plan, line []byte, out io.Writer) error {
	var p50s, p99s []time.Duration
	sender := e.transport()
	for range p.rounds {
		if err := pause(ctx, p.rest); err != nil {
			return err
		}
		e.mu.Lock()
		e.heard = nil
		e.mu.Unlock()
		begun := time.Now()
		response, err := e.post(ctx, sender, "/send", line)
		if err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		_ = response.Body.Close()
		var times []time.Duration
		if err := poll(ctx, "every stream of the control has heard", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			times = nil
			for _, t := range e.heard {
				times = append(times, t.Sub(begun))
			}
			return len(times) == p.sidecars
		}); err != nil {
			return err
		}
		slices.Sort(times)
		p50s, p99s = append(p50s, at(times, 50)), append(p99s, at(times, 99))
	}
	report(out, "control, %d bytes to as many streams with nothing judged, median of %d rounds: p50 %s, p99 %s (p50 of each: %v)",
		len(line), p.rounds, median(p50s), median(p99s), p50s)
	return nil
}
