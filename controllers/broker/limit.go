package broker

import (
	"net"
	"sync"

	"golang.org/x/time/rate"
)

// What one address may do. Streams cost the API server a review each.
const (
	streamsPerSecond = 1
	streamBurst      = 5
	maxAddresses     = 16384
)

// limits bounds the streams that an address may open. It is safe for
// concurrent use. The zero value allows none.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// allow tells whether the peer at remote, host:port, may open a stream now.
func (l *limits) allow(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil || len(l.all) >= maxAddresses {
		// Whoever has that many addresses is not held up by this limit; the
		// memory is bounded all the same.
		l.all = map[string]*rate.Limiter{}
	}
	if l.all[host] == nil {
		l.all[host] = rate.NewLimiter(l.perSecond, l.burst)
	}
	return l.all[host].Allow()
}
