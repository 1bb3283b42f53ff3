// Package injection creates pods on a real API server, with our webhook and
// one that behaves like a mesh, to see what defaulting, admission of service
// accounts and a second pass make of them.
package injection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/podwebhook"
	"github.com/sallyport-dev/sallyport/internal/inject"
	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

const broker = "sallyport-broker.sallyport-system.svc:9443"

var (
	image  = "registry.example/sallyport-sidecar@sha256:" + strings.Repeat("ab", 32)
	scheme = runtime.NewScheme()

	api       client.Client // speaks to the API server itself, as its administrator
	developer client.Client // may do everything with pods, and bypass no policy
	warnings  = &collected{}

	adminKubeconfig []byte
	roots           string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return 1, err
	}
	env, err := environment()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	config, err := env.Start()
	if err != nil {
		return 1, fmt.Errorf("starting an API server: %w", err)
	}
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return 1, fmt.Errorf("adding a user: %w", err)
	}
	if adminKubeconfig, err = user.KubeConfig(); err != nil {
		return 1, fmt.Errorf("adding a user: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, config, &env.WebhookInstallOptions) }()
	defer func() { cancel(); err = errors.Join(err, <-served) }()
	if err := prepare(ctx, config); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// environment is an API server that admits as one of a cluster does, and calls
// our webhook as config/webhook says.
func environment() (*envtest.Environment, error) {
	assets, err := cluster.Assets()
	if err != nil {
		return nil, err
	}
	path := "/mesh"
	fail, none := admissionregv1.Fail, admissionregv1.SideEffectClassNone
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(cluster.Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		WebhookInstallOptions: envtest.WebhookInstallOptions{
			Paths: []string{filepath.Join(cluster.Root(), "config", "webhook", "configuration.yaml")},
			MutatingWebhooks: []*admissionregv1.MutatingWebhookConfiguration{{
				ObjectMeta: metav1.ObjectMeta{Name: "mesh.example"},
				Webhooks: []admissionregv1.MutatingWebhook{{
					Name: "mesh.example.test", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
					ClientConfig: admissionregv1.WebhookClientConfig{Service: &admissionregv1.ServiceReference{Name: "x", Namespace: "x", Path: &path}},
					Rules: []admissionregv1.RuleWithOperations{{
						Operations: []admissionregv1.OperationType{admissionregv1.Create},
						Rule:       admissionregv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
					}},
					ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"mesh": "on"}},
				}},
			}},
		},
	}
	// Else admission of service accounts would be off.
	env.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")
	return env, nil
}

// prepare makes what every test needs, and waits until the webhook answers.
func prepare(ctx context.Context, config *rest.Config) (err error) {
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = warnings
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	for _, namespace := range []string{"agents", "platform", "golden"} {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if namespace != "golden" { // whose pods are of all kinds
			n.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
		}
		if err := api.Create(ctx, n); err != nil {
			return fmt.Errorf("creating namespace: %w", err)
		}
	}
	for _, account := range []types.NamespacedName{
		{Namespace: "agents", Name: "agent"}, {Namespace: "kube-system", Name: "agent"},
		{Namespace: "golden", Name: "agent"}, {Namespace: "golden", Name: "default"}, {Namespace: "golden", Name: "release-notes-agent"},
	} {
		o := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name}}
		if err := api.Create(ctx, o); err != nil {
			return fmt.Errorf("creating service account: %w", err)
		}
	}
	if err := restrict(ctx, config); err != nil {
		return err
	}
	return within(ctx, func() (bool, error) {
		err := api.Create(ctx, agent("missing"), client.DryRunAll)
		return apierrors.IsForbidden(err), nil
	})
}

// restrict installs our policies, and waits until they hold the developer.
func restrict(ctx context.Context, config *rest.Config) (err error) {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "dora", Groups: []string{"developers"}}
	if developer, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	policies, err := cluster.Policies(image[strings.Index(image, "sha256:"):])
	if err != nil {
		return err
	}
	for _, o := range append(policies,
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "core"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"*"}, Verbs: []string{"*"}},
		}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "developers"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "core"},
			Subjects:   []rbacv1.Subject{{Kind: "Group", Name: "developers"}},
		},
	) {
		if err := api.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T: %w", o, err)
		}
	}
	return within(ctx, func() (bool, error) {
		pod := agent("")
		pod.Spec.Containers[0].Name = inject.ContainerName
		err := developer.Create(ctx, pod, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'sallyport-pods'"), nil
	})
}

// within asks again until done, for at most half a minute.
func within(ctx context.Context, done func() (bool, error)) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return done() })
}

// collected are the warnings of the last request.
type collected struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext keeps a warning.
func (c *collected) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, text)
}

// take returns what was collected, and forgets it.
func (c *collected) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.texts, "\n")
	c.texts = nil
	return text
}

// serve runs the webhook at o until ctx ends.
func serve(ctx context.Context, config *rest.Config, o *envtest.WebhookInstallOptions) error {
	roots = string(o.LocalServingCAData)
	if err := os.WriteFile(filepath.Join(o.LocalServingCertDir, "ca.crt"), o.LocalServingCAData, 0o600); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: o.LocalServingHost, Port: o.LocalServingPort, CertDir: o.LocalServingCertDir}),
	})
	if err != nil {
		return err
	}
	options := podwebhook.Options{Image: image, Broker: broker, CertDir: o.LocalServingCertDir, Port: o.LocalServingPort}
	if err := podwebhook.SetupWithManager(ctx, mgr, options); err != nil {
		return err
	}
	mgr.GetWebhookServer().Register("/mesh", &admission.Webhook{Handler: admission.HandlerFunc(mesh)})
	return mgr.Start(ctx)
}

// mesh puts a proxy before all else, as native sidecars of meshes do.
func mesh(_ context.Context, req admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(req.Object.Raw, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	for _, c := range pod.Spec.InitContainers {
		if c.Name == "mesh-proxy" {
			return admission.Allowed("")
		}
	}
	always, no := corev1.ContainerRestartPolicyAlways, false
	proxy := corev1.Container{Name: "mesh-proxy", Image: "proxy:1", RestartPolicy: &always, SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}}
	pod.Spec.InitContainers = append([]corev1.Container{proxy}, pod.Spec.InitContainers...)
	after, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, after)
}
