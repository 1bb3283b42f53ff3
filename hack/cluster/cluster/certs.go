package cluster

import (
	"fmt"
	"os"

	"github.com/sallyport-dev/sallyport/hack/cluster/config"
	"github.com/sallyport-dev/sallyport/hack/cluster/network"
	"github.com/sallyport-dev/sallyport/hack/cluster/pki"
)

// Names of certificate files besides those of components.
const (
	ca              = "ca"
	etcdCA          = "etcd-ca"
	etcdUser        = "etcd-client"
	kubeletUser     = "kubelet-client"
	serviceAccounts = "service-accounts"
)

// masters is the group that may do everything.
const masters = "system:masters"

// leaves are the certificates of the cluster's authority. Users and groups are
// those that Kubernetes's own roles are bound to.
func leaves() []pki.Leaf {
	return []pki.Leaf{
		{
			Name: apiserver, User: apiserver,
			IPs: []string{network.Node, network.API, "127.0.0.1"},
			DNS: []string{
				"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc." + config.Domain, "localhost",
			},
		},
		{
			Name: kubelet, User: "system:node:" + config.NodeName, Groups: []string{"system:nodes"},
			IPs: []string{network.Node}, DNS: []string{config.NodeName},
		},
		{Name: kubeletUser, User: "sallyport:apiserver", Groups: []string{masters}},
		{Name: manager, User: "system:kube-controller-manager"},
		{Name: scheduler, User: "system:kube-scheduler"},
		{Name: proxy, User: "system:kube-proxy"},
		{Name: admin, User: "sallyport:admin", Groups: []string{masters}},
	}
}

// credentials makes certificates, keys and kubeconfigs, once.
func (c *Cluster) credentials() error {
	d := c.certs()
	if !d.Complete() {
		if err := os.MkdirAll(string(d), 0o700); err != nil {
			return fmt.Errorf("making certificates: %w", err)
		}
		if err := issue(d); err != nil {
			return err
		}
		if err := d.Seal(); err != nil {
			return fmt.Errorf("making certificates: %w", err)
		}
	}
	for _, user := range []string{admin, manager, scheduler, kubelet, proxy} {
		if err := c.state.WriteKubeconfig(user); err != nil {
			return err
		}
	}
	return nil
}

func issue(d pki.Dir) error {
	cluster, err := pki.NewAuthority(d, ca)
	if err != nil {
		return err
	}
	for _, l := range leaves() {
		if err := cluster.Issue(l); err != nil {
			return err
		}
	}
	// etcd trusts an authority of its own: whoever it admits may do everything.
	store, err := pki.NewAuthority(d, etcdCA)
	if err != nil {
		return err
	}
	for _, l := range []pki.Leaf{
		{Name: etcd, User: etcd, IPs: []string{"127.0.0.1"}},
		{Name: etcdUser, User: apiserver},
	} {
		if err := store.Issue(l); err != nil {
			return err
		}
	}
	return d.WriteSigningKey(serviceAccounts)
}
