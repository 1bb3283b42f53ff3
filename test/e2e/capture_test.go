//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/test/canary"
)

// synced is a buffer that is read while it is written to.
type synced struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestPortCapture ends a sidecar, as running out of memory would, while hostile
// code waits for its port and is faster than its restart. What it gets is the
// token of its own pod; nothing reaches the upstream, the pod shows that its
// sidecar cannot serve, and once the port is let go of all is as before.
func TestPortCapture(t *testing.T) {
	i := newIntruder(t, "capture", 0)
	i.until(t, "GET", readable, http.StatusOK, "main")
	before := i.pod(t)
	handle := strings.TrimSpace(i.handle(t))
	var said synced
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	captured := make(chan error, 1)
	go func() {
		captured <- world.Cluster.Stream(ctx, &said, "exec", "-n", i.Namespace, "deployment/agent", "-c", "agent", "--", "intruder", "capture", "-for=30s", "14400")
	}()
	says := func(text string) func(context.Context) error {
		return func(context.Context) error {
			if out := said.String(); !strings.Contains(out, text) {
				return fmt.Errorf("it said %q", out)
			}
			return nil
		}
	}
	i.await(t, "the intruder to wait", says("waits for"))
	if err := endSidecar(before.UID); err != nil {
		t.Fatal(err)
	}
	i.await(t, "the port to be taken", says("took 127.0.0.1:14400"))
	i.await(t, "the pod to show it", func(ctx context.Context) error {
		out, err := i.conditionOf(ctx, before.Name)
		if err == nil && (!strings.Contains(out, "SidecarRefused") || !strings.Contains(out, "no listener")) {
			err = fmt.Errorf("it shows %s", out)
		}
		return err
	})
	out, err := world.Cluster.Exec(t.Context(), i.Namespace, "deployment/agent", "agent", "bash", "-c",
		`curl -s -m 5 -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL/repos/acme/hostile-`+i.Namespace+`"`)
	if err != nil || out != "captured" {
		t.Errorf("who asks at the port hears %q, %v", out, err)
	}
	i.await(t, "what was asked", says(handle))
	if form := canary.Find(i.Key, said.String()); form != "" {
		t.Errorf("the port shows the key, as %s", form)
	}
	if seen := i.marked(t); len(seen) > 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
	if err := <-captured; err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	i.until(t, "GET", readable, http.StatusOK, "main")
	after := i.pod(t)
	if is, err := sidecar(&after); err != nil || before.UID != after.UID || is.RestartCount != 1 {
		t.Errorf("the sidecar has not gone on by itself: %v, %+v", err, is)
	}
}

// endSidecar ends the sidecar of a pod from the node that this runs on.
func endSidecar(pod types.UID) error {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range processes {
		name, _ := os.ReadFile(filepath.Join(dir, "comm")) // it may have ended
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if strings.TrimSpace(string(name)) != "sidecar" || !strings.Contains(strings.ReplaceAll(string(groups), "_", "-"), string(pod)) {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return err
		}
		return syscall.Kill(id, syscall.SIGKILL)
	}
	return errors.New("the pod's sidecar is no process of this node")
}
