//go:build e2e

// Package e2e holds Sallyport to its promises in a real cluster: pods that the
// kubelet started from images of this commit, the real API server, real git.
// hack/e2e.sh sets the cluster up; without one the tests fail.
package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/stage"
	"github.com/sallyport-dev/sallyport/test/story"
)

// world is the story, played through once; the tests look at what became of it
// and bring agents of their own.
var world struct {
	*stage.Stage
	images        stage.Images
	without, with *story.Act
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	if err := play(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "setting the story up:", err)
		explain(ctx)
		return 1
	}
	code := m.Run()
	if code != 0 {
		explain(ctx)
	}
	return code
}

// play sets the story up afresh and waits until both agents are through.
func play(ctx context.Context) error {
	cluster, err := kube.Find(os.Getenv)
	if err != nil {
		return err
	}
	world.images = stage.Images{Agent: os.Getenv("SALLYPORT_AGENT_IMAGE"), Upstream: os.Getenv("SALLYPORT_UPSTREAM_IMAGE")}
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	if err := strike(ctx, cluster); err != nil {
		return err
	}
	if world.Stage, err = stage.New(cluster, world.images, say); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{world.Upstreams, world.Unguarded, world.Guarded} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if world.without, err = world.Act(ctx, stage.Without); err != nil {
		return err
	}
	say("the agent that holds the keys has played through")
	world.with, err = world.Act(ctx, stage.With)
	say("the agent that has an annotation has played through")
	return err
}

// strike removes what an earlier run has left.
func strike(ctx context.Context, c kube.Cluster) error {
	if err := stage.Strike(ctx, c); err != nil {
		return err
	}
	_, err := c.Run(ctx, "delete", "namespace", "-l", label, "--ignore-not-found", "--timeout=120s")
	if err != nil {
		return err
	}
	_, err = c.Run(ctx, "delete", "-n", stage.Secrets, "upstreamsecret,secret", "-l", label, "--ignore-not-found")
	return err
}

// explain prints what a failure is usually explained by.
func explain(ctx context.Context) {
	c, err := kube.Find(os.Getenv)
	if err != nil {
		return
	}
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "scred,upsec", "-A"},
		{"get", "events", "-A", "--field-selector=type=Warning"},
		{"logs", "-n", "sallyport-system", "-l", "app.kubernetes.io/component=controller", "--tail=60", "--prefix"},
		{"logs", "-n", "sallyport-system", "-l", "app.kubernetes.io/component=webhook", "--tail=30", "--prefix"},
		{"logs", "-n", stage.With.Agents, "deployment/agent", "-c", "sallyport-sidecar", "--tail=30"},
	} {
		fmt.Fprintln(os.Stderr, "\n$ kubectl", args)
		if err := c.Stream(ctx, os.Stderr, args...); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}
