//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/kube"
)

// TestManagerAway takes every replica of the manager away for longer than a
// token lives. An agent is served by the last scope until the lease ends, and
// refused then; it is served again once there is a manager, by the same sidecar.
func TestManagerAway(t *testing.T) {
	p := newProbe("away")
	p.Lifetime = "90s" // time enough for the manager to go
	p.start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	before := p.pod(t)
	replicas, err := world.Cluster.Run(t.Context(), "get", "-n", "sallyport-system", manager, "-o", "jsonpath={.spec.replicas}")
	if err != nil {
		t.Fatal(err)
	}
	back := func(ctx context.Context) {
		scale(ctx, t, replicas)
		if _, err := world.Cluster.Run(ctx, "rollout", "status", "-n", "sallyport-system", manager, "--timeout=180s"); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { back(context.WithoutCancel(t.Context())) }) // whatever happens here: others need it
	scale(t.Context(), t, "0")
	waitFor(t, soon, "the manager's pods to be gone", func(ctx context.Context) error {
		out, err := world.Cluster.Run(ctx, "get", "pods", "-n", "sallyport-system", "-l", "app.kubernetes.io/component=controller", "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("there are %s", out)
		}
		return err
	})
	p.until(t, "GET", readable, http.StatusOK, "main")
	waitFor(t, 3*time.Minute, "the lease to end", func(ctx context.Context) error {
		got, err := p.send(ctx, "GET", readable)
		if err == nil && (got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "LeaseExpired")) {
			err = fmt.Errorf("the answer was %d %s", got.status, got.body)
		}
		return err
	})
	back(t.Context())
	p.until(t, "GET", readable, http.StatusOK, "main")
	after := p.pod(t)
	was, err := sidecar(&before)
	if err != nil {
		t.Fatal(err)
	}
	is, err := sidecar(&after)
	if err != nil {
		t.Fatal(err)
	}
	if before.UID != after.UID || was.ContainerID != is.ContainerID {
		t.Errorf("the sidecar is not the one of before: %+v, then %+v", was, is)
	}
}

const manager = "deployment/sallyport-controller"

func scale(ctx context.Context, t *testing.T, replicas string) {
	t.Helper()
	if _, err := world.Cluster.Run(ctx, "scale", "-n", "sallyport-system", manager, "--replicas="+replicas); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, within time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	if err := kube.Until(t.Context(), within, what, check); err != nil {
		t.Fatal(err)
	}
}
