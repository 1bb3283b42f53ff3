package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sallyport-dev/sallyport/controllers/authority"
	"github.com/sallyport-dev/sallyport/controllers/broker"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/controllers/metrics"
	"github.com/sallyport-dev/sallyport/controllers/minter"
	"github.com/sallyport-dev/sallyport/controllers/podwebhook"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/scopedcredential"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

const (
	leaseName = "sallyport-controller"
	// account and readerRole stand in the message of a missing permission.
	account    = "sallyport-controller"
	readerRole = "sallyport-secret-reader"
	// tokenFile says who issues the tokens of service accounts: it is ours.
	tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // G101: a path, no credential
)

// controllerOptions are the command line of the role controller.
type controllerOptions struct {
	namespace      string
	brokerAddress  string
	healthAddress  string
	metricsAddress string
	images         []string
	trust          inject.Trust // without authorities
}

// complete reads what flags are no types for, and says what is wrong.
func (o *controllerOptions) complete() error {
	for _, image := range o.images {
		release, err := inject.ParseRelease(image)
		if err != nil {
			return fmt.Errorf("reading --sidecar-image: %w", err)
		}
		o.trust.Releases = append(o.trust.Releases, release)
	}
	return o.trust.Validate()
}

func controllerCommand() *cobra.Command {
	var o controllerOptions
	c := &cobra.Command{
		Use:   "controller",
		Short: "Accept our kinds and stream to sidecars",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return runController(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.namespace, "namespace", "sallyport-system", "namespace of the manager: what was accepted, its keys and its lease")
	f.StringVar(&o.brokerAddress, "broker-address", ":9443", "address that sidecars connect to")
	f.StringArrayVar(&o.images, "sidecar-image", nil,
		"image by digest of a sidecar that may run, that of the webhook first; repeat it for earlier releases whose pods still run; more digests of the same release may follow, each after a comma")
	f.StringVar(&o.trust.Broker, "broker", defaultBroker, "host:port that sidecars connect to, as the webhook is told")
	f.StringArrayVar(&o.trust.Env, "tolerate-env", nil, "name of a variable that others may add to sidecars; may be repeated")
	f.StringArrayVar(&o.trust.Tolerate, "dangerously-tolerate", nil, tolerateUsage)
	f.BoolVar(&o.trust.Tunnel, "tunnel", false, tunnelUsage)
	f.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of /metrics")
	return c
}

func runController(ctx context.Context, o controllerOptions) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	s, err := scheme()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        s,
		Cache:                         cached(o.namespace),
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		HealthProbeBindAddress:        o.healthAddress,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		LeaderElection:                true,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := addController(ctx, mgr, o); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// cached bounds what a replica holds: pods that were injected, records of our
// own, and no Secret at all.
func cached(namespace string) cache.Options {
	injected := labels.SelectorFromSet(labels.Set{inject.LabelInjected: "true"})
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}: {Label: injected, Transform: cache.TransformStripManagedFields()}, // they are the most of it
		record.Metadata(): {
			Label:      mustSelect(record.LabelKind),
			Namespaces: map[string]cache.Config{namespace: {}},
		},
	}}
}

// mustSelect selects what has a label, which is a constant of ours.
func mustSelect(label string) labels.Selector {
	s, err := labels.Parse(label)
	if err != nil {
		panic(fmt.Sprintf("manager: selecting %s: %v", label, err))
	}
	return s
}

