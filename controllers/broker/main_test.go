package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/test/envtest"
)

// The API server of these tests, and what speaks to it.
var (
	config  *rest.Config
	admin   client.Client
	clients kubernetes.Interface
	roots   string // PEM
	leaf    tls.Certificate
)

const system = "sallyport-system"

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	c, stop, err := envtest.Start()
	if err != nil {
		return 1, err
	}
	defer func() { _ = stop() }()
	c.QPS, c.Burst = -1, -1
	config = c
	if admin, err = client.New(config, client.Options{Scheme: scheme()}); err != nil {
		return 1, err
	}
	if clients, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	if roots, leaf, err = authority(); err != nil {
		return 1, err
	}
	if err := admin.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}}); err != nil {
		return 1, err
	}
	if _, err := (&tokenkey.Keeper{Secrets: clients.CoreV1(), Namespace: system}).Keep(context.Background()); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// authority makes a self-signed certificate for 127.0.0.1.
func authority() (string, tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return string(text), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// world is one namespace of agents with one of a platform team, and a broker.
type world struct {
	t                *testing.T
	ctx              context.Context
	agents, platform string
	broker           *Broker
	address          string
	stop             context.CancelFunc // of the broker's listener
	stopped          chan struct{}
	cache            cache.Cache
	private          string // what sidecars keep; empty: each for itself
}

var worlds atomic.Int64

// newWorld makes the namespaces, the objects of one accepted credential called
// notes, held by service account agent, and a broker.
func newWorld(t *testing.T, edit ...func(*Broker)) *world {
	t.Helper()
	n := worlds.Add(1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, agents: fmt.Sprintf("agents-%d", n), platform: fmt.Sprintf("platform-%d", n)}
	for _, name := range []string{w.agents, w.platform} {
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for _, name := range []string{"agent", "stranger"} {
		w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.agents, Name: name}})
	}
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "github-token"},
		StringData: map[string]string{"token": "the-real-key\n"},
	})
	w.create(w.upstreamSecret())
	w.create(w.credential("notes"))
	w.accept("notes")
	w.newBroker(edit...)
	w.serve("127.0.0.1:0")
	return w
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := admin.Create(w.ctx, o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) upstreamSecret() *v1alpha1.UpstreamSecret {
	return &v1alpha1.UpstreamSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "github"},
		Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{Name: "rest", URL: "https://api.example.com", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}}}},
			Source:    v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "github-token", Key: "token"}},
			Consumers: &v1alpha1.Consumers{Namespaces: []string{w.agents}},
		},
	}
}

func (w *world) credential(name string) *v1alpha1.ScopedCredential {
	return &v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.agents, Name: name},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Namespace: w.platform, Name: "github"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Grants:   []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/repos"}}}},
		},
	}
}

// accept records the newest spec of a ScopedCredential and of the
// UpstreamSecret, as the reconcilers do.
func (w *world) accept(name string) {
	w.t.Helper()
	sc, up := w.get(name), w.getUpstream()
	w.record(record.ScopedCredential, sc, &sc.Spec)
	w.record(record.UpstreamSecret, up, &up.Spec)
}

