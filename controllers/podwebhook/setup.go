package podwebhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// Path is where pods are reviewed.
const Path = "/mutate-pod"

// ServerName is the name in the certificate of the webhook.
const ServerName = "sallyport-webhook.sallyport-system.svc"

// maxReview bounds what is read of a review: one pod, well below what etcd
// holds.
const maxReview = 3 << 20

// defaultUID is the sidecar's user: one that images hardly use, so that it is
// not the agent's, nor that of a mesh's proxy.
const defaultUID = 14399

// openShift hands each namespace a range of users and refuses others.
const openShift = "security.openshift.io"

// Files in Options.CertDir.
const (
	fileCert  = "tls.crt"
	fileKey   = "tls.key"
	fileRoots = "ca.crt"
)

// Options configure the role. The zero value is not valid.
type Options struct {
	// Image of the sidecar, by digest.
	Image string
	// Broker that sidecars connect to, as host:port.
	Broker string
	// CertDir holds tls.crt and tls.key, which the webhook serves with, and
	// ca.crt, the authorities that sidecars trust. All are read again when they
	// change.
	CertDir string
	// Host is the address to serve on; empty: all of them. Loopback is always to
	// be among them, since that is where a replica looks whether it serves.
	Host string
	// Port to serve on.
	Port int
	// Tolerate is that of [inject.Settings]. The broker has to tolerate the same.
	Tolerate []string
	// Tunnel is that of [inject.Settings]. The broker has to allow it as well.
	Tunnel bool
}

// Validate says what is wrong with o.
func (o Options) Validate() error {
	const any = "any" // the authorities come with the first pod
	if err := (inject.Settings{Image: o.Image, Broker: o.Broker, RootsPEM: any, Tolerate: o.Tolerate}).Validate(); err != nil {
		return err
	}
	if o.CertDir == "" {
		return errors.New("no directory of certificates: set one that holds tls.crt, tls.key and ca.crt")
	}
	if o.Port < 1 || o.Port > 65535 {
		return fmt.Errorf("port %d: set one between 1 and 65535", o.Port)
	}
	return nil
}

// NewServer returns the server to give to the manager that [SetupWithManager]
// is called with.
func NewServer(o Options) webhook.Server {
	return webhook.NewServer(webhook.Options{
		Host: o.Host, Port: o.Port, CertDir: o.CertDir, CertName: fileCert, KeyName: fileKey,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
	})
}

// SetupWithManager registers the webhook, the informers it reads from and the
// checks by which a replica says that it is ready. It asks the API server once
// which platform it is. Once ctx is done, which is to be well before the manager
// stops, whoever is connected is asked to connect anew.
func SetupWithManager(ctx context.Context, mgr manager.Manager, o Options) error {
	uid, err := user(mgr.GetConfig())
	if err != nil {
		return err
	}
	for _, kind := range []client.Object{&v1alpha1.ScopedCredential{}, &v1alpha1.UpstreamSecret{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind); err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
	}
	known := &roots{file: filepath.Join(o.CertDir, fileRoots)}
	handler := &Handler{
		objects:  objects{cached: mgr.GetClient(), live: mgr.GetAPIReader()},
		settings: func() (inject.Settings, error) { return settings(o, uid, known) },
	}
	mgr.GetWebhookServer().Register(Path, serve(ctx, handler))
	return addChecks(mgr, o, known)
}

// serve reads reviews up to the bound. Once stopping is done, each answer ends
// its connection: API servers keep several, and one that is closed while they
// send a review is an admission lost.
func serve(stopping context.Context, h *Handler) http.Handler {
	// Nothing is logged of a review that is answered, so nothing is made ready
	// for it.
	plain := func(base logr.Logger, _ *admission.Request) logr.Logger { return base }
	bounded := http.MaxBytesHandler(&admission.Webhook{Handler: h, LogConstructor: plain}, maxReview)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stopping.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		bounded.ServeHTTP(w, r)
	})
}

// user returns the sidecar's user, 0 where the platform chooses it.
func user(config *rest.Config) (int64, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return 0, fmt.Errorf("asking for API groups: %w", err)
	}
	groups, err := d.ServerGroups()
	if err != nil {
		return 0, fmt.Errorf("asking for API groups: %w", err)
	}
	for _, g := range groups.Groups {
		if g.Name == openShift {
			return 0, nil
		}
	}
	return defaultUID, nil
}

func settings(o Options, uid int64, known *roots) (inject.Settings, error) {
	text, _, err := known.read()
	return inject.Settings{Image: o.Image, Broker: o.Broker, RootsPEM: text, UID: uid, Tolerate: o.Tolerate, Tunnel: o.Tunnel}, err
}

// addChecks makes a replica ready once its informers are filled and its
// listener serves what the API server will trust.
func addChecks(mgr manager.Manager, o Options, known *roots) error {
	var filled atomic.Bool
	err := mgr.Add(everywhere(func(ctx context.Context) error {
		filled.Store(mgr.GetCache().WaitForCacheSync(ctx))
		return nil
	}))
	if err != nil {
		return fmt.Errorf("adding a wait for the caches: %w", err)
	}
	if err := mgr.AddReadyzCheck("caches", func(*http.Request) error {
		if !filled.Load() {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}); err != nil {
		return fmt.Errorf("adding a check of the caches: %w", err)
	}
	if err := mgr.AddReadyzCheck("webhook", serves(o, known)); err != nil {
		return fmt.Errorf("adding a check of the webhook: %w", err)
	}
	return nil
}

// everywhere is a Runnable of every replica, leader or not.
type everywhere func(context.Context) error

// Start runs f.
func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection says no.
func (everywhere) NeedLeaderElection() bool { return false }

// serves checks, by a handshake, that the listener's certificate is in force
// and signed by the authorities that caBundle is made of.
func serves(o Options, known *roots) healthz.Checker {
	return func(req *http.Request) error {
		_, pool, err := known.read()
		if err != nil {
			return err
		}
		d := tls.Dialer{
			NetDialer: &net.Dialer{Timeout: 2 * time.Second},
			Config:    &tls.Config{RootCAs: pool, ServerName: ServerName, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}},
		}
		conn, err := d.DialContext(req.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
		if err != nil {
			return fmt.Errorf("connecting to the webhook: %w", err)
		}
		return conn.Close()
	}
}
