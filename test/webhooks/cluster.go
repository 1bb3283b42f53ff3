// Package webhooks runs replicas of the webhook's own program behind one
// address, as a Service does, and a real API server that calls them. Their
// certificates are made by the controller's own keeper and are mounted as a
// kubelet mounts a Secret.
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/authority"
	"github.com/sallyport-dev/sallyport/controllers/podwebhook"
	"github.com/sallyport-dev/sallyport/internal/inject"
	cluster "github.com/sallyport-dev/sallyport/test/envtest"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

// Agents is the namespace of pods, and Credential what they may ask for.
const (
	Agents     = "agents"
	Credential = "notes"
)

// Cluster is an API server that has pods reviewed by replicas of the webhook.
type Cluster struct {
	Config  *rest.Config // of its administrator
	API     client.Client
	Clients kubernetes.Interface
	// ProbeEvery is how often replicas are asked whether they are ready. Start
	// sets 100 ms, so that tests need not wait; what is set later is for replicas
	// that are made then.
	ProbeEvery time.Duration

	env     *envtest.Environment
	dir     string
	service *service
}

// Start builds the program and starts an API server; there is no replica yet
// and no certificate. The caller calls Stop, whatever comes of it.
func Start(ctx context.Context) (*Cluster, error) {
	ctrl.SetLogger(logr.Discard()) // of clients
	c := &Cluster{ProbeEvery: probeEvery}
	for _, step := range []func(context.Context) error{c.build, c.startServer, c.makeObjects, c.startService} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	return c, nil
}

// Stop ends everything, replicas included.
func (c *Cluster) Stop() (err error) {
	if c.service != nil {
		c.service.stop()
	}
	if c.env != nil {
		err = c.env.Stop()
	}
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

func (c *Cluster) build(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "sallyport-webhooks-"); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", c.program(), "./cmd/manager")
	cmd.Dir = cluster.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the manager: %w: %s", err, out)
	}
	return nil
}

func (c *Cluster) program() string { return filepath.Join(c.dir, "manager") }

func (c *Cluster) kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// startServer starts an API server that admits as one of a cluster does.
func (c *Cluster) startServer(context.Context) error {
	assets, err := cluster.Assets()
	if err != nil {
		return err
	}
	c.env = &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(cluster.Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	c.env.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")
	if c.Config, err = c.env.Start(); err != nil {
		return fmt.Errorf("starting an API server: %w", err)
	}
	c.Config.QPS, c.Config.Burst, c.Config.WarningHandler = -1, -1, rest.NoWarnings{}
	if c.API, err = client.New(c.Config, client.Options{Scheme: fleet.Scheme()}); err != nil {
		return err
	}
	if c.Clients, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: c.Config.CAData}
	file.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.Config.CertData, ClientKeyData: c.Config.KeyData}
	file.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	file.CurrentContext = "x"
	return clientcmd.WriteToFile(*file, c.kubeconfig())
}

// Objects are what a pod of a namespace needs to ask for Credential.
func Objects(namespace string) (*v1alpha1.UpstreamSecret, *v1alpha1.ScopedCredential) {
	up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "upstream"}}
	up.Spec.Endpoints = []v1alpha1.Endpoint{{Name: "rest", URL: "https://example.com", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}}}}
	up.Spec.Source.SecretRef = &v1alpha1.KeyReference{Name: "key", Key: "token"}
	sc := &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Credential}}
	sc.Spec.Upstream = v1alpha1.UpstreamReference{Name: "upstream"}
	sc.Spec.Holders.ServiceAccounts = []string{"agent"}
	sc.Spec.Grants = []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/notes"}}}}
	return up, sc
}

func (c *Cluster) makeObjects(ctx context.Context) error {
	up, sc := Objects(Agents)
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fleet.Namespace}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Agents}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: Agents, Name: "agent"}},
		up, sc,
	} {
		if err := c.API.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T: %w", o, err)
		}
	}
	return nil
}

// startService opens the address that replicas are reached at, and tells the
// API server of it. It is called as a Service is, by HTTP/1.1 and several
// connections: by a URL of this host it would be one of HTTP/2, which leads to
// one replica alone.
func (c *Cluster) startService(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(cluster.Root(), "config", "webhook", "configuration.yaml"))
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	configuration := &admissionregv1.MutatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict(text, configuration); err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	if c.service, err = newService(); err != nil {
		return err
	}
	port, at := c.service.port(), configuration.Webhooks[0].ClientConfig.Service
	at.Port = &port
	name := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}}
	name.Spec.Type, name.Spec.ExternalName = corev1.ServiceTypeExternalName, localhost
	if err := c.API.Create(ctx, name); err != nil {
		return fmt.Errorf("creating the service: %w", err)
	}
	if err := c.API.Create(ctx, configuration); err != nil {
		return fmt.Errorf("creating the configuration: %w", err)
	}
	return nil
}

// Keep does what the leader does about certificates at that time, and what
// kubelets do with the webhook's Secret then.
func (c *Cluster) Keep(ctx context.Context, at time.Time) error {
	k := &authority.Keeper{
		Client: c.Clients, Namespace: fleet.Namespace, WebhookNames: []string{podwebhook.ServerName},
		Now: func() time.Time { return at },
	}
	if err := k.Keep(ctx); err != nil {
		return err
	}
	s, err := c.Clients.CoreV1().Secrets(fleet.Namespace).Get(ctx, authority.WebhookSecret, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the webhook's Secret: %w", err)
	}
	return c.mount(s.Data)
}

// Forget takes all certificates away, as on a first start.
func (c *Cluster) Forget(ctx context.Context) error {
	for _, name := range []string{authority.SecretName, authority.WebhookSecret} {
		if err := c.Clients.CoreV1().Secrets(fleet.Namespace).Delete(ctx, name, metav1.DeleteOptions{}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting Secret %s: %w", name, err)
		}
	}
	return nil
}

func (c *Cluster) certDir() string { return filepath.Join(c.dir, "tls") }

// mount swaps the files of the volume all at once, by one link that the others
// lead through, as kubelets do.
func (c *Cluster) mount(data map[string][]byte) error {
	if err := os.MkdirAll(c.certDir(), 0o700); err != nil {
		return fmt.Errorf("mounting certificates: %w", err)
	}
	version, err := os.MkdirTemp(c.certDir(), "..version-")
	if err != nil {
		return fmt.Errorf("mounting certificates: %w", err)
	}
	for name, value := range data {
		if err := os.WriteFile(filepath.Join(version, name), value, 0o600); err != nil {
			return fmt.Errorf("mounting certificates: %w", err)
		}
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(c.certDir(), name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("mounting certificates: %w", err)
		}
	}
	link := filepath.Join(c.certDir(), "..new")
	if err := os.Symlink(filepath.Base(version), link); err != nil {
		return fmt.Errorf("mounting certificates: %w", err)
	}
	return os.Rename(link, filepath.Join(c.certDir(), "..data"))
}

// Pod is one that asks for Credential, or else for nothing, and that no node
// takes.
func Pod(asks bool) *corev1.Pod {
	yes, no, user := true, false, int64(1000)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: Agents, GenerateName: "agent-"}}
	if asks {
		pod.Annotations = map[string]string{inject.AnnotationCredentials: Credential}
	}
	pod.Spec.ServiceAccountName = "agent"
	pod.Spec.AutomountServiceAccountToken = &no
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	pod.Spec.Containers = []corev1.Container{{Name: "agent", Image: "agent:1", SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}}}
	return pod
}
