// Package kube drives a cluster as its users do, by kubectl, and waits for what
// they would wait for.
package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Cluster is what kubectl reaches. It may be used concurrently.
type Cluster struct {
	// Kubectl is the program, Kubeconfig the file that says where and as whom.
	Kubectl, Kubeconfig string
}

// Find returns the cluster of an environment: KUBECONFIG, and the kubectl of
// PATH.
func Find(getenv func(string) string) (Cluster, error) {
	c := Cluster{Kubeconfig: getenv("KUBECONFIG")}
	if c.Kubeconfig == "" {
		return c, errors.New("finding the cluster: set KUBECONFIG, as hack/deploy.sh does")
	}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		return c, fmt.Errorf("finding kubectl: %w: set PATH, as hack/deploy.sh does", err)
	}
	c.Kubectl = path
	return c, nil
}

// Run runs kubectl and returns what it printed. The error holds what it said.
func (c Cluster) Run(ctx context.Context, args ...string) (string, error) {
	return c.Pipe(ctx, "", args...)
}

// Pipe is Run with a text on standard input.
func (c Cluster) Pipe(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Kubectl, append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("running kubectl %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Stream runs kubectl with its output going to w, until it or ctx ends.
func (c Cluster) Stream(ctx context.Context, w io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, c.Kubectl, append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, io.MultiWriter(w, &said)
	if err := cmd.Run(); err != nil {
		_, own, _ := strings.Cut(said.String(), "error:") // of kubectl itself
		return fmt.Errorf("running kubectl %s: %w: %s", args[0], err, strings.TrimSpace(own))
	}
	return nil
}

// Apply applies manifests as `kubectl apply -f -` does, without validation
// being loosened.
func (c Cluster) Apply(ctx context.Context, manifests string) error {
	_, err := c.Pipe(ctx, manifests, "apply", "-f", "-")
	return err
}

// Get reads an object, or a list, into out.
func (c Cluster) Get(ctx context.Context, out any, args ...string) error {
	text, err := c.Run(ctx, append(append([]string{"get"}, args...), "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("reading %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// Exec runs a command in a container and returns what it printed.
func (c Cluster) Exec(ctx context.Context, namespace, pod, container string, command ...string) (string, error) {
	args := append([]string{"exec", "-n", namespace, pod, "-c", container, "--"}, command...)
	return c.Run(ctx, args...)
}

// pollEvery is how often a condition is looked at.
const pollEvery = 250 * time.Millisecond

// Until waits until check returns nil. The error of a wait that ran out is the
// last one of check, and what.
func Until(ctx context.Context, within time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting %v for %s: %w", within, what, errors.Join(last, ctx.Err()))
		case <-tick.C:
		}
	}
}
