package lang

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Span is a range of characters, both ends included.
type Span struct{ Lo, Hi rune }

// Repeat returns the words of at least least and at most most characters out
// of spans, which are in order and apart from each other; a negative most is
// no bound.
func (w *Work) Repeat(spans []Span, least, most int) *Set {
	return explore(w, machine[int]{
		final: func(n int) bool { return n >= least },
		moves: func(n int, emit func(lo, hi Symbol, to int)) {
			to := n + 1
			switch {
			case n == most:
				return
			case most < 0:
				to = min(to, max(least, 0))
			}
			for _, s := range spans {
				emit(s.Lo, s.Hi, to)
			}
		},
	})
}

// Everything returns the set of all words of characters.
func (w *Work) Everything() *Set { return w.Repeat([]Span{{0, utf8.MaxRune}}, 0, -1) }

// words is the sorted texts that a state of a trie may still become.
type words struct{ from, to, depth int }

// Words returns the set of these texts. One that is not UTF-8 is left out.
func (w *Work) Words(texts ...string) *Set {
	var list []string
	for _, t := range texts {
		if utf8.ValidString(t) {
			list = append(list, t)
		}
	}
	if len(list) == 0 {
		return &Set{}
	}
	slices.Sort(list) // bytes of UTF-8 sort as characters do
	return explore(w, machine[words]{
		start: words{0, len(list), 0},
		final: func(s words) bool { return len(list[s.from]) == s.depth },
		moves: func(s words, emit func(lo, hi Symbol, to words)) {
			for i := s.from; i < s.to; {
				if len(list[i]) == s.depth {
					i++
					continue
				}
				r, size := utf8.DecodeRuneInString(list[i][s.depth:])
				next := list[i][:s.depth+size]
				end := i + 1
				for end < s.to && strings.HasPrefix(list[end], next) {
					end++
				}
				emit(r, r, words{i, end, s.depth + size})
				i = end
			}
		},
	})
}

// joined is a state of the part at index part.
type joined struct {
	part  int
	state int32
}

// parts are sets whose words stand one behind the other.
type parts []*Set

// Join returns the words of the parts, one behind the other with a slash
// between them. A word of any part but the last must end where the first slash
// behind it comes: where one could be read on over it, w is exceeded.
func (w *Work) Join(list ...*Set) *Set {
	p := parts(list)
	for i, part := range p {
		if part.Empty() {
			return &Set{}
		}
		if !p.last(i) && !part.endsAtSlash() {
			w.Exceed()
			return &Set{}
		}
	}
	if len(p) == 0 {
		return &Set{}
	}
	return explore(w, machine[joined]{final: p.final, moves: p.moves})
}

func (p parts) last(i int) bool { return i == len(p)-1 }

func (p parts) final(s joined) bool { return p.last(s.part) && p[s.part].final[s.state] }

func (p parts) moves(s joined, emit func(lo, hi Symbol, to joined)) {
	ends := !p.last(s.part) && p[s.part].final[s.state]
	slash := func(before Symbol) {
		if ends && '/' < before {
			emit('/', '/', joined{s.part + 1, 0})
			ends = false
		}
	}
	for _, e := range p[s.part].from(s.state) {
		slash(e.lo)
		emit(e.lo, e.hi, joined{s.part, e.to})
	}
	slash(greatest)
}

// endsAtSlash reports whether no word of s goes on with a slash to another.
func (s *Set) endsAtSlash() bool {
	for i, final := range s.final {
		if final && s.step(int32(i), '/') != none {
			return false
		}
	}
	return true
}

// slashed is a state, and whether the last symbol was a slash behind a whole
// word.
type slashed struct {
	state int32
	ended bool
}

// Slash returns the words of s with a slash behind them.
func (w *Work) Slash(s *Set) *Set {
	if s.Empty() {
		return s
	}
	return explore(w, machine[slashed]{
		final: func(q slashed) bool { return q.ended },
		moves: func(q slashed, emit func(lo, hi Symbol, to slashed)) {
			var slash []edge
			if s.isFinal(q.state) {
				slash = []edge{{lo: '/', hi: '/'}}
			}
			merge(s.from(q.state), slash, func(lo, hi Symbol, to pair) {
				emit(lo, hi, slashed{to.a, to.b != none})
			})
		},
	})
}
