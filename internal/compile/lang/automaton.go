package lang

import (
	"cmp"
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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

// Pattern returns the texts that the whole of an RE2 pattern matches. It takes
// what the judge takes: no flags, no anchors. Where it is given something else,
// w is exceeded.
func (w *Work) Pattern(pattern string) *Set {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		w.Exceed()
		return &Set{}
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || !w.Spend(len(program.Inst)) {
		w.Exceed()
		return &Set{}
	}
	n := &automaton{}
	for range program.Inst {
		n.state()
	}
	for i := range program.Inst {
		if !n.instruction(int32(i), &program.Inst[i]) {
			w.Exceed()
			return &Set{}
		}
	}
	return w.determinize(n, int32(program.Start))
}

// instruction enters one instruction of a pattern's program, and reports
// whether it is one of those that a pattern without anchors has.
func (n *automaton) instruction(at int32, inst *syntax.Inst) bool {
	out := int32(inst.Out)
	switch inst.Op {
	case syntax.InstFail:
	case syntax.InstMatch:
		n.accept[at] = true
	case syntax.InstAlt, syntax.InstAltMatch:
		n.also[at] = []int32{out, int32(inst.Arg)}
	case syntax.InstCapture, syntax.InstNop:
		n.also[at] = []int32{out}
	case syntax.InstRuneAny:
		n.move(at, 0, utf8.MaxRune, out)
	case syntax.InstRuneAnyNotNL:
		n.move(at, 0, '\n'-1, out)
		n.move(at, '\n'+1, utf8.MaxRune, out)
	case syntax.InstRune, syntax.InstRune1:
		n.runes(at, inst, out)
	default:
		return false
	}
	return true
}

func (n *automaton) runes(at int32, inst *syntax.Inst, out int32) {
	if len(inst.Rune) > 1 {
		for i := 0; i+1 < len(inst.Rune); i += 2 {
			n.move(at, inst.Rune[i], inst.Rune[i+1], out)
		}
		return
	}
	only := inst.Rune[0]
	n.move(at, only, only, out)
	if syntax.Flags(inst.Arg)&syntax.FoldCase == 0 {
		return
	}
	// No flag asks for it, but the parser writes [Aa] so.
	for r := unicode.SimpleFold(only); r != only; r = unicode.SimpleFold(r) {
		n.move(at, r, r, out)
	}
}

// Glob returns the texts that a glob matches; see the judge's text package for
// what it means. It takes globs that the judge takes.
func (w *Work) Glob(pattern string) *Set {
	n := &automaton{}
	start := n.state()
	at := start
	for i, segment := range strings.Split(pattern, "/") {
		if i > 0 {
			next := n.state()
			n.move(at, '/', '/', next)
			at = next
		}
		if segment == "**" {
			at = n.segments(w, at)
		} else {
			at = n.embed(w.globSegment(segment), at)
		}
	}
	n.accept[at] = true
	return w.determinize(n, start)
}

// globSegment returns what a segment of a glob matches, but for `**`.
func (w *Work) globSegment(segment string) *Set {
	n := &automaton{}
	start := n.state()
	at := start
	for _, r := range segment {
		next := n.state()
		if r == '*' {
			n.also[at] = append(n.also[at], next)
			n.move(next, 0, '/'-1, next)
			n.move(next, '/'+1, utf8.MaxRune, next)
		} else {
			n.move(at, r, r, next)
		}
		at = next
	}
	n.accept[at] = true
	all := w.determinize(n, start)
	if !strings.Contains(segment, "*") {
		return all
	}
	return w.Minus(all, w.Words("", ".", ".."))
}

// segments adds one or more segments behind at, and returns where they end.
func (n *automaton) segments(w *Work, at int32) int32 {
	begin := n.state()
	n.also[at] = append(n.also[at], begin)
	end := n.embed(w.globSegment("*"), begin)
	n.move(end, '/', '/', begin)
	return end
}

// embed adds the words of s behind at, and returns where they end.
func (n *automaton) embed(s *Set, at int32) int32 {
	base := int32(len(n.accept))
	end := base + int32(len(s.final))
	for range len(s.final) + 1 {
		n.state()
	}
	if !s.Empty() {
		n.also[at] = append(n.also[at], base)
	}
	for i := range s.final {
		from := base + int32(i)
		if s.final[i] {
			n.also[from] = append(n.also[from], end)
		}
		for _, e := range s.edges[s.first[i]:s.first[i+1]] {
			n.move(from, e.lo, e.hi, base+e.to)
		}
	}
	return end
}
