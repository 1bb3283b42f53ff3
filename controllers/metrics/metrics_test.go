package metrics_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/test/envtest"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

const agents = "agents"

// world is a real API server, a replica of the manager that serves sidecars and
// shows metrics, and what reads them.
type world struct {
	t       *testing.T
	config  *rest.Config
	api     client.Client
	clients kubernetes.Interface
	broker  string // address
	page    string // URL of the metrics
}

// TestMetrics has each metric change by what really happens, as whoever scrapes
// the endpoint sees it.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.run(&fleet.Manager{Config: w.config, Listener: w.listen(), Registry: registry{ctrlmetrics.Registry, t}})
	w.objects()

	// Nobody judges yet.
	w.await("sallyport_oldest_unreconciled_seconds", above(0), "kind", "ScopedCredential")
	w.await("sallyport_oldest_unreconciled_seconds", above(0), "kind", "UpstreamSecret")
	w.run(&fleet.Manager{Config: w.config, Listener: w.elsewhere(), Leads: true})
	w.await("sallyport_oldest_unreconciled_seconds", equal(0), "kind", "ScopedCredential")
	w.await("sallyport_oldest_unreconciled_seconds", equal(0), "kind", "UpstreamSecret")

	now := float64(time.Now().Unix())
	w.await("sallyport_certificate_not_after_timestamp_seconds", above(now), "certificate", "broker")
	w.await("sallyport_certificate_not_after_timestamp_seconds", above(now), "certificate", "authority")
	w.await("sallyport_lease_not_after_timestamp_seconds", equal(0))
	w.await("sallyport_uninjected_pods", equal(0))
	w.agree()

	sidecar := w.sidecar()
	w.await("sallyport_enforced_generation_lag", equal(1)) // a pod runs whose sidecar enforces nothing
	leave := w.background(sidecar.Run)
	w.await("sallyport_lease_not_after_timestamp_seconds", above(now))
	w.await("sallyport_enforced_generation_lag", equal(0))
	w.await("sallyport_propagation_seconds", equal(0)) // what a stream begins with is no change
	w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Grants[0].HTTP.Paths = []string{"/notes", "/more"} })
	w.await("sallyport_propagation_seconds", equal(1))
	w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = true })
	w.await("sallyport_propagation_seconds", above(1))
	w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = false })

	w.await("sallyport_denied_total", equal(0), "reason", "OutOfScope")
	w.deny(sidecar)
	w.await("sallyport_denied_total", equal(1), "reason", "OutOfScope")

	plain := w.pod("plain", nil)
	finished := w.pod("finished", nil)
	finished.Status.Phase = corev1.PodSucceeded
	w.must(w.api.Status().Update(t.Context(), finished))
	w.await("sallyport_uninjected_pods", equal(1))
	w.pod("labelled", map[string]string{inject.LabelInjected: "true"})
	w.await("sallyport_uninjected_pods", equal(2))
	w.must(w.api.Delete(t.Context(), plain, client.GracePeriodSeconds(0)))
	w.await("sallyport_uninjected_pods", equal(1))

	// A sidecar that is not there any more, in a pod that is.
	w.settled()
	leave()
	w.await("sallyport_lease_not_after_timestamp_seconds", equal(0))
	w.await("sallyport_revocations_pending", equal(0))
	w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Grants[0].HTTP.Paths = []string{"/notes"} })
	w.await("sallyport_enforced_generation_lag", equal(1))
	w.await("sallyport_revocations_pending", equal(1))
	w.must(w.api.Delete(t.Context(), sidecar.Pod, client.GracePeriodSeconds(0)))
	w.await("sallyport_enforced_generation_lag", equal(0))
	w.await("sallyport_revocations_pending", equal(0))
}

// registry shows what is registered until the test ends.
type registry struct {
	prometheus.Registerer
	t *testing.T
}

func (r registry) Register(c prometheus.Collector) error {
	r.t.Cleanup(func() { r.Unregister(c) })
	return r.Registerer.Register(c)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	config, stop, err := envtest.Start()
	w.must(err)
	t.Cleanup(func() { w.must(stop()) })
	config.QPS, config.Burst = -1, -1
	w.config = config
	w.api, err = client.New(config, client.Options{Scheme: fleet.Scheme()})
	w.must(err)
	w.clients, err = kubernetes.NewForConfig(config)
	w.must(err)
	w.must(fleet.Prepare(t.Context(), config, time.Now()))
	w.scraped()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// scraped starts the endpoint that a manager has.
func (w *world) scraped() {
	w.t.Helper()
	server, err := metricsserver.NewServer(metricsserver.Options{BindAddress: "127.0.0.1:0"}, w.config, &http.Client{Timeout: time.Minute})
	w.must(err)
	w.background(server.Start)
	bound, ok := server.(interface{ GetBindAddr() string })
	if !ok {
		w.t.Fatal("nobody knows where the endpoint is")
	}
	w.poll("the endpoint listens", func() bool { return bound.GetBindAddr() != "" })
	w.page = "http://" + bound.GetBindAddr() + "/metrics"
}

// background runs f until the test ends.
func (w *world) background(f func(context.Context) error) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f(ctx); err != nil {
			w.t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(stop)
	return stop
}

func (w *world) run(m *fleet.Manager) { w.background(m.Run) }

func (w *world) listen() net.Listener {
	w.t.Helper()
	l := w.elsewhere()
	w.broker = l.Addr().String()
	return l
}

func (w *world) elsewhere() net.Listener {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	return l
}

func (w *world) poll(what string, wanted func() bool) {
	w.t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("never came: %s", what)
		}
	}
}

