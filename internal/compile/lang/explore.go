package lang

import "slices"

// machine is a deterministic automaton whose states are worked out when they
// are reached.
type machine[S comparable] struct {
	start S
	final func(S) bool
	// moves calls emit for the edges that lead out of a state, in the order of
	// their symbols, no two with the same.
	moves func(S, func(lo, hi Symbol, to S))
}

// explore makes the set that m accepts.
func explore[S comparable](w *Work, m machine[S]) *Set {
	s := &Set{}
	known := map[S]int32{m.start: 0}
	queue := []S{m.start}
	emit := func(lo, hi Symbol, to S) {
		id, seen := known[to]
		if !seen {
			id = int32(len(queue))
			known[to] = id
			queue = append(queue, to)
		}
		s.add(lo, hi, id)
	}
	for i := 0; i < len(queue); i++ {
		if !w.Spend(1) {
			return &Set{}
		}
		s.first = append(s.first, int32(len(s.edges)))
		s.final = append(s.final, m.final(queue[i]))
		m.moves(queue[i], emit)
	}
	s.first = append(s.first, int32(len(s.edges)))
	return s.trim()
}

// add adds an edge to the last state. One that goes on where the last one ends
// is the same edge.
func (s *Set) add(lo, hi Symbol, to int32) {
	if n := len(s.edges); n > int(s.first[len(s.first)-1]) && s.edges[n-1].to == to && s.edges[n-1].hi+1 == lo {
		s.edges[n-1].hi = hi
		return
	}
	s.edges = append(s.edges, edge{lo, hi, to})
}

// trim takes out the states from which no final one is reached.
func (s *Set) trim() *Set {
	alive := s.alive()
	if !slices.Contains(alive, false) {
		return s
	}
	if !alive[0] {
		return &Set{}
	}
	id := make([]int32, len(alive))
	n := int32(0)
	for i, a := range alive {
		id[i] = n
		if a {
			n++
		}
	}
	out := &Set{}
	for i, a := range alive {
		if !a {
			continue
		}
		out.first = append(out.first, int32(len(out.edges)))
		out.final = append(out.final, s.final[i])
		for _, e := range s.edges[s.first[i]:s.first[i+1]] {
			if alive[e.to] {
				out.add(e.lo, e.hi, id[e.to])
			}
		}
	}
	out.first = append(out.first, int32(len(out.edges)))
	return out
}

// alive tells of each state whether it leads to a final one.
func (s *Set) alive() []bool {
	sources := make([][]int32, len(s.final))
	var queue []int32
	alive := make([]bool, len(s.final))
	for i := range s.final {
		for _, e := range s.edges[s.first[i]:s.first[i+1]] {
			sources[e.to] = append(sources[e.to], int32(i))
		}
		if s.final[i] {
			alive[i] = true
			queue = append(queue, int32(i))
		}
	}
	for len(queue) > 0 {
		last := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, i := range sources[last] {
			if !alive[i] {
				alive[i] = true
				queue = append(queue, i)
			}
		}
	}
	return alive
}

// found is how a state was reached first.
type found[S comparable] struct {
	state S
	from  int // in the list of those found before
	by    Symbol
}

// search returns a shortest word that m accepts, and whether there is one. It
// builds nothing and stops as soon as it knows.
func search[S comparable](w *Work, m machine[S]) (Word, bool) {
	seen := map[S]int{m.start: 0}
	queue := []found[S]{{state: m.start, from: -1}}
	i := 0
	emit := func(lo, hi Symbol, to S) {
		by := pick(lo, hi)
		if at, again := seen[to]; !again {
			seen[to] = len(queue)
			queue = append(queue, found[S]{to, i, by})
		} else if queue[at].from == i && rank(by) < rank(queue[at].by) {
			queue[at].by = by
		}
	}
	for ; i < len(queue); i++ {
		if !w.Spend(1) {
			return nil, false
		}
		if m.final(queue[i].state) {
			return trace(queue, i), true
		}
		m.moves(queue[i].state, emit)
	}
	return nil, false
}

func trace[S comparable](queue []found[S], i int) Word {
	var w Word
	for ; queue[i].from >= 0; i = queue[i].from {
		w = append(w, queue[i].by)
	}
	slices.Reverse(w)
	return w
}

// liked are symbols that read well, the best first.
var liked = []edge{{lo: 'a', hi: 'z'}, {lo: '0', hi: '9'}, {lo: 'A', hi: 'Z'}, {lo: '-', hi: '-'}, {lo: '_', hi: '_'}, {lo: '!', hi: '~'}}

// rank is low for a symbol that reads well.
func rank(s Symbol) int {
	for i, l := range liked {
		if l.lo <= s && s <= l.hi {
			return i
		}
	}
	return len(liked)
}

// pick returns the symbol between lo and hi that reads best.
func pick(lo, hi Symbol) Symbol {
	for _, l := range liked {
		if best := max(lo, l.lo); best <= min(hi, l.hi) {
			return best
		}
	}
	return lo
}

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
