package metrics

import (
	"slices"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// reasons are those of refused requests, sorted: the closed set that is shown.
// Others are shown as one.
var reasons = slices.Sorted(slices.Values(scope.Reasons()))

// maxReasons is above the number of reasons there can be.
const maxReasons = 32

// Credential counts what happens with one credential. It is safe for concurrent
// use.
type Credential struct {
	Allowed  atomic.Uint64
	Duration Histogram
	denials  [maxReasons]atomic.Uint64 // by place in reasons; behind them, any other
	failures [maxReasons]atomic.Uint64
	told     [maxReasons]uint64 // denials that News has told of
}

// Denied counts a request that was refused.
func (c *Credential) Denied(r scope.Reason) { c.denials[place(r)].Add(1) }

// News calls tell with how many requests were refused since it was called
// before, by reason. It is not to be called concurrently.
func (c *Credential) News(tell func(r scope.Reason, n uint64)) {
	for i, r := range reasons {
		n := c.denials[i].Load()
		if n > c.told[i] {
			tell(r, n-c.told[i])
		}
		c.told[i] = n
	}
}

// Failed counts a request that was allowed and could not be brought to its end.
func (c *Credential) Failed(r scope.Reason) { c.failures[place(r)].Add(1) }

func place(r scope.Reason) int {
	i, found := slices.BinarySearch(reasons, r)
	if found {
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

// A Holder is one credential of the pod, as it is shown.
type Holder struct {
	*Credential
	Namespace, Name string
	InFlight        int64
	Limit           int   // of requests in flight; 0: nothing is served
	Generation      int64 // of the ScopedCredential in force; 0: none is
	Applied         int64 // since when, in seconds since 1970; 0: none is
	LeaseEnds       int64 // in seconds since 1970; 0: it has none
}

func (h *Holder) labels(more ...Label) []Label {
	return append([]Label{{"namespace", h.Namespace}, {"credential", h.Name}}, more...)
}

// Holders adds what was counted of credentials.
func (t *Text) Holders(list []Holder) {
	t.Family("sallyport_decisions_total", "counter", "Requests judged, by decision and reason.")
	for _, h := range list {
		t.Sample("sallyport_decisions_total", float64(h.Allowed.Load()), h.labels(Label{"decision", "Allow"}, Label{"reason", ""})...)
		t.counts("sallyport_decisions_total", &h.denials, h.labels(Label{"decision", "Deny"}))
	}
	t.Family("sallyport_failures_total", "counter", "Allowed requests that the sidecar could not bring to their end, by reason.")
	for _, h := range list {
		t.counts("sallyport_failures_total", &h.failures, h.labels())
	}
	t.Family("sallyport_request_duration_seconds", "histogram", "Time from the first byte of an allowed request to the last of its answer.")
	for _, h := range list {
		t.Histogram("sallyport_request_duration_seconds", &h.Duration, h.labels()...)
	}
	for _, g := range gauges {
		t.Family(g.name, "gauge", g.help)
		for i := range list {
			t.Sample(g.name, g.of(&list[i]), list[i].labels()...)
		}
	}
}

// gauges are what a credential is like now.
var gauges = []struct {
	name, help string
	of         func(h *Holder) float64
}{
	{"sallyport_requests_in_flight", "Allowed requests under way.", func(h *Holder) float64 { return float64(h.InFlight) }},
	{"sallyport_requests_in_flight_limit", "How many of them may be.", func(h *Holder) float64 { return float64(h.Limit) }},
	{"sallyport_lease_not_after_timestamp_seconds", "When the lease of a credential ends without news; 0: it has none.", func(h *Holder) float64 { return float64(h.LeaseEnds) }},
	{"sallyport_applied_timestamp_seconds", "When the document in force was put in force; 0: none is.", func(h *Holder) float64 { return float64(h.Applied) }},
	{"sallyport_applied_generation", "Generation of the ScopedCredential in force; 0: none is.", func(h *Holder) float64 { return float64(h.Generation) }},
}

// counts adds what was counted by reason.
func (t *Text) counts(name string, of *[maxReasons]atomic.Uint64, labels []Label) {
	for i := range of[:len(reasons)+1] {
		if n := of[i].Load(); n > 0 {
			t.Sample(name, float64(n), append(slices.Clone(labels), Label{"reason", reasonAt(i)})...)
		}
	}
}
