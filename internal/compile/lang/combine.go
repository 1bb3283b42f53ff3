package lang

// pair is a state of two automata that run side by side.
type pair struct{ a, b int32 }

// operation says which words of two sets are wanted.
type operation uint8

const (
	both   operation = iota // in a and in b
	either                  // in one of them
	first                   // in a, not in b
)

// sideBySide runs a and b on the same words.
func sideBySide(a, b *Set, op operation) machine[pair] {
	return machine[pair]{
		start: pair{a.start(), b.start()},
		final: func(p pair) bool {
			inA, inB := a.isFinal(p.a), b.isFinal(p.b)
			switch op {
			case both:
				return inA && inB
			case either:
				return inA || inB
			}
			return inA && !inB
		},
		moves: func(p pair, emit func(lo, hi Symbol, to pair)) {
			merge(a.from(p.a), b.from(p.b), func(lo, hi Symbol, to pair) {
				if to.a == none && op != either || to.b == none && op == both {
					return // nothing that is wanted lies beyond
				}
				emit(lo, hi, to)
			})
		},
	}
}

// merge calls emit for the pieces into which the edges of two states cut the
// symbols, in their order.
func merge(a, b []edge, emit func(lo, hi Symbol, to pair)) {
	for at := Symbol(0); len(a) > 0 || len(b) > 0; {
		lo := max(at, min(lowest(a), lowest(b)))
		var to pair
		hi := greatest
		to.a, hi = cut(a, lo, hi)
		to.b, hi = cut(b, lo, hi)
		emit(lo, hi, to)
		at = hi + 1
		a, b = behind(a, at), behind(b, at)
	}
}

// greatest is no less than any symbol.
const greatest = folded + 26

func lowest(edges []edge) Symbol {
	if len(edges) == 0 {
		return greatest
	}
	return edges[0].lo
}

// cut returns where the symbols from lo on lead to, and how far up to hi they
// do so.
func cut(edges []edge, lo, hi Symbol) (to int32, end Symbol) {
	switch {
	case len(edges) == 0:
		return none, hi
	case edges[0].lo > lo:
		return none, min(hi, edges[0].lo-1)
	}
	return edges[0].to, min(hi, edges[0].hi)
}

// behind drops the edge that ends before at.
func behind(edges []edge, at Symbol) []edge {
	if len(edges) > 0 && edges[0].hi < at {
		return edges[1:]
	}
	return edges
}

// And returns what is in both a and b.
func (w *Work) And(a, b *Set) *Set {
	switch {
	case a.Empty() || b.Empty():
		return &Set{}
	case a == b:
		return a
	}
	return explore(w, sideBySide(a, b, both))
}

// Or returns what is in a or in b.
func (w *Work) Or(a, b *Set) *Set {
	switch {
	case a.Empty() || a == b:
		return b
	case b.Empty():
		return a
	}
	return explore(w, sideBySide(a, b, either))
}

// Minus returns what is in a and not in b.
func (w *Work) Minus(a, b *Set) *Set {
	switch {
	case a.Empty() || a == b:
		return &Set{}
	case b.Empty():
		return a
	}
	return explore(w, sideBySide(a, b, first))
}

// Meets reports whether something is in both a and b.
func (w *Work) Meets(a, b *Set) bool {
	if a.Empty() || b.Empty() {
		return false
	}
	if a == b {
		return true
	}
	_, found := search(w, sideBySide(a, b, both))
	return found
}

// Within reports whether all of a is in b. Where w is exceeded it reports
// false.
func (w *Work) Within(a, b *Set) bool {
	if a.Empty() || a == b {
		return true
	}
	_, found := search(w, sideBySide(a, b, first))
	return !found && !w.exceeded
}

// Shortest returns a shortest word of s, and whether there is one.
func (w *Work) Shortest(s *Set) (Word, bool) {
	if s.Empty() {
		return nil, false
	}
	return search(w, sideBySide(s, s, either))
}
