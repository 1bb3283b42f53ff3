package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sallyport-dev/sallyport/hack/cluster/config"
	"github.com/sallyport-dev/sallyport/hack/cluster/host"
	"github.com/sallyport-dev/sallyport/hack/cluster/network"
)

// Down ends the cluster and removes all it made, in any state that Up may have
// left behind. Programs and Debian packages stay.
func (c *Cluster) Down(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if !c.made() {
		c.say("nothing to take down: %s is no cluster's state", c.state)
		return nil
	}
	for _, step := range []struct {
		done string
		do   func(context.Context) error
	}{
		{"pods ended", c.endPods},
		{"control plane stopped", c.stopProcesses},
		{"mounts released", func(context.Context) error { return host.Unmount(string(c.state)) }},
		{"network removed", network.Down},
		{"kernel settings restored", func(context.Context) error { return c.settings().Restore() }},
		{"state removed", c.removeState},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%w: run down again once that is mended", err)
		}
		c.say("%s", step.done)
	}
	return nil
}

// endPods stops what would start containers again, kills the processes of pods
// and removes their control groups.
func (c *Cluster) endPods(ctx context.Context) error {
	for _, name := range []string{kubelet, containerd} {
		if err := c.table.Stop(ctx, name); err != nil {
			return err
		}
	}
	if err := host.KillShims(ctx, c.state.ContainerdSocket()); err != nil {
		return err
	}
	group, err := host.FindCgroup(config.Cgroup)
	if err != nil {
		return err
	}
	if err := group.Kill(ctx); err != nil {
		return err
	}
	return group.Remove(ctx)
}

// stopProcesses stops the rest, clients before their servers, and whatever
// another version of this program has recorded.
func (c *Cluster) stopProcesses(ctx context.Context) error {
	names, err := c.table.Names()
	if err != nil {
		return err
	}
	for _, name := range append([]string{proxy, scheduler, manager, apiserver, etcd}, names...) {
		if err := c.table.Stop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// removeState comes last: until then, down can be called again.
func (c *Cluster) removeState(ctx context.Context) error {
	if err := host.RemoveLeftovers(ctx, c.state.PodLogs(), config.CNINetwork, c.state.Tasks()); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(c.state))
	if err != nil {
		return fmt.Errorf("removing state: %w", err)
	}
	for _, e := range entries {
		path := string(c.state) + "/" + e.Name()
		if path == c.marker() {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing state: %w", err)
		}
	}
	return errors.Join(os.Remove(c.marker()), os.Remove(string(c.state)))
}
