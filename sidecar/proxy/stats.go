package proxy

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

// reasons are those of refusals, sorted: the closed set that metrics have.
var reasons = func() []scope.Reason {
	list := make([]scope.Reason, 0, len(answers))
	for r := range answers {
		list = append(list, r)
	}
	slices.Sort(list)
	return list
}()

// maxReasons is above the number of reasons there can be.
const maxReasons = 32

// stats counts what happens with one credential.
type stats struct {
	allowed  atomic.Uint64
	denials  [maxReasons]atomic.Uint64 // by place in reasons; behind them, any other
	failures [maxReasons]atomic.Uint64
	duration metrics.Histogram
}

func (s *stats) denied(r scope.Reason) { s.denials[place(r)].Add(1) }

func (s *stats) failed(r scope.Reason) { s.failures[place(r)].Add(1) }

func place(r scope.Reason) int {
	i, _ := slices.BinarySearch(reasons, r)
	if i < len(reasons) && reasons[i] == r {
		return i
	}
	return len(reasons)
}

// reasonAt is the inverse of place.
func reasonAt(i int) string {
	if i < len(reasons) {
		return string(reasons[i])
	}
	return "other"
}

// Metrics adds what the server has counted to t.
func (s *Server) Metrics(t *metrics.Text) {
	holders := s.sorted()
	t.Family("sallyport_decisions_total", "counter", "Requests judged, by decision and reason.")
	for _, h := range holders {
		labels := h.labels()
		t.Sample("sallyport_decisions_total", float64(h.stats.allowed.Load()), with(labels, "Allow", "")...)
		for i := range h.stats.denials[:len(reasons)+1] {
			if n := h.stats.denials[i].Load(); n > 0 {
				t.Sample("sallyport_decisions_total", float64(n), with(labels, "Deny", reasonAt(i))...)
			}
		}
	}
	t.Family("sallyport_failures_total", "counter", "Allowed requests that the sidecar could not bring to their end, by reason.")
	for _, h := range holders {
		for i := range h.stats.failures[:len(reasons)+1] {
			if n := h.stats.failures[i].Load(); n > 0 {
				t.Sample("sallyport_failures_total", float64(n), append(h.labels(), metrics.Label{Name: "reason", Value: reasonAt(i)})...)
			}
		}
	}
	t.Family("sallyport_request_duration_seconds", "histogram", "Time from the first byte of an allowed request to the last of its answer.")
	for _, h := range holders {
		t.Histogram("sallyport_request_duration_seconds", &h.stats.duration, h.labels()...)
	}
	s.gauges(t, holders)
}

// Seen counts what was denied since it was called before. It is not to be
// called concurrently.
func (s *Server) Seen() (all []bundle.Seen) {
	for _, h := range s.sorted() {
		for i := range reasons {
			n := h.stats.denials[i].Load()
			if n > h.told[i] {
				all = append(all, bundle.Seen{Credential: h.name, Reason: reasons[i], Count: n - h.told[i]})
			}
			h.told[i] = n
		}
	}
	return all
}

func (s *Server) gauges(t *metrics.Text, holders []*holder) {
	t.Family("sallyport_requests_in_flight", "gauge", "Allowed requests under way.")
	for _, h := range holders {
		t.Sample("sallyport_requests_in_flight", float64(h.inFlight.Load()), h.labels()...)
	}
	t.Family("sallyport_connections", "gauge", "Connections of agents.")
	t.Sample("sallyport_connections", float64(s.connections()))
	t.Family("sallyport_lease_not_after_timestamp_seconds", "gauge", "When the lease of a credential ends without news; 0: it has none.")
	for _, h := range holders {
		ends := 0.0
		if l := h.lease.Load(); l != nil && l.shown.Unix() > 0 {
			ends = float64(l.shown.Unix())
		}
		t.Sample("sallyport_lease_not_after_timestamp_seconds", ends, h.labels()...)
	}
}

func (s *Server) sorted() []*holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*holder, 0, len(s.holders))
	for _, h := range s.holders {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b *holder) int { return strings.Compare(a.name, b.name) })
	return list
}

func (h *holder) labels() []metrics.Label {
	namespace, name, _ := strings.Cut(h.name, "/")
	return []metrics.Label{{Name: "namespace", Value: namespace}, {Name: "credential", Value: name}}
}

func with(labels []metrics.Label, decision, reason string) []metrics.Label {
	return append(slices.Clone(labels), metrics.Label{Name: "decision", Value: decision}, metrics.Label{Name: "reason", Value: reason})
}
