// Package config renders the configuration files of the cluster's programs.
package config

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/sallyport-dev/sallyport/hack/cluster/network"
)

//go:embed templates
var files embed.FS

// quote writes a string as JSON does, which TOML and YAML read alike.
var templates = template.Must(template.New("").Option("missingkey=error").
	Funcs(template.FuncMap{"quote": quote}).
	ParseFS(files, "templates/*"))

func quote(s string) (string, error) {
	data, err := json.Marshal(s)
	return string(data), err
}

const (
	// NodeName is the name of the only node.
	NodeName = "sallyport"
	// Domain is the domain of Services and pods.
	Domain = "cluster.local"
	// Cgroup is the group that holds all pods, in every hierarchy.
	Cgroup = "sallyport"
	// PauseImage holds a pod's namespaces.
	PauseImage = "sallyport.local/pause:" + imageTag
	// DNSImage is CoreDNS.
	DNSImage = "sallyport.local/dns:" + imageTag
	// Server is where the API server listens.
	Server = "https://" + network.Node + ":6443"
	// CNIBin is where Debian keeps the network plugins.
	CNIBin = "/usr/lib/cni"

	// CNINetwork is the name of the network of pods.
	CNINetwork = "sallyport"

	imageTag = "local"
)

// A Dir is the cluster's state directory. Everything the cluster writes is in
// it, but for what the kernel holds and a few links in /var/log/containers.
type Dir string

func (d Dir) join(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// PKI holds certificates and keys.
func (d Dir) PKI() string { return d.join("pki") }

// Etcd holds the cluster's data.
func (d Dir) Etcd() string { return d.join("etcd") }

// Kubelet is the kubelet's directory: volumes, sockets.
func (d Dir) Kubelet() string { return d.join("kubelet") }

// VolumePlugins holds none, in place of a directory in /usr.
func (d Dir) VolumePlugins() string { return d.join("kubelet", "volume-plugins") }

// Tasks holds a directory for each container that containerd runs.
func (d Dir) Tasks() string {
	return d.join("containerd", "state", "io.containerd.runtime.v2.task", "k8s.io")
}

// Records holds a record for each process.
func (d Dir) Records() string { return d.join("run") }

// Logs holds the logs of the cluster's own processes.
func (d Dir) Logs() string { return d.join("logs") }

// PodLogs holds the logs of containers.
func (d Dir) PodLogs() string { return d.join("pods") }

// Sysctls holds the kernel settings as they were before.
func (d Dir) Sysctls() string { return d.join("sysctls.json") }

// Images holds archives of the cluster's own images.
func (d Dir) Images() string { return d.join("images") }

// ContainerdSocket is where our containerd listens.
func (d Dir) ContainerdSocket() string { return d.join("containerd", "sock") }

// Kubeconfig is the file by which a component or the administrator ("admin")
// finds the API server.
func (d Dir) Kubeconfig(user string) string { return d.join(user + ".kubeconfig") }

// Path is where [Dir.Write] puts a rendered file.
func (d Dir) Path(name string) string { return d.join("config", name) }

// File names of what Write renders.
const (
	Containerd = "containerd.toml"
	Kubelet    = "kubelet.yaml"
	KubeProxy  = "kube-proxy.yaml"
	DNS        = "dns.yaml"
)

// values are what templates may name.
func (d Dir) values() map[string]string {
	return map[string]string{
		"Bridge": network.Bridge, "NodeIP": network.Node, "Pods": network.Pods, "DNSIP": network.DNS,
		"NodeName": NodeName, "Domain": Domain, "Cgroup": Cgroup, "PauseImage": PauseImage,
		"CA":               d.join("pki", "ca.crt"),
		"KubeletCert":      d.join("pki", "kubelet.crt"),
		"KubeletKey":       d.join("pki", "kubelet.key"),
		"ProxyKubeconfig":  d.Kubeconfig("kube-proxy"),
		"ContainerdRoot":   d.join("containerd", "root"),
		"ContainerdState":  d.join("containerd", "state"),
		"ContainerdSocket": d.ContainerdSocket(),
		"RuncRoot":         d.join("containerd", "runc"),
		"Registries":       d.join("config", "registries"),
		"CNIBin":           CNIBin, "CNINetwork": CNINetwork,
		"CNIConf":       d.join("config", "cni"),
		"CNIData":       d.join("cni"),
		"PodLogs":       d.PodLogs(),
		"ResolvConf":    d.Path("resolv.conf"),
		"VolumePlugins": d.VolumePlugins(),
	}
}

// Write renders the files of all components but the manifests of DNS.
func (d Dir) Write() error {
	for name, file := range map[string]string{
		Containerd:        Containerd,
		"hosts.toml":      "registries/_default/hosts.toml",
		"bridge.conflist": "cni/bridge.conflist",
		Kubelet:           Kubelet,
		KubeProxy:         KubeProxy,
	} {
		if err := d.write(name, d.Path(file), d.values()); err != nil {
			return err
		}
	}
	// Pods that do not use the cluster's DNS have no name server at all.
	return os.WriteFile(d.Path("resolv.conf"), nil, 0o600)
}

// WriteDNS renders the manifests of DNS for an image.
func (d Dir) WriteDNS(image string) error {
	v := d.values()
	v["DNSImage"] = image
	return d.write(DNS, d.Path(DNS), v)
}

// WriteKubeconfig renders the kubeconfig of a user whose certificate and key
// are in the directory of certificates, under the same name.
func (d Dir) WriteKubeconfig(user string) error {
	return d.write("kubeconfig.yaml", d.Kubeconfig(user), map[string]string{
		"Server": Server,
		"CA":     d.join("pki", "ca.crt"),
		"User":   user,
		"Cert":   d.join("pki", user+".crt"),
		"Key":    d.join("pki", user+".key"),
	})
}

func (d Dir) write(name, path string, values map[string]string) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, values); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	// kube-proxy ends when its file is written to, even with the same text.
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