func (w *world) record(kind record.Kind, o client.Object, spec any) {
	w.t.Helper()
	applied, err := record.Encode(system, record.Record{Kind: kind, UID: o.GetUID(), Generation: o.GetGeneration(), Object: client.ObjectKeyFromObject(o)}, spec)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := admin.Apply(w.ctx, applied, client.FieldOwner("test"), client.ForceOwnership); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(name string) *v1alpha1.ScopedCredential {
	w.t.Helper()
	sc := &v1alpha1.ScopedCredential{}
	if err := admin.Get(w.ctx, types.NamespacedName{Namespace: w.agents, Name: name}, sc); err != nil {
		w.t.Fatal(err)
	}
	return sc
}

func (w *world) getUpstream() *v1alpha1.UpstreamSecret {
	w.t.Helper()
	up := &v1alpha1.UpstreamSecret{}
	if err := admin.Get(w.ctx, types.NamespacedName{Namespace: w.platform, Name: "github"}, up); err != nil {
		w.t.Fatal(err)
	}
	return up
}

// edit changes a ScopedCredential. It is not accepted by that.
func (w *world) edit(name string, change func(*v1alpha1.ScopedCredentialSpec)) {
	w.t.Helper()
	sc := w.get(name)
	change(&sc.Spec)
	if err := admin.Update(w.ctx, sc); err != nil {
		w.t.Fatal(err)
	}
}

// newBroker makes a broker, edited, and starts its caches.
func (w *world) newBroker(edit ...func(*Broker)) {
	w.t.Helper()
	var err error
	w.cache, err = cache.New(config, cache.Options{Scheme: scheme(), ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}:       {Label: labels.SelectorFromSet(labels.Set{inject.LabelInjected: "true"})},
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{system: {}}},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	cached, err := client.New(config, client.Options{Scheme: scheme(), Cache: &client.CacheOptions{Reader: w.cache}})
	if err != nil {
		w.t.Fatal(err)
	}
	secrets := secretwatch.New(clients.CoreV1(), secretwatch.Grant{Role: "r", Account: types.NamespacedName{Namespace: system, Name: "m"}})
	schemata := schemas.New(clients.CoreV1(), secretwatch.Grant{Role: "r", Account: types.NamespacedName{Namespace: system, Name: "m"}})
	w.broker, err = New(Options{
		Client: cached, APIReader: admin,
		Records: &record.Store{Meta: cached, Bodies: admin, Namespace: system},
		Secrets: secrets, Schemas: schemata, Keys: tokenkey.NewRing(secrets, system),
		Reviewer: identity.New(clients.AuthenticationV1().TokenReviews(), w.issuer(), time.Now),
		Issuer:   "sallyport:test", Roots: func() string { return roots },
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &leaf, nil },
		Trust:       func() (inject.Trust, error) { return settings().Trust(), nil },
		Events:      events.NewFakeRecorder(1000),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.broker.limits = identity.Limits{PerSecond: 1000, Burst: 1000}
	for _, e := range edit {
		e(w.broker)
	}
	if err := w.broker.Watch(w.ctx, w.cache); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = w.cache.Start(w.ctx) }()
	go func() { _ = secrets.Start(w.ctx) }()
	go func() { _ = schemata.Start(w.ctx) }()
	if !w.cache.WaitForCacheSync(w.ctx) {
		w.t.Fatal("caches do not sync")
	}
}

// serve serves the broker at address until stop is called.
func (w *world) serve(address string) {
	w.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.address = listener.Addr().String()
	ctx, stop := context.WithCancel(w.ctx)
	stopped := make(chan struct{})
	w.stop, w.stopped = stop, stopped
	go func() {
		defer close(stopped)
		if err := w.broker.Serve(ctx, listener); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() { stop(); <-stopped })
}

// issuer is that of the API server's service accounts.
func (w *world) issuer() string {
	w.t.Helper()
	issuer, err := identity.IssuerOf(w.token("agent", nil, inject.Audience))
	if err != nil {
		w.t.Fatal(err)
	}
	return issuer
}

// token asks for a service-account token, bound to pod unless it is nil.
func (w *world) token(account string, pod *corev1.Pod, audience string) string {
	w.t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	got, err := clients.CoreV1().ServiceAccounts(w.agents).CreateToken(w.ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Status.Token
}

// settings are those of the webhook that would have made the pods.
func settings() inject.Settings {
	return inject.Settings{Image: "sidecar@sha256:" + fmt.Sprintf("%064d", 0), Broker: "broker:9443", RootsPEM: roots}
}

// pod creates a pod as admission would have made it.
func (w *world) pod(name, account string, edit func(*corev1.Pod), credentials ...string) *corev1.Pod {
	w.t.Helper()
	asked := ""
	var planned []inject.Credential
	for i, c := range credentials {
		if i > 0 {
			asked += ","
		}
		asked += c
		planned = append(planned, inject.Credential{Name: c, Handle: token.NewHandle(), Endpoints: []string{"rest"}})
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.agents, Name: name, Annotations: map[string]string{inject.AnnotationCredentials: asked}},
		Spec: corev1.PodSpec{
			ServiceAccountName: account, NodeName: "node-1",
			Containers: []corev1.Container{{Name: "agent", Image: "agent"}},
		},
	}
	plan, _, err := inject.NewPlan(pod, settings(), planned)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := inject.Sidecar(pod, plan); err != nil {
		w.t.Fatal(err)
	}
	if edit != nil {
		edit(pod)
	}
	w.create(pod)
	return pod
}
