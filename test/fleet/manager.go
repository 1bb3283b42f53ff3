// Package fleet runs the role controller of the manager and sidecars of many
// pods on a real API server, without a cluster: the pods are objects on a node
// that no kubelet has, and each sidecar is the stream client and the data plane
// of cmd/sidecar, with a token of the API server's that is bound to its pod.
package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/authority"
	"github.com/sallyport-dev/sallyport/controllers/broker"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/controllers/metrics"
	"github.com/sallyport-dev/sallyport/controllers/minter"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/scopedcredential"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// Namespace is that of the manager.
const Namespace = "sallyport-system"

const brokerName = "sallyport-broker." + Namespace + ".svc"

// image of sidecars, which nobody runs.
const image = "sidecar@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// Scheme has the kinds of Kubernetes and ours.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // a mistake of ours
		}
	}
	return s
}

// Manager is one replica. Leads says that it writes the status of our kinds;
// keys and authorities are kept by whoever runs it.
type Manager struct {
	Config *rest.Config
	Leads  bool
	// Listener is where sidecars connect to.
	Listener net.Listener
	// Registry shows the metrics; nil: nobody does.
	Registry prometheus.Registerer
	// ConnectTo is where token endpoints are, by HOST:PORT, that are not where
	// their names lead.
	ConnectTo map[string]netip.AddrPort
}

// Run serves until ctx ends. It returns once everything has ended.
func (m *Manager) Run(ctx context.Context) error {
	mgr, err := ctrl.NewManager(m.Config, ctrl.Options{
		Scheme: Scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {
				Label: labels.SelectorFromSet(labels.Set{inject.LabelInjected: "true"}), Transform: cache.TransformStripManagedFields(),
			},
			record.Metadata(): {Namespaces: map[string]cache.Config{Namespace: {}}},
		}},
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return fmt.Errorf("making a manager: %w", err)
	}
	clients, err := kubernetes.NewForConfig(m.Config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	grant := secretwatch.Grant{Role: "r", Account: types.NamespacedName{Namespace: Namespace, Name: "m"}}
	secrets, schemata := secretwatch.New(clients.CoreV1(), grant), schemas.New(clients.CoreV1(), grant)
	keys := tokenkey.NewRing(secrets, Namespace)
	leaf := authority.NewLeaf(secrets, Namespace, brokerName)
	shown := metrics.New()
	b, err := m.broker(ctx, mgr, clients, secrets, schemata, keys, leaf, shown)
	if err != nil {
		return err
	}
	if err := m.show(ctx, mgr, shown, b, leaf); err != nil {
		return err
	}
	if m.Leads {
		mints := minter.New(mgr.GetClient(), mgr.GetAPIReader(), clients.CoreV1(), secrets, schemata, Namespace)
		mints.ConnectUnvetted(m.ConnectTo)
		err := errors.Join(
			mints.SetupWithManager(ctx, mgr),
			upstreamsecret.SetupWithManager(ctx, mgr, Namespace, secrets, schemata, keys, mints),
			scopedcredential.SetupWithManager(ctx, mgr, Namespace, schemata))
		if err != nil {
			return err
		}
	}
	for _, watcher := range []manager.Runnable{secrets, schemata} {
		if err := mgr.Add(watcher); err != nil {
			return fmt.Errorf("adding a watcher: %w", err)
		}
	}
	if err := mgr.Add(serving{b, m.Listener}); err != nil {
		return fmt.Errorf("adding the broker: %w", err)
	}
	return mgr.Start(ctx)
}

// show registers the metrics, if anybody is to see them.
func (m *Manager) show(ctx context.Context, mgr ctrl.Manager, shown *metrics.Metrics, b *broker.Broker, leaf *authority.Leaf) error {
	if m.Registry == nil {
		return nil
	}
	return shown.SetupWithManager(ctx, mgr, metrics.Options{
		Leases: b.Leases, Accepted: record.Generations(ctx, mgr.GetClient(), Namespace), Registry: m.Registry,
		Certificates: map[string]func() time.Time{"authority": leaf.AuthorityNotAfter, "broker": leaf.NotAfter},
		LookEvery:    100 * time.Millisecond,
	})
}

// serving is a broker on a listener that is open already.
type serving struct {
	*broker.Broker
	listener net.Listener
}

// Start serves until ctx ends.
func (s serving) Start(ctx context.Context) error { return s.Serve(ctx, s.listener) }

func (m *Manager) broker(ctx context.Context, mgr ctrl.Manager, clients kubernetes.Interface,
	secrets *secretwatch.Watcher, schemata *schemas.Watcher, keys *tokenkey.Ring, leaf *authority.Leaf, shown *metrics.Metrics) (*broker.Broker, error) {
	issuer, err := issuer(ctx, clients)
	if err != nil {
		return nil, err
	}
	b, err := broker.New(broker.Options{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(),
		Records: &record.Store{Meta: mgr.GetClient(), Bodies: mgr.GetAPIReader(), Namespace: Namespace},
		Secrets: secrets, Schemas: schemata, Keys: keys,
		Reviewer: identity.New(clients.AuthenticationV1().TokenReviews(), issuer, time.Now),
		Issuer:   "sallyport:fleet", Roots: leaf.Roots,
		Trust: func() (inject.Trust, error) {
			trust := settings("").Trust()
			var err error
			trust.RootsPEM, err = leaf.Authorities()
			return trust, err
		},
		Events:      mgr.GetEventRecorder("sallyport"),
		Certificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return leaf.Get(h) },
		Propagated:  shown.Propagated, Denied: shown.Denied,
	})
	if err != nil {
		return nil, err
	}
	secrets.Subscribe(func(name types.NamespacedName) {
		if name == leaf.Secret() {
			b.RootsChanged()
		}
	})
	return b, b.Watch(ctx, mgr.GetCache())
}

// settings are those of the webhook that would have made the pods.
func settings(roots string) inject.Settings {
	return inject.Settings{Image: image, Broker: brokerName + ":9443", RootsPEM: roots}
}

// issuer is that of the service accounts of the API server.
func issuer(ctx context.Context, clients kubernetes.Interface) (string, error) {
	token, err := clients.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, "manager", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking for a token of our own: %w", err)
	}
	return identity.IssuerOf(token.Status.Token)
}

// Prepare makes the namespace of the manager, its account, keys and authority.
// The authority is born then; one that is old enough can be rotated.
func Prepare(ctx context.Context, config *rest.Config, born time.Time) error {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if _, err := clients.CoreV1().Namespaces().Create(ctx, n, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace: %w", err)
	}
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "manager"}}
	if _, err := clients.CoreV1().ServiceAccounts(Namespace).Create(ctx, a, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating service account: %w", err)
	}
	if err := KeepKeys(ctx, clients, time.Now()); err != nil {
		return err
	}
	return KeepAuthority(ctx, clients, born)
}

// KeepKeys does what the leader does about token keys at that time.
func KeepKeys(ctx context.Context, clients kubernetes.Interface, at time.Time) error {
	_, err := (&tokenkey.Keeper{Secrets: clients.CoreV1(), Namespace: Namespace, Now: func() time.Time { return at }}).Keep(ctx)
	return err
}

// KeepAuthority does what the leader does about certificates at that time.
func KeepAuthority(ctx context.Context, clients kubernetes.Interface, at time.Time) error {
	k := &authority.Keeper{
		Client: clients, Namespace: Namespace, WebhookNames: []string{"sallyport-webhook." + Namespace + ".svc"},
		Now: func() time.Time { return at },
	}
	return k.Keep(ctx)
}
