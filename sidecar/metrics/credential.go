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
	LeaseEnds       float64 // seconds since 1970; 0: it has none
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
	t.Family("sallyport_requests_in_flight", "gauge", "Allowed requests under way.")
	for _, h := range list {
		t.Sample("sallyport_requests_in_flight", float64(h.InFlight), h.labels()...)
	}
	t.Family("sallyport_lease_not_after_timestamp_seconds", "gauge", "When the lease of a credential ends without news; 0: it has none.")
	for _, h := range list {
		t.Sample("sallyport_lease_not_after_timestamp_seconds", h.LeaseEnds, h.labels()...)
	}
}

// counts adds what was counted by reason.
func (t *Text) counts(name string, of *[maxReasons]atomic.Uint64, labels []Label) {
	for i := range of[:len(reasons)+1] {
		if n := of[i].Load(); n > 0 {
			t.Sample(name, float64(n), append(slices.Clone(labels), Label{"reason", reasonAt(i)})...)
		}
	}
}
