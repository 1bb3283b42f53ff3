package minter

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/mint"
	"github.com/sallyport-dev/sallyport/test/envtest"
)

const system = "sallyport-system"

var (
	config  *rest.Config
	admin   client.Client
	clients kubernetes.Interface
)

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
	ctrl.SetLogger(logr.Discard())
	config = c
	if admin, err = client.New(config, client.Options{Scheme: scheme()}); err != nil {
		return 1, err
	}
	if clients, err = kubernetes.NewForConfig(config); err != nil {
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

// clock is one that the tests set.
type clock struct{ offset, reads atomic.Int64 }

func (c *clock) now() time.Time {
	c.reads.Add(1)
	return time.Now().Add(time.Duration(c.offset.Load()))
}

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// world is one namespace of a platform team, and the replicas of a manager.
type world struct {
	t        *testing.T
	platform string
	clock    clock
	writes   atomic.Int64 // of all replicas, but for leases and Events
	ask      asker
	leases   int // how many there are: as many replicas lead; 0: one
	replicas int
}

var worlds atomic.Int64

func newWorld(t *testing.T, ask asker) *world {
	t.Helper()
	w := &world{t: t, platform: fmt.Sprintf("platform-%d", worlds.Add(1)), ask: ask}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.platform}})
	return w
}

// leadingTo is an asker whose connections to example.com go to a server on
// loopback.
func leadingTo(address string, root *x509.Certificate) asker {
	return asker{roots: []*x509.Certificate{root}, elsewhere: map[string]netip.AddrPort{"example.com:443": netip.MustParseAddrPort(address)}}
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := admin.Create(context.Background(), o); err != nil {
		w.t.Fatal(err)
	}
}

// secret writes a Secret of the platform team.
func (w *world) secret(name string, data map[string]string) {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: name}, StringData: data}
	_, err := clients.CoreV1().Secrets(w.platform).Update(context.Background(), s, metav1.UpdateOptions{})
	if err != nil {
		w.create(s)
	}
}

// upstream creates an UpstreamSecret called up with that source.
func (w *world) upstream(source v1alpha1.Source) {
	w.t.Helper()
	w.create(&v1alpha1.UpstreamSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "up"},
		Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{Name: "api", URL: "https://example.com", Profile: "github-rest", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}}}},
			Source:    source,
		},
	})
}

func (w *world) get() *v1alpha1.UpstreamSecret {
	w.t.Helper()
	up := &v1alpha1.UpstreamSecret{}
	if err := admin.Get(context.Background(), types.NamespacedName{Namespace: w.platform, Name: "up"}, up); err != nil {
		w.t.Fatal(err)
	}
	return up
}