// families are what the endpoint shows of ours.
func (w *world) families() map[string]*dto.MetricFamily {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.page, http.NoBody)
	w.must(err)
	response, err := (&http.Client{Timeout: time.Minute}).Do(request)
	w.must(err)
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(response.Body)
	w.must(err)
	for name := range all {
		if !regexp.MustCompile(`^sallyport_`).MatchString(name) {
			delete(all, name)
		}
	}
	return all
}

type matcher struct {
	says string
	of   func(float64) bool
}

func above(least float64) matcher {
	return matcher{fmt.Sprint("above ", least), func(v float64) bool { return v > least }}
}

func equal(want float64) matcher {
	return matcher{fmt.Sprint(want), func(v float64) bool { return v == want }}
}

// await waits for a metric to be as wanted; of a histogram it is the number of
// observations. It has exactly these labels, a name and a value each.
func (w *world) await(name string, wanted matcher, labels ...string) {
	w.t.Helper()
	want := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		want[labels[i]] = labels[i+1]
	}
	last := "absent"
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%s was %s", name, last)
		}
	}()
	w.poll(fmt.Sprintf("%s%v is %s", name, labels, wanted.says), func() bool {
		for _, m := range w.families()[name].GetMetric() {
			got := map[string]string{}
			for _, l := range m.GetLabel() {
				got[l.GetName()] = l.GetValue()
			}
			if !cmp.Equal(got, want) {
				continue
			}
			v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			last = fmt.Sprint(v)
			return wanted.of(v)
		}
		return false
	})
}

// agree holds docs/reference/metrics.md to the page.
func (w *world) agree() {
	w.t.Helper()
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	w.must(err)
	section := regexp.MustCompile(`(?s)\n## Of the manager\n(.*?)(\n## |$)`).FindSubmatch(text)
	if section == nil {
		w.t.Fatal("docs/reference/metrics.md has no section of the manager")
	}
	listed, shown := map[string]string{}, map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (\\S+) \\|").FindAllStringSubmatch(string(section[1]), -1) {
		listed[row[1]] = row[2]
	}
	kinds := map[dto.MetricType]string{dto.MetricType_COUNTER: "counter", dto.MetricType_GAUGE: "gauge", dto.MetricType_HISTOGRAM: "histogram"}
	for name, family := range w.families() {
		shown[name] = kinds[family.GetType()]
	}
	if diff := cmp.Diff(shown, listed); diff != "" {
		w.t.Errorf("docs/reference/metrics.md: -page +reference\n%s", diff)
	}
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: agents, Name: name}
}

// objects makes what platform team and author do.
func (w *world) objects() {
	w.t.Helper()
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: agents}},
		&corev1.ServiceAccount{ObjectMeta: named(fleet.Account)},
		&corev1.Secret{ObjectMeta: named("key"), StringData: map[string]string{"token": "key-0"}},
		&v1alpha1.UpstreamSecret{ObjectMeta: named("upstream"), Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{Name: "rest", URL: "https://example.com", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}}}},
			Source:    v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "key", Key: "token"}},
		}},
		&v1alpha1.ScopedCredential{ObjectMeta: named("notes"), Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "upstream"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{fleet.Account}},
			Grants:   []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/notes"}}}},
		}},
	} {
		w.must(w.api.Create(w.t.Context(), o))
	}
}

// sidecar makes one in a pod that is said to run.
func (w *world) sidecar() *fleet.Sidecar {
	w.t.Helper()
	dialer, err := dial.New(dial.Options{})
	w.must(err)
	s, err := fleet.New(w.t.Context(), w.api, agents, "notes", 1, w.t.TempDir(), dialer)
	w.must(err)
	w.must(s.RenewIdentity(w.t.Context(), w.clients))
	s.Connect(w.broker)
	return s
}

// edit changes the credential, however often its status is written meanwhile.
func (w *world) edit(change func(*v1alpha1.ScopedCredentialSpec)) {
	w.t.Helper()
	w.poll("the edit", func() bool {
		sc := &v1alpha1.ScopedCredential{}
		w.must(w.api.Get(w.t.Context(), client.ObjectKey{Namespace: agents, Name: "notes"}, sc))
		change(&sc.Spec)
		return w.api.Update(w.t.Context(), sc) == nil
	})
}

// settled waits until the sidecar has acknowledged all there is.
func (w *world) settled() {
	w.t.Helper()
	w.poll("the credential is enforced", func() bool {
		sc := &v1alpha1.ScopedCredential{}
		w.must(w.api.Get(w.t.Context(), client.ObjectKey{Namespace: agents, Name: "notes"}, sc))
		s := sc.Status
		return s.ObservedGeneration == sc.Generation && s.Sidecars != nil && s.Sidecars.Enforcing == 1 && s.Revocation == nil
	})
}

// deny makes one request that no grant allows, once anything is granted.
func (w *world) deny(s *fleet.Sidecar) {
	w.t.Helper()
	w.settled()
	w.poll("the refusal", func() bool {
		request, err := http.NewRequestWithContext(w.t.Context(), http.MethodDelete, "http://"+s.Address+"/notes", http.NoBody)
		w.must(err)
		request.Header.Set("Authorization", "Bearer "+s.Handle)
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}).Do(request)
		w.must(err)
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusForbidden
	})
}

// pod makes one that asks for the credential and was never injected.
func (w *world) pod(name string, labels map[string]string) *corev1.Pod {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: agents, Name: name, Labels: labels, Annotations: map[string]string{inject.AnnotationCredentials: "notes"}},
		Spec:       corev1.PodSpec{ServiceAccountName: fleet.Account, Containers: []corev1.Container{{Name: "agent", Image: "agent"}}},
	}
	w.must(w.api.Create(w.t.Context(), pod))
	return pod
}
