package lang

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// automaton is one in which a symbol may lead to many states, and some are
// reached without one.
type automaton struct {
	accept []bool
	moves  [][]edge // in no order
	also   [][]int32
}

// state adds a state that does not accept.
func (n *automaton) state() int32 {
	n.accept = append(n.accept, false)
	n.moves = append(n.moves, nil)
	n.also = append(n.also, nil)
	return int32(len(n.accept) - 1)
}

func (n *automaton) move(from int32, lo, hi Symbol, to int32) {
	n.moves[from] = append(n.moves[from], edge{lo, hi, to})
}

// closure returns the sorted states that are reached from those given without
// a symbol.
func (n *automaton) closure(states []int32) []int32 {
	out := make([]int32, 0, len(states))
	seen := map[int32]struct{}{}
	for len(states) > 0 {
		last := states[len(states)-1]
		states = states[:len(states)-1]
		if _, again := seen[last]; again {
			continue
		}
		seen[last] = struct{}{}
		out = append(out, last)
		if n.also != nil {
			states = append(states, n.also[last]...)
		}
	}
	slices.Sort(out)
	return out
}

// key is a set of states as something that can be compared.
func key(states []int32) string {
	b := make([]byte, 0, 4*len(states))
	for _, s := range states {
		b = binary.NativeEndian.AppendUint32(b, uint32(s))
	}
	return string(b)
}

func unkey(k string) []int32 {
	states := make([]int32, 0, len(k)/4)
	for b := []byte(k); len(b) > 0; b = b[4:] {
		states = append(states, int32(binary.NativeEndian.Uint32(b)))
	}
	return states
}

// determinize returns the set of words that lead from start to a state that
// accepts.
func (w *Work) determinize(n *automaton, start int32) *Set {
	return explore(w, machine[string]{
		start: key(n.closure([]int32{start})),
		final: func(k string) bool {
			return slices.ContainsFunc(unkey(k), func(s int32) bool { return n.accept[s] })
		},
		moves: func(k string, emit func(lo, hi Symbol, to string)) {
			var all []edge
			for _, s := range unkey(k) {
				all = append(all, n.moves[s]...)
			}
			if w.Spend(len(all)) {
				n.pieces(all, emit)
			}
		},
	})
}

// pieces cuts the edges, which may overlap, where one of them begins or ends.
func (n *automaton) pieces(all []edge, emit func(lo, hi Symbol, to string)) {
	slices.SortFunc(all, func(a, b edge) int { return cmp.Compare(a.lo, b.lo) })
	var cuts []Symbol
	for _, e := range all {
		cuts = append(cuts, e.lo, e.hi+1)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var open []edge
	for i := 0; i+1 < len(cuts); i++ {
		open = slices.DeleteFunc(open, func(e edge) bool { return e.hi < cuts[i] })
		for ; len(all) > 0 && all[0].lo <= cuts[i]; all = all[1:] {
			open = append(open, all[0])
		}
		if len(open) == 0 {
			continue
		}
		to := make([]int32, 0, len(open))
		for _, e := range open {
			to = append(to, e.to)
		}
		emit(cuts[i], cuts[i+1]-1, key(n.closure(to)))
	}
}
