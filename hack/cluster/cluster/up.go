package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/sallyport/hack/cluster/config"
	"github.com/sallyport-dev/sallyport/hack/cluster/host"
	"github.com/sallyport-dev/sallyport/hack/cluster/network"
	"github.com/sallyport-dev/sallyport/hack/cluster/process"
)

// Up makes the cluster, or repairs it: what is there and right is left alone.
// When it returns nil, the node takes pods and the name server answers.
func (c *Cluster) Up(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, step := range []func(context.Context) error{
		c.packages,
		func(ctx context.Context) error { return c.Build(ctx) },
		c.prepare,
		c.startServers,
		c.startClients,
		c.settle,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	c.say("up: export KUBECONFIG=%s PATH=%s:$PATH", c.Kubeconfig(), c.bin)
	return nil
}

func (c *Cluster) packages(ctx context.Context) error {
	missing := host.Missing()
	if len(missing) == 0 {
		return nil
	}
	c.say("installing %s", strings.Join(missing, ", "))
	return host.Install(ctx, missing)
}

// prepare makes all that programs find when they start.
func (c *Cluster) prepare(ctx context.Context) error {
	if err := c.claim(ctx); err != nil {
		return err
	}
	for _, dir := range []string{c.state.Records(), c.state.Logs(), c.state.Images(), c.state.PodLogs()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making state directory: %w", err)
		}
	}
	if err := c.state.Write(); err != nil {
		return err
	}
	if err := c.credentials(); err != nil {
		return err
	}
	group, err := host.FindCgroup(config.Cgroup)
	if err != nil {
		return err
	}
	if err := group.Make(); err != nil {
		return err
	}
	settings := c.settings()
	if err := settings.LoadModule(ctx); err != nil {
		return err
	}
	if err := settings.Set(); err != nil {
		return err
	}
	return network.Up(ctx)
}

func (c *Cluster) settings() network.Settings {
	return network.Settings{Root: "/proc/sys", File: c.state.Sysctls()}
}

// maxSocket is the longest path of a Unix socket; see unix(7). The kubelet
// makes some 60 characters below the state directory.
const maxSocket = 107 - 60

// claim marks the state directory as ours before anything is made. Another
// cluster's rules cannot be told from ours, so a host that has some is refused.
func (c *Cluster) claim(ctx context.Context) error {
	if c.made() {
		return nil
	}
	if len(c.state) > maxSocket {
		return fmt.Errorf("the path %s is too long for sockets below it: set XDG_CACHE_HOME to a shorter one", c.state)
	}
	chains, err := network.ForeignChains(ctx)
	if err != nil {
		return err
	}
	if len(chains) > 0 {
		return fmt.Errorf("this host has the firewall chains of another Kubernetes node (%s, ...): use another host; if that node is gone, reboot or delete the chains", chains[0])
	}
	if err := os.MkdirAll(string(c.state), 0o700); err != nil {
		return fmt.Errorf("making state directory: %w", err)
	}
	return os.WriteFile(c.marker(), nil, 0o600)
}

// startServers starts what others talk to, and loads images meanwhile.
func (c *Cluster) startServers(ctx context.Context) error {
	path, err := exec.LookPath(containerd)
	if err != nil {
		return fmt.Errorf("finding containerd: %w", err)
	}
	if err := c.ensure(ctx, c.etcdSpec(), c.apiserverSpec(), c.containerdSpec(path)); err != nil {
		return err
	}
	err = c.await(ctx, "containerd", []string{containerd}, func(ctx context.Context) error {
		_, err := c.ctr(ctx, "version")
		return err
	})
	if err != nil {
		return err
	}
	if _, err := c.ownImage(ctx, "pause", config.PauseImage); err != nil {
		return err
	}
	ref, err := c.ownImage(ctx, "dns", config.DNSImage)
	if err != nil {
		return err
	}
	return c.state.WriteDNS(ref)
}

// startClients starts the rest and submits the name server.
func (c *Cluster) startClients(ctx context.Context) error {
	a, err := c.client()
	if err != nil {
		return err
	}
	err = c.await(ctx, "the API server", []string{etcd, apiserver}, func(ctx context.Context) error {
		return a.get(ctx, "/readyz", nil)
	})
	if err != nil {
		return err
	}
	c.say("API server ready")
	if err := c.ensure(ctx, c.managerSpec(), c.schedulerSpec(), c.kubeletSpec(), c.proxySpec()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, c.program("kubectl"), "--kubeconfig", c.Kubeconfig(),
		"apply", "--server-side", "--force-conflicts", "--field-manager=sallyport-cluster", "-f", c.state.Path(config.DNS))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("applying the name server: %w: %s", err, out)
	}
	return nil
}

// settle waits until pods run and find each other.
func (c *Cluster) settle(ctx context.Context) error {
	a, err := c.client()
	if err != nil {
		return err
	}
	if err := c.await(ctx, "the node", []string{kubelet, proxy, containerd}, a.nodeReady); err != nil {
		return err
	}
	c.say("node ready")
	if err := c.await(ctx, "the name server", []string{kubelet, scheduler, manager}, a.dnsReady); err != nil {
		return err
	}
	c.say("name server ready")
	return c.await(ctx, "the kubelet", []string{kubelet}, a.kubeletReady)
}

func (c *Cluster) ensure(ctx context.Context, specs ...process.Spec) error {
	for _, s := range specs {
		started, err := c.table.Ensure(ctx, s)
		if err != nil {
			return err
		}
		if started {
			c.say("%s: started", s.Name)
		}
	}
	return nil
}

// Logs copies the log of a process to w, or names the logs there are.
func (c *Cluster) Logs(name string) (string, error) {
	if name == "" {
		logs, err := filepath.Glob(filepath.Join(c.state.Logs(), "*.log"))
		return strings.Join(logs, "\n") + "\n", err
	}
	data, err := os.ReadFile(c.table.LogPath(filepath.Base(name)))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the log of %s: there is none; `logs` without a name lists them", name)
	}
	return string(data), err
}
