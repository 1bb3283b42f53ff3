package lang

import (
	"encoding/binary"
	"slices"
)

// Canonical returns a text that two sets share if and only if they have the
// same words: the edges of the least automaton, its states in the order in
// which they are reached.
func (w *Work) Canonical(s *Set) []byte {
	class, n := w.classes(s)
	representative := make([]int32, n)
	for i, c := range slices.Backward(class) {
		representative[c] = int32(i)
	}
	var out []byte
	if s.Empty() {
		return out
	}
	order := []int32{class[0]}
	place := map[int32]int{class[0]: 0}
	for i := 0; i < len(order); i++ {
		state := representative[order[i]]
		edges := s.outOf(state, class)
		out = binary.AppendUvarint(out, uint64(len(edges))<<1|uint64(bit(s.final[state])))
		for _, e := range edges {
			if _, seen := place[e.to]; !seen {
				place[e.to] = len(order)
				order = append(order, e.to)
			}
			out = binary.AppendUvarint(out, uint64(e.lo))
			out = binary.AppendUvarint(out, uint64(e.hi-e.lo))
			out = binary.AppendUvarint(out, uint64(place[e.to]))
		}
	}
	return out
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// classes numbers the states so that two have the same number if the same
// words lead from them to a final state: it tells states apart until no more
// differ.
func (w *Work) classes(s *Set) (class []int32, n int) {
	class = make([]int32, len(s.final))
	for before := 0; ; before = n {
		n = 0
		next := make([]int32, len(class))
		known := map[string]int32{}
		for i := range class {
			if !w.Spend(1) {
				return class, max(n, len(class))
			}
			k := signature(s.final[i], s.outOf(int32(i), class))
			id, seen := known[k]
			if !seen {
				id = int32(n)
				known[k] = id
				n++
			}
			next[i] = id
		}
		class = next
		if n == before {
			return class, n
		}
	}
}

// outOf is the edges of a state, to classes in place of states.
func (s *Set) outOf(state int32, class []int32) []edge {
	var out []edge
	for _, e := range s.from(state) {
		e.to = class[e.to]
		if n := len(out); n > 0 && out[n-1].to == e.to && out[n-1].hi+1 == e.lo {
			out[n-1].hi = e.hi
		} else {
			out = append(out, e)
		}
	}
	return out
}

func signature(final bool, edges []edge) string {
	out := []byte{bit(final)}
	for _, e := range edges {
		out = binary.NativeEndian.AppendUint32(out, uint32(e.lo))
		out = binary.NativeEndian.AppendUint32(out, uint32(e.hi))
		out = binary.NativeEndian.AppendUint32(out, uint32(e.to))
	}
	return string(out)
}

// List returns the words of s in their order, where there are no more than so
// many.
func (s *Set) List(most int) ([]Word, bool) {
	if s.Empty() {
		return nil, true
	}
	var out []Word
	// Every state leads to a final one, so that whatever is deeper than the
	// number of states has gone round in a circle, and there is no end.
	var walk func(state int32, word Word) bool
	walk = func(state int32, word Word) bool {
		if s.final[state] {
			out = append(out, slices.Clone(word))
		}
		for _, e := range s.from(state) {
			if len(out) > most || len(word) > len(s.final) || int(e.hi-e.lo) > most {
				return false
			}
			for symbol := e.lo; symbol <= e.hi; symbol++ {
				if !walk(e.to, append(word, symbol)) {
					return false
				}
			}
		}
		return len(out) <= most
	}
	finite := walk(0, nil)
	return out, finite
}
