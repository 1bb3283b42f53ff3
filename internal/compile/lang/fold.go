package lang

import (
	"cmp"
	"slices"
)

// AnyCase returns the words that are in s once their ASCII letters are put
// into lower case.
func (w *Work) AnyCase(s *Set) *Set {
	return w.relabel(s, func(e edge, add func(lo, hi Symbol)) {
		outside(e, 'A', 'Z', add)
		if lo, hi := max(e.lo, 'a'), min(e.hi, 'z'); lo <= hi {
			add(lo-'a'+'A', hi-'a'+'A')
		}
	})
}

// FoldCase is AnyCase for words that are forwarded in lower case: a letter
// that came in upper case is another symbol than one that stays so.
func (w *Work) FoldCase(s *Set) *Set {
	return w.relabel(s, func(e edge, add func(lo, hi Symbol)) {
		outside(e, 'A', 'Z', add)
		if lo, hi := max(e.lo, 'a'), min(e.hi, 'z'); lo <= hi {
			add(lo-'a'+folded, hi-'a'+folded)
		}
	})
}

// NoUpper returns the words of s that came without ASCII letters in upper case.
func (w *Work) NoUpper(s *Set) *Set {
	return w.relabel(s, func(e edge, add func(lo, hi Symbol)) {
		if e.hi < folded {
			outside(e, 'A', 'Z', add)
		}
	})
}

// GlueSlashes returns the words of s with any of their slashes come as %2F.
func (w *Work) GlueSlashes(s *Set) *Set {
	return w.relabel(s, func(e edge, add func(lo, hi Symbol)) {
		add(e.lo, e.hi)
		if e.lo <= '/' && '/' <= e.hi {
			add(Glue, Glue)
		}
	})
}

// Disguise returns the words of s with any of their slashes come as %2F, and
// any of their letters in upper case forwarded in lower case.
func (w *Work) Disguise(s *Set) *Set {
	return w.relabel(w.GlueSlashes(s), func(e edge, add func(lo, hi Symbol)) {
		add(e.lo, e.hi)
		if lo, hi := max(e.lo, 'A'), min(e.hi, 'Z'); lo <= hi {
			add(lo-'A'+folded, hi-'A'+folded)
		}
	})
}

// Forwarded returns the words that those of s are forwarded as: plain text.
func (w *Work) Forwarded(s *Set) *Set {
	if s.Empty() {
		return s
	}
	n := &automaton{accept: slices.Clone(s.final), moves: make([][]edge, len(s.final))}
	for i := range s.final {
		for _, e := range s.edges[s.first[i]:s.first[i+1]] {
			for lo := e.lo; lo <= e.hi; {
				hi := e.hi
				if lo < Glue {
					hi = min(hi, Glue-1)
				} else if lo == Glue {
					hi = lo
				}
				n.moves[i] = append(n.moves[i], edge{goes(lo), goes(hi), e.to})
				lo = hi + 1
			}
		}
	}
	return w.determinize(n, 0)
}

// outside calls add for what of e is not between lo and hi.
func outside(e edge, lo, hi Symbol, add func(lo, hi Symbol)) {
	if e.lo < lo {
		add(e.lo, min(e.hi, lo-1))
	}
	if e.hi > hi {
		add(max(e.lo, hi+1), e.hi)
	}
}

// relabel replaces each edge by those that as adds. They must leave every state
// with no two edges for one symbol.
func (w *Work) relabel(s *Set, as func(e edge, add func(lo, hi Symbol))) *Set {
	if !w.Spend(len(s.final)) {
		return &Set{}
	}
	out := &Set{final: s.final}
	for i := range s.final {
		out.first = append(out.first, int32(len(out.edges)))
		var fresh []edge
		for _, e := range s.edges[s.first[i]:s.first[i+1]] {
			as(e, func(lo, hi Symbol) { fresh = append(fresh, edge{lo, hi, e.to}) })
		}
		slices.SortFunc(fresh, func(a, b edge) int { return cmp.Compare(a.lo, b.lo) })
		for _, e := range fresh {
			out.add(e.lo, e.hi, e.to)
		}
	}
	if s.Empty() {
		return s
	}
	out.first = append(out.first, int32(len(out.edges)))
	return out.trim()
}