func (w *world) edit(change func(*v1alpha1.UpstreamSecretSpec)) {
	w.t.Helper()
	up := w.get()
	before := up.DeepCopy()
	change(&up.Spec)
	if err := admin.Patch(context.Background(), up, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// stored is the Secret with what was minted; nil: there is none.
func (w *world) stored() *corev1.Secret {
	w.t.Helper()
	s, err := clients.CoreV1().Secrets(system).Get(context.Background(), mint.Prefix+string(w.get().UID), metav1.GetOptions{})
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return s
}

func (w *world) held() mint.Held {
	s := w.stored()
	if s == nil {
		return mint.Held{}
	}
	return mint.Decode(func(key string) ([]byte, bool) { v, ok := s.Data[key]; return v, ok })
}

// await polls until wanted holds.
func (w *world) await(what string, wanted func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !wanted() {
		if time.Now().After(deadline) {
			w.t.Fatalf("never came: %s; conditions %+v", what, w.get().Status.Conditions)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// awaitReady waits for status/reason of Ready, and returns its message.
func (w *world) awaitReady(want string) (message string) {
	w.t.Helper()
	w.await("Ready "+want, func() bool {
		up := w.get()
		c := meta.FindStatusCondition(up.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.ObservedGeneration != up.Generation {
			return false
		}
		message = c.Message
		return string(c.Status)+"/"+c.Reason == want
	})
	return message
}

// counting counts what is written.
type counting struct {
	http.RoundTripper
	writes *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/leases") && !strings.Contains(r.URL.Path, "/events") {
		c.writes.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

// replica is one manager of two.
type replica struct {
	*Minter
	leads <-chan struct{} // closed once it does
	stop  func()          // ends it, without a word to the others
}

// run starts a replica, edited.
func (w *world) run(edit ...func(*Minter)) *replica {
	w.t.Helper()
	name := fmt.Sprintf("%s-%d", w.platform, w.replicas%max(w.leases, 1))
	w.replicas++
	own := rest.CopyConfig(config)
	own.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, &w.writes} })
	lease, renew, again := 12*time.Second, 9*time.Second, 200*time.Millisecond // a busy machine keeps its leader
	mgr, err := ctrl.NewManager(own, ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		Cache:  cache.Options{DefaultNamespaces: map[string]cache.Config{w.platform: {}, system: {}}},
		// The names of controllers are those of a process that has one manager.
		Controller:     ctrlconfig.Controller{SkipNameValidation: new(true)},
		LeaderElection: true, LeaderElectionID: name, LeaderElectionNamespace: system,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &again,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(own)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	grant := secretwatch.Grant{Role: "r", Account: types.NamespacedName{Namespace: system, Name: "m"}}
	watched, schemata := secretwatch.New(c.CoreV1(), grant), schemas.New(c.CoreV1(), grant)
	m := New(mgr.GetClient(), mgr.GetAPIReader(), c.CoreV1(), watched, schemata, system)
	m.ask, m.source.Now, m.again = w.ask, w.clock.now, 20*time.Millisecond
	for _, e := range edit {
		e(m)
	}
	err = errors.Join(
		mgr.Add(watched), mgr.Add(schemata), m.SetupWithManager(ctx, mgr),
		upstreamsecret.SetupWithManager(ctx, mgr, system, watched, schemata, tokenkey.NewRing(watched, system), m),
	)
	if err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := mgr.Start(ctx); err != nil && ctx.Err() == nil {
			w.t.Error(err)
		}
	}()
	stop := func() { cancel(); <-ended }
	w.t.Cleanup(stop)
	return &replica{Minter: m, leads: mgr.Elected(), stop: stop}
}

// settle waits until everything has been looked at often enough since.
func (w *world) settle() {
	w.t.Helper()
	looked := w.clock.reads.Load() + 40
	w.await("more looks", func() bool { return w.clock.reads.Load() >= looked })
}

// quiet fails the test if anything is written or asked while nothing changes.
func (w *world) quiet(asked func() int) {
	w.t.Helper()
	w.settle()
	writes, before := w.writes.Load(), asked()
	w.settle()
	if n := w.writes.Load() - writes; n != 0 {
		w.t.Errorf("%d writes though nothing has changed", n)
	}
	if n := asked() - before; n != 0 {
		w.t.Errorf("%d requests for tokens though nothing has changed", n)
	}
}

// clean fails the test if one of these texts is in an object that users see.
func (w *world) clean(canaries ...string) {
	w.t.Helper()
	var all []string
	up := w.get()
	all = append(all, fmt.Sprintf("%+v", up))
	var maps corev1.ConfigMapList
	if err := admin.List(context.Background(), &maps, client.InNamespace(system)); err != nil {
		w.t.Fatal(err)
	}
	all = append(all, fmt.Sprintf("%+v", maps.Items))
	events, err := clients.EventsV1().Events("").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	all = append(all, fmt.Sprintf("%+v", events.Items))
	if s := w.stored(); s != nil {
		s = s.DeepCopy()
		s.Data = nil
		all = append(all, fmt.Sprintf("%+v", s))
	}
	for _, text := range all {
		for _, canary := range canaries {
			if canary != "" && strings.Contains(text, canary) {
				w.t.Errorf("%q is in an object: %.300s", canary, text)
			}
		}
	}
}
