package engine

import (
	"slices"
	"time"
)

// Times are how long answers took. Every one is kept, so that quantiles are
// exact and none is an outlier.
type Times struct {
	Whole   []time.Duration // of requests, or of events; sorted
	First   []time.Duration // of event streams, until the first event; sorted
	Took    time.Duration   // all of it
	Unasked int             // requests of an open loop that were never sent: it was overloaded
}

func (t Times) sorted() Times {
	t.Whole, t.First = slices.Clone(t.Whole), slices.Clone(t.First)
	slices.Sort(t.Whole)
	slices.Sort(t.First)
	return t
}

// Quantile is the least time within which a share q of the sorted times is, by
// nearest rank: none is interpolated. Of no times it is zero.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	// ceil(q*n), in thousandths so that 0.99 is not a little more than it is.
	rank := (int(q*1000+0.5)*len(sorted) + 999) / 1000
	return sorted[min(max(rank, 1), len(sorted))-1]
}
