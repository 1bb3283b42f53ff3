package prove

import (
	"math/big"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// asOften reports whether a lets pass as many requests as b, at once and in
// the long run; nil is no limit.
func asOften(a, b *scope.Limits) bool {
	switch {
	case a == nil:
		return true
	case b == nil:
		return false
	}
	return a.Requests.Count >= b.Requests.Count && perSecond(a.Requests).Cmp(perSecond(b.Requests)) >= 0
}

func perSecond(r scope.Rate) *big.Rat { return big.NewRat(int64(r.Count), max(1, int64(r.Per))) }

// asMuch reports whether an answer that is cut to a leaves every field that one
// cut to b does, as far as that can be seen without reading paths.
func asMuch(a, b *scope.Response) bool {
	switch {
	case a == nil:
		return true
	case b == nil:
		return false
	}
	return !slices.ContainsFunc(b.Keep, func(path string) bool { return !slices.Contains(a.Keep, path) })
}

// both is what is kept of an answer that a or b keeps; nil is all of it.
func both(a, b *scope.Response) *scope.Response {
	if a == nil || b == nil {
		return nil
	}
	return &scope.Response{Keep: slices.Concat(a.Keep, b.Keep)}
}

// withTotals adds a change for each limit of all grants that lets more pass
// than before. A scope without grants lets nothing pass.
func withTotals(changes []Change, before, now *Scope) []Change {
	if len(before.Grants) == 0 || len(now.Grants) == 0 {
		return changes
	}
	rate := func(r *scope.Rate) *scope.Limits {
		if r == nil {
			return nil
		}
		return &scope.Limits{Requests: *r}
	}
	if !asOften(rate(before.Requests), rate(now.Requests)) {
		changes = append(changes, Change{Limit: "spec.limits.requests", Otherwise: true})
	}
	if before.Concurrency > 0 && (now.Concurrency == 0 || now.Concurrency > before.Concurrency) {
		changes = append(changes, Change{Limit: "spec.limits.concurrency", Otherwise: true})
	}
	return changes
}

// sharesLimit reports whether a region of the limited grant at i lies within b
// for the sake of a limited grant that covers another one of a as well: what
// the two allow together may be more than what that one does.
func (a *side) sharesLimit(s *region.Space, b *side, i int, r *region.Region, all []*region.Region) bool {
	s.Renew(proofWork)
	if _, found := s.Outside(r.Unlimited(), all); !found && !s.Exceeded() {
		return false // it lies within what has no limit
	}
	for k := range b.Grants {
		if b.Grants[k].Limits == nil || !meet(s, b.built[k].regions, []*region.Region{r}) {
			continue
		}
		for j := range a.Grants {
			if j != i && a.Grants[j].Limits != nil && meet(s, a.built[j].regions, b.built[k].regions) {
				return true
			}
		}
	}
	return s.Exceeded()
}

func meet(s *region.Space, a, b []*region.Region) bool {
	for _, x := range a {
		for _, y := range b {
			if _, found := s.Common(x, y); found {
				return true
			}
		}
	}
	return false
}
