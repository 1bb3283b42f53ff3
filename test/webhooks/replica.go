package webhooks

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/test/fleet"
)

// What the webhook puts into pods.
const (
	sidecarImage = "sidecar@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	broker       = "sallyport-broker." + fleet.Namespace + ".svc:9443"
)

// probeEvery is the ProbeEvery of tests.
const probeEvery = 100 * time.Millisecond

// Replica is a process of `manager webhook`.
type Replica struct {
	address, health string
	cmd             *exec.Cmd
	said            said
	ready           atomic.Bool
	connections     atomic.Int64
	ended           chan struct{}
	err             error // behind ended
}

// said is what a process printed.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Replica starts one and makes it a part of the service. It need not be ready
// yet.
func (c *Cluster) Replica() (*Replica, error) {
	r := &Replica{ended: make(chan struct{})}
	if err := freeAddresses(&r.address, &r.health); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(r.address) // of a listener
	r.cmd = exec.Command(c.program(), "webhook", "--sidecar-image="+sidecarImage, "--broker="+broker,
		"--cert-dir="+c.certDir(), "--host="+host, "--port="+port, "--health-address="+r.health)
	r.cmd.Env = []string{"KUBECONFIG=" + c.kubeconfig()}
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	return r, c.begin(r)
}

// freeAddresses finds some that nobody listens on just now.
func freeAddresses(all ...*string) error {
	for _, address := range all {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("finding a port: %w", err)
		}
		*address = l.Addr().String()
		defer func() { _ = l.Close() }() // once all are found, so that they differ
	}
	return nil
}

func (c *Cluster) begin(r *Replica) error {
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("starting a replica: %w", err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	go r.probe(c.ProbeEvery)
	c.service.add(r)
	return nil
}

// probe asks a replica whether it is ready, as a kubelet does, until it ends.
func (r *Replica) probe(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-r.ended:
			r.ready.Store(false)
			return
		case <-tick.C:
			r.ready.Store(r.answers())
		}
	}
}

// prober reaches replicas, and no proxy of the environment.
var prober = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (r *Replica) answers() bool {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+r.health+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := prober.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Ready tells whether the service sends connections to it.
func (r *Replica) Ready() bool { return r.ready.Load() }

// Connections counts those that it got.
func (r *Replica) Connections() int64 { return r.connections.Load() }

// Said is what it printed.
func (r *Replica) Said() string { return r.said.String() }

// Stop asks it to end, as a kubelet does.
func (r *Replica) Stop() error { return r.cmd.Process.Signal(syscall.SIGTERM) }

// Ended tells whether it has, and how.
func (r *Replica) Ended() (bool, error) {
	select {
	case <-r.ended:
		return true, r.err
	default:
		return false, nil
	}
}

func (r *Replica) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.ended
}
