package lifetime

import "time"

// Lease is how long a credential may be served without news. A nil
// Lease is over.
type Lease struct {
	monotonic time.Time // by the clock that nobody sets
	wall      time.Time // by the one that is set
	ends      time.Time // as it was said
}

const (
	shortestOffline = 30 * time.Second // two heartbeats
	clockLeeway     = 30 * time.Second
)

// NewLease counts from receipt, so that a frame that was delayed stretches
// nothing: whichever clock is first ends the lease.
func NewLease(received time.Time, maxOffline time.Duration, ends time.Time) *Lease {
	return &Lease{
		monotonic: received.Add(max(maxOffline, shortestOffline)),
		wall:      ends.Round(0).Add(clockLeeway),
		ends:      ends,
	}
}

// Over tells whether the credential may be served no more.
func (l *Lease) Over(now time.Time) bool {
	return l == nil || !now.Before(l.monotonic) || !now.Round(0).Before(l.wall)
}

// Ends is when the broker said that it ends.
func (l *Lease) Ends() time.Time { return l.ends }
