package identity

import (
	"sync"

	"golang.org/x/time/rate"
)

// maxBuckets bounds how many are told apart.
const maxBuckets = 16384

// Limits bounds how often each of many buckets is filled. It is safe for
// concurrent use. The zero value allows nothing.
type Limits struct {
	PerSecond rate.Limit
	Burst     int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// Allow tells whether a bucket may be filled once more now, and counts it.
func (l *Limits) Allow(bucket string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil || len(l.all) >= maxBuckets {
		// Whoever has that many addresses is not held up by this limit; the
		// memory is bounded all the same.
		l.all = map[string]*rate.Limiter{}
	}
	if l.all[bucket] == nil {
		l.all[bucket] = rate.NewLimiter(l.PerSecond, l.Burst)
	}
	return l.all[bucket].Allow()
}
