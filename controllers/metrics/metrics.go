// Package metrics shows what the manager promises as metrics of Prometheus: how
// fast a change is enforced, what trails behind, and what is about to end. The
// names are those of docs/reference/metrics.md.
//
// No label holds the name of an object: authors choose those, as many as they
// like. A metric says that something is wrong, the status of the objects says
// where (docs/adr/0019).
package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// otherReason stands for what is not in the closed set of reasons: a sidecar of
// another release may send it.
const otherReason = "other"

// buckets are the upper bounds of sallyport_propagation_seconds. They have the
// two that are promised: half of all changes within 150 ms, all but one in a
// hundred within 1 s.
var buckets = []float64{0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// Options are what Metrics reads when it is asked. Leases and Accepted are
// required.
type Options struct {
	// Leases returns the earliest end of the leases that were granted to
	// sidecars that are connected; zero: none is.
	Leases func() time.Time
	// Certificates returns the end of each certificate, by the name it is shown
	// with; zero: it is not known here, and not shown.
	Certificates map[string]func() time.Time
	// Accepted returns the generation that was accepted of the ScopedCredential
	// with a UID, from a cache; 0: none was.
	Accepted func(types.UID) int64
	// LookEvery is the time between two looks for pods without a sidecar; 0: five
	// minutes.
	LookEvery time.Duration
	// Registry shows the metrics; nil: that of controller-runtime.
	Registry prometheus.Registerer
	// Now is the clock of ages; nil: time.Now.
	Now func() time.Time
}

// Metrics is a Collector of all that one replica shows. It is safe for
// concurrent use.
type Metrics struct {
	options     Options
	propagation prometheus.Histogram
	denied      *prometheus.CounterVec

	mu         sync.Mutex
	unsettled  map[objectKey]object // objects of ours with something to show
	uninjected int
	looked     bool // for pods without a sidecar, at least once
}

// New returns Metrics that count. [Metrics.SetupWithManager] shows them.
func New() *Metrics {
	m := &Metrics{
		unsettled: map[objectKey]object{},
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sallyport_propagation_seconds", Buckets: buckets,
			Help: "Time from the moment at which this replica saw a change of what a credential gives until a sidecar acknowledged it.",
		}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_denied_total", Help: "Requests that sidecars told this replica they have denied, by reason.",
		}, []string{"reason"}),
	}
	// A counter that starts with its first denial would hide that from rate().
	for _, r := range scope.Reasons() {
		m.denied.WithLabelValues(string(r))
	}
	m.denied.WithLabelValues(otherReason)
	return m
}

// SetupWithManager shows m at the endpoint of mgr. It is called once, before mgr
// is started, whose cache has pods that were injected alone.
func (m *Metrics) SetupWithManager(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LookEvery == 0 {
		o.LookEvery = lookEvery
	}
	if o.Registry == nil {
		o.Registry = ctrlmetrics.Registry
	}
	m.options = o
	if err := m.watch(ctx, mgr.GetCache()); err != nil {
		return err
	}
	look := &uninjectedPods{metrics: m, cached: mgr.GetClient(), live: mgr.GetAPIReader(), every: o.LookEvery}
	if err := mgr.Add(look); err != nil {
		return fmt.Errorf("adding a look for pods: %w", err)
	}
	if err := o.Registry.Register(m); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// Propagated counts a change that a sidecar has acknowledged, after d.
func (m *Metrics) Propagated(d time.Duration) { m.propagation.Observe(d.Seconds()) }

// Denied counts n requests that were denied. A reason that is none of ours is
// counted as another one.
func (m *Metrics) Denied(reason scope.Reason, n uint64) {
	label := otherReason
	for _, known := range scope.Reasons() {
		if reason == known {
			label = string(known)
		}
	}
	m.denied.WithLabelValues(label).Add(float64(n))
}

// gauges describe what is looked up when it is asked for.
var (
	generationLag = prometheus.NewDesc("sallyport_enforced_generation_lag",
		"Largest number of generations by which what a sidecar enforces is behind what was accepted of its ScopedCredential.", nil, nil)
	revocations = prometheus.NewDesc("sallyport_revocations_pending",
		"Sidecars that have not acknowledged yet that a generation they enforce is not in force any more.", nil, nil)
	oldest = prometheus.NewDesc("sallyport_oldest_unreconciled_seconds",
		"Age of the oldest edit, as this replica saw it, that no reconciler has judged; 0: there is none.", []string{"kind"}, nil)
	uninjected = prometheus.NewDesc("sallyport_uninjected_pods",
		"Pods that ask for credentials and have no sidecar. Shown by the leader.", nil, nil)
	leases = prometheus.NewDesc("sallyport_lease_not_after_timestamp_seconds",
		"Earliest end of the leases of the sidecars that are connected to this replica; 0: none has one.", nil, nil)
	certificates = prometheus.NewDesc("sallyport_certificate_not_after_timestamp_seconds",
		"End of a certificate of the manager's.", []string{"certificate"}, nil)
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(into chan<- *prometheus.Desc) {
	m.propagation.Describe(into)
	m.denied.Describe(into)
	for _, d := range []*prometheus.Desc{generationLag, revocations, oldest, uninjected, leases, certificates} {
		into <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(into chan<- prometheus.Metric) {
	m.propagation.Collect(into)
	m.denied.Collect(into)
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now := m.options.Now()
	trailing, pending, ages := m.objects(now)
	gauge(generationLag, float64(m.lag(trailing)))
	gauge(revocations, float64(pending))
	for kind, age := range ages {
		gauge(oldest, age.Seconds(), string(kind))
	}
	m.mu.Lock()
	pods, looked := m.uninjected, m.looked
	m.mu.Unlock()
	if looked {
		gauge(uninjected, float64(pods))
	}
	gauge(leases, unix(m.options.Leases()))
	for name, end := range m.options.Certificates {
		if at := end(); !at.IsZero() {
			gauge(certificates, unix(at), name)
		}
	}
}

// unix is the time in seconds since 1970; 0 for none.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