// addController adds what the role consists of.
func addController(ctx context.Context, mgr manager.Manager, o controllerOptions) error {
	clients, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	grant := secretwatch.Grant{Role: readerRole, Account: types.NamespacedName{Namespace: o.namespace, Name: account}}
	secrets, schemata := secretwatch.New(clients.CoreV1(), grant), schemas.New(clients.CoreV1(), grant)
	keys := tokenkey.NewRing(secrets, o.namespace)
	leaf := authority.NewLeaf(secrets, o.namespace, "sallyport-broker."+o.namespace+".svc")
	shown := metrics.New()
	b, err := newBroker(ctx, mgr, o, clients, secrets, schemata, keys, leaf, shown)
	if err != nil {
		return err
	}
	secrets.Subscribe(func(name types.NamespacedName) {
		if name == leaf.Secret() {
			b.RootsChanged()
		}
	})
	keeper := &authority.Keeper{Client: clients, Namespace: o.namespace, WebhookNames: []string{podwebhook.ServerName}}
	for _, r := range []manager.Runnable{
		keeper, secrets, schemata, b,
		&tokenkey.Keeper{Secrets: clients.CoreV1(), Namespace: o.namespace},
		&record.Sweeper{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: o.namespace},
		&minter.Sweeper{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: o.namespace},
	} {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("adding %T: %w", r, err)
		}
	}
	mints := minter.New(mgr.GetClient(), mgr.GetAPIReader(), clients.CoreV1(), secrets, schemata, o.namespace)
	if err := mints.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	if err := upstreamsecret.SetupWithManager(ctx, mgr, o.namespace, secrets, schemata, keys, mints); err != nil {
		return err
	}
	if err := scopedcredential.SetupWithManager(ctx, mgr, o.namespace, schemata); err != nil {
		return err
	}
	if err := addMetrics(ctx, mgr, o, shown, b, leaf, keeper); err != nil {
		return err
	}
	return addChecks(mgr, leaf)
}

// addMetrics has what is promised shown at /metrics.
func addMetrics(ctx context.Context, mgr manager.Manager, o controllerOptions,
	shown *metrics.Metrics, b *broker.Broker, leaf *authority.Leaf, keeper *authority.Keeper) error {
	return shown.SetupWithManager(ctx, mgr, metrics.Options{
		Leases: b.Leases, Accepted: record.Generations(ctx, mgr.GetClient(), o.namespace),
		Certificates: map[string]func() time.Time{
			"authority": leaf.AuthorityNotAfter, "broker": leaf.NotAfter, "webhook": keeper.WebhookNotAfter,
		},
	})
}

func newBroker(ctx context.Context, mgr manager.Manager, o controllerOptions, clients kubernetes.Interface,
	secrets *secretwatch.Watcher, schemata *schemas.Watcher, keys *tokenkey.Ring, leaf *authority.Leaf, shown *metrics.Metrics) (*broker.Broker, error) {
	own, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading our own token, which names the issuer of all: %w", err)
	}
	issuer, err := identity.IssuerOf(strings.TrimSpace(string(own)))
	if err != nil {
		return nil, fmt.Errorf("reading our own token, which names the issuer of all: %w", err)
	}
	// The cluster's name, if it has one, is this UID.
	system, err := clients.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the UID of %s: %w", metav1.NamespaceSystem, err)
	}
	b, err := broker.New(broker.Options{
		Client:    mgr.GetClient(),
		APIReader: mgr.GetAPIReader(),
		Records:   &record.Store{Meta: mgr.GetClient(), Bodies: mgr.GetAPIReader(), Namespace: o.namespace},
		Secrets:   secrets,
		Schemas:   schemata,
		Keys:      keys,
		Reviewer:  identity.New(clients.AuthenticationV1().TokenReviews(), issuer, time.Now),
		Issuer:    "sallyport:" + string(system.UID),
		Roots:     leaf.Roots,
		Trust: func() (inject.Trust, error) {
			trust := o.trust
			var err error
			trust.RootsPEM, err = leaf.Authorities()
			return trust, err
		},
		Events:      mgr.GetEventRecorder("sallyport"),
		Certificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return leaf.Get(h) },
		Address:     o.brokerAddress,
		Propagated:  shown.Propagated,
		Denied:      shown.Denied,
	})
	if err != nil {
		return nil, err
	}
	return b, b.Watch(ctx, mgr.GetCache())
}
