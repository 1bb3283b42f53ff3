package cluster

import (
	"path/filepath"

	"github.com/sallyport-dev/sallyport/hack/cluster/config"
	"github.com/sallyport-dev/sallyport/hack/cluster/network"
	"github.com/sallyport-dev/sallyport/hack/cluster/pki"
	"github.com/sallyport-dev/sallyport/hack/cluster/process"
)

// Names of processes, and of the users that components are.
const (
	etcd       = "etcd"
	apiserver  = "kube-apiserver"
	manager    = "kube-controller-manager"
	scheduler  = "kube-scheduler"
	containerd = "containerd"
	kubelet    = "kubelet"
	proxy      = "kube-proxy"
	admin      = "admin"
)

// The ports differ from the usual ones, which the host may use.
const (
	etcdClient = "https://127.0.0.1:23791"
	etcdPeer   = "https://127.0.0.1:23801"
)

func (c *Cluster) certs() pki.Dir { return pki.Dir(c.state.PKI()) }

func (c *Cluster) etcdSpec() process.Spec {
	p := c.certs()
	return process.Spec{Name: etcd, Path: c.program(etcd), Args: []string{
		"--name=sallyport",
		"--data-dir=" + c.state.Etcd(),
		"--listen-client-urls=" + etcdClient,
		"--advertise-client-urls=" + etcdClient,
		"--listen-peer-urls=" + etcdPeer,
		"--initial-advertise-peer-urls=" + etcdPeer,
		"--initial-cluster=sallyport=" + etcdPeer,
		"--cert-file=" + p.Cert(etcd), "--key-file=" + p.Key(etcd),
		"--trusted-ca-file=" + p.Cert(etcdCA), "--client-cert-auth=true",
		"--peer-cert-file=" + p.Cert(etcd), "--peer-key-file=" + p.Key(etcd),
		"--peer-trusted-ca-file=" + p.Cert(etcdCA), "--peer-client-cert-auth=true",
		"--watch-progress-notify-interval=5s",
		"--unsafe-no-fsync=true", // what a power cut loses, up makes again
	}}
}

func (c *Cluster) apiserverSpec() process.Spec {
	p := c.certs()
	return process.Spec{Name: apiserver, Path: c.program(apiserver), Args: []string{
		"--advertise-address=" + network.Node,
		"--bind-address=" + network.Node,
		"--secure-port=6443",
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + p.Cert(ca),
		"--tls-cert-file=" + p.Cert(apiserver),
		"--tls-private-key-file=" + p.Key(apiserver),
		"--etcd-servers=" + etcdClient,
		"--etcd-cafile=" + p.Cert(etcdCA),
		"--etcd-certfile=" + p.Cert(etcdUser),
		"--etcd-keyfile=" + p.Key(etcdUser),
		"--kubelet-certificate-authority=" + p.Cert(ca),
		"--kubelet-client-certificate=" + p.Cert(kubeletUser),
		"--kubelet-client-key=" + p.Key(kubeletUser),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc." + config.Domain,
		"--service-account-key-file=" + p.Public(serviceAccounts),
		"--service-account-signing-key-file=" + p.Key(serviceAccounts),
		"--service-cluster-ip-range=" + network.Services,
		"--profiling=false",
	}}
}

func (c *Cluster) managerSpec() process.Spec {
	p := c.certs()
	return process.Spec{Name: manager, Path: c.program(manager), Args: []string{
		"--kubeconfig=" + c.state.Kubeconfig(manager),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + p.Key(serviceAccounts),
		"--root-ca-file=" + p.Cert(ca),
		"--cluster-signing-cert-file=" + p.Cert(ca),
		"--cluster-signing-key-file=" + p.Key(ca),
		// The usual 20 requests a second make a start take four seconds more.
		"--kube-api-qps=200", "--kube-api-burst=400",
		"--flex-volume-plugin-dir=" + c.state.VolumePlugins(),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
	}}
}

func (c *Cluster) schedulerSpec() process.Spec {
	return process.Spec{Name: scheduler, Path: c.program(scheduler), Args: []string{
		"--kubeconfig=" + c.state.Kubeconfig(scheduler),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
	}}
}

func (c *Cluster) containerdSpec(path string) process.Spec {
	file := c.state.Path(config.Containerd)
	return process.Spec{
		Name: containerd, Path: path,
		Args:   []string{"--config", file},
		Inputs: []string{file, c.state.Path("cni/bridge.conflist")},
	}
}

func (c *Cluster) kubeletSpec() process.Spec {
	file := c.state.Path(config.Kubelet)
	return process.Spec{
		Name: kubelet, Path: c.program(kubelet),
		Args: []string{
			"--config=" + file,
			"--kubeconfig=" + c.state.Kubeconfig(kubelet),
			"--hostname-override=" + config.NodeName,
			"--node-ip=" + network.Node,
			"--root-dir=" + c.state.Kubelet(),
			"--cert-dir=" + filepath.Join(c.state.Kubelet(), "pki"),
		},
		Inputs: []string{file},
	}
}

func (c *Cluster) proxySpec() process.Spec {
	file := c.state.Path(config.KubeProxy)
	return process.Spec{
		Name: proxy, Path: c.program(proxy),
		Args:   []string{"--config=" + file},
		Inputs: []string{file},
	}
}
