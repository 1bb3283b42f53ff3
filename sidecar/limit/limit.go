// Package limit counts requests against the limits of grants and credentials.
// It counts in memory: what it bounds is one sidecar.
package limit

import (
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Bucket is the rest of what one [scope.Rate] allows. It is full when it is
// made, and filled evenly. A nil Bucket has no bound. Only a [Counter] takes
// from it.
type Bucket struct {
	rate scope.Rate
	// credit is what is left, in shares of a microsecond: a request costs as
	// many as the time has in which the bucket fills up, so that nothing is
	// ever rounded.
	credit int64
	last   time.Time // until when it was filled
	// owed is what was used of a rate before beyond all that this one allows, until it
	// would have come back: a rate that is lowered and raised again gives nothing.
	owed  int64
	until time.Time
}

func (b *Bucket) cost() int64 { return max(1, b.rate.Per.Microseconds()) }

func (b *Bucket) full() int64 { return int64(b.rate.Count) * b.cost() }

// fill adds what has come since the last time.
func (b *Bucket) fill(now time.Time) {
	if b.last.IsZero() {
		b.last = now
	}
	passed := now.Sub(b.last).Microseconds()
	switch {
	case passed <= 0:
		return // a clock that was set back takes nothing away
	case passed >= b.cost():
		b.credit = b.full()
	default:
		b.credit = min(b.full(), b.credit+passed*int64(b.rate.Count))
	}
	b.last = b.last.Add(time.Duration(passed) * time.Microsecond)
}

// wait returns how long it takes until there is one more request.
func (b *Bucket) wait() time.Duration {
	lacking, count := b.cost()-b.credit, int64(b.rate.Count)
	return time.Duration((lacking+count-1)/count) * time.Microsecond
}

// Buckets are those of one version of a credential, by whatever names them.
type Buckets map[string]*Bucket

// Counter counts the requests of one credential, whatever its versions. The
// zero Counter is ready to be used, by many at once.
type Counter struct{ mu sync.Mutex }

// Renew adds the bucket of a name to made, as old has it, and returns it. One
// whose rate has changed starts with what was used used: a change gives
// nothing back. A nil rate has no bound.
func (c *Counter) Renew(made, old Buckets, name string, rate *scope.Rate) *Bucket {
	if rate == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := old[name]
	switch {
	case made[name] != nil:
	case before != nil && before.rate == *rate:
		made[name] = before
	case before != nil:
		made[name] = before.changed(*rate)
	default:
		made[name] = newBucket(*rate)
	}
	return made[name]
}

func newBucket(rate scope.Rate) *Bucket {
	b := &Bucket{rate: rate}
	b.credit = b.full()
	return b
}

func (b *Bucket) changed(rate scope.Rate) *Bucket {
	used := (b.full() - b.credit + b.cost() - 1) / b.cost()
	until := b.last.Add(b.rate.Per)
	if b.last.Before(b.until) {
		used += b.owed
		until = later(until, b.until)
	}
	made := newBucket(rate)
	made.credit, made.last = max(0, made.full()-used*made.cost()), b.last
	if made.owed = used - int64(rate.Count); made.owed > 0 {
		made.until = until
	}
	return made
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// maxKept bounds the buckets that are kept for nobody.
const maxKept = 1024

// Keep adds to made those of old that no rate has now, until they are full: one that
// comes back later goes on as it was.
func (c *Counter) Keep(made, old Buckets, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := 0
	for name, b := range old {
		if made[name] != nil || kept == maxKept {
			continue
		}
		if b.fill(now); b.credit < b.full() || now.Before(b.until) {
			made[name] = b
			kept++
		}
	}
}

// Take charges a request. Each group has the buckets of which one must have
// something left; a group without a bucket has no bound. Where every group
// has, the request is charged to each bucket that has something left;
// else nothing is charged, and wait is how long it will take.
func (c *Counter) Take(now time.Time, groups ...[]*Bucket) (wait time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, group := range groups {
		wait = max(wait, least(group, now))
	}
	if wait > 0 {
		return wait, false
	}
	for _, group := range groups {
		for _, b := range group {
			if b != nil && b.credit >= b.cost() {
				b.credit -= b.cost()
			}
		}
	}
	return 0, true
}

// least returns how long it takes until one bucket of a group has something.
func least(group []*Bucket, now time.Time) time.Duration {
	shortest := time.Duration(-1)
	for _, b := range group {
		wait := time.Duration(0)
		if b != nil {
			b.fill(now)
			if b.credit < b.cost() {
				wait = b.wait()
			}
		}
		if shortest < 0 || wait < shortest {
			shortest = wait
		}
	}
	return max(0, shortest)
}
