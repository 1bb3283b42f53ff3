package proxy

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

// Metrics adds what the server has counted to t.
func (s *Server) Metrics(t *metrics.Text) {
	var list []metrics.Holder
	for _, h := range s.sorted() {
		list = append(list, s.shown(h))
	}
	if s.proxied() {
		list = append(list, metrics.Holder{Credential: &s.nobody.stats})
	}
	t.Holders(list)
	t.Family("sallyport_connections", "gauge", "Connections of agents, and calls over HTTP/2 on them.")
	t.Sample("sallyport_connections", float64(s.connections()))
	t.Family("sallyport_connections_limit", "gauge", "How many of them may be open.")
	t.Sample("sallyport_connections_limit", maxConnections)
}

// shown is a credential as metrics have it.
func (s *Server) shown(h *holder) metrics.Holder {
	out := metrics.Holder{Credential: &h.stats, InFlight: h.inFlight.Load()}
	out.Namespace, out.Name, _ = strings.Cut(h.name, "/")
	if l := h.lease.Load(); l != nil {
		out.LeaseEnds = max(0, l.shown.Unix())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.held != nil {
		out.Limit, out.Generation, out.Applied = h.held.Limits.Concurrency, h.held.Generation, h.at.Unix()
	}
	return out
}

// Seen counts what was denied since it was called before. It is not to be
// called concurrently.
func (s *Server) Seen() (all []bundle.Seen) {
	for _, h := range s.sorted() {
		h.stats.News(func(r scope.Reason, n uint64) {
			all = append(all, bundle.Seen{Credential: h.name, Reason: r, Count: n})
		})
	}
	return all
}

func (s *Server) sorted() []*holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.holders), func(a, b *holder) int { return strings.Compare(a.name, b.name) })
}
