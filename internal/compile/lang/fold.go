package lang

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
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

// image is what a reader makes of a character.
type image struct {
	of Symbol
	is []Symbol
}

// images are the characters of which a reader makes others, in their order.
type images struct {
	list []image
	by   map[Symbol][]image // by the first symbol of what is made
}

func newImages(list []image) images {
	slices.SortFunc(list, func(a, b image) int { return cmp.Compare(a.of, b.of) })
	out := images{slices.CompactFunc(list, func(a, b image) bool { return a.of == b.of }), map[Symbol][]image{}}
	for _, i := range out.list {
		out.by[i.is[0]] = append(out.by[i.is[0]], i)
	}
	return out
}

func (i *images) has(s Symbol) bool {
	_, found := slices.BinarySearchFunc(i.list, s, func(a image, s Symbol) int { return cmp.Compare(a.of, s) })
	return found
}

// keyImages are those of which the judge makes others when it looks for second
// spellings of a key, and nameImages those for names of forms.
var (
	keyImages  = sync.OnceValue(func() images { return newImages(folds()) })
	nameImages = sync.OnceValue(func() images {
		return newImages(append(folds(), image{' ', []Symbol{'_'}}, image{'.', []Symbol{'_'}}))
	})
)

func folds() []image {
	var out []image
	add := func(r rune) {
		if key := text.AppendKey(nil, string(r)); string(key) != string(r) {
			out = append(out, image{r, []Symbol(string(key))})
		}
	}
	for _, cased := range unicode.CaseRanges { // a letter without case has no second spelling
		for r := rune(cased.Lo); r <= rune(cased.Hi); r++ {
			add(r)
		}
	}
	for _, r := range "\u00df\u0149\u01f0\u0390\u03b0\u1e96\u1e97\u1e98\u1e99\u1e9a\u1e9e\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06" {
		add(r)
	}
	return out
}

// SameKeys returns the texts that some reader of JSON takes for one of these
// keys, themselves included.
func (w *Work) SameKeys(keys ...string) *Set {
	var spelled []string
	for _, k := range keys {
		spelled = append(spelled, string(text.AppendKey(nil, k)))
	}
	same := w.before(w.Words(spelled...), keyImages())
	if same.Empty() {
		return same
	}
	const behind int32 = -2 // a zero byte, where some readers end
	return explore(w, machine[int32]{
		final: func(q int32) bool { return q == behind || same.final[q] },
		moves: func(q int32, emit func(lo, hi Symbol, to int32)) {
			if q == behind {
				emit(0, utf8.MaxRune, q)
				return
			}
			if same.final[q] {
				emit(0, 0, behind)
			}
			for _, e := range same.from(q) {
				emit(e.lo, e.hi, e.to)
			}
		},
	})
}

// DeepNames returns the names of forms with so many brackets that it is not
// found out what they mean.
func (w *Work) DeepNames() *Set {
	return w.indented(w.before(w.Pattern(`(?s).(?:[^\[]*\[){9}.*`), nameImages()))
}

// SameNames returns the texts that some reader of forms takes for one of these
// names, themselves included; see the judge's form package.
func (w *Work) SameNames(names ...string) *Set {
	spelled := &Set{}
	for _, name := range names {
		key := strings.NewReplacer(".", "_", " ", "_").Replace(string(text.AppendKey(nil, strings.TrimLeft(name, " "))))
		whole := []string{key}
		if list, ok := strings.CutSuffix(key, "[]"); ok {
			whole = append(whole, list)
		}
		for _, s := range whole {
			spelled = w.Or(spelled, w.Words(s))
			if s != "" { // a bracket in front is none of an index
				spelled = w.Or(spelled, w.Under(s+"["))
			}
		}
		for i := 1; i < len(key); i++ {
			if key[i] == '[' {
				spelled = w.Or(spelled, w.Words(key[:i]))
			}
		}
	}
	return w.indented(w.before(spelled, nameImages()))
}

// indented returns the words of s with any number of spaces before them.
func (w *Work) indented(s *Set) *Set {
	if s.Empty() {
		return s
	}
	const spaces int32 = -2
	return explore(w, machine[int32]{
		start: spaces,
		final: func(q int32) bool { return s.final[max(q, 0)] },
		moves: func(q int32, emit func(lo, hi Symbol, to int32)) {
			if q != spaces {
				for _, e := range s.from(q) {
					emit(e.lo, e.hi, e.to)
				}
				return
			}
			merge(s.from(0), []edge{{lo: ' ', hi: ' '}}, func(lo, hi Symbol, to pair) {
				if to.b != none {
					emit(lo, hi, spaces)
				} else {
					emit(lo, hi, to.a)
				}
			})
		},
	})
}

// before returns the words that are in s once each character that has an image
// was replaced by it.
func (w *Work) before(s *Set, i images) *Set {
	if s.Empty() {
		return s
	}
	return explore(w, machine[int32]{
		final: func(q int32) bool { return s.final[q] },
		moves: func(q int32, emit func(lo, hi Symbol, to int32)) {
			edges := s.narrow(q, &i)
			if edges == nil {
				edges = s.wide(q, &i)
			}
			for _, e := range edges {
				emit(e.lo, e.hi, e.to)
			}
		},
	})
}

// narrow returns the edges of a state from which few symbols lead, by symbols
// of before; nil where there are many.
func (s *Set) narrow(q int32, i *images) []edge {
	const few = 8
	out := []edge{}
	for _, e := range s.from(q) {
		if e.hi-e.lo > few {
			return nil
		}
		for symbol := e.lo; symbol <= e.hi; symbol++ {
			if !i.has(symbol) {
				out = append(out, edge{symbol, symbol, e.to})
			}
			for _, from := range i.by[symbol] {
				if to := s.run(q, from.is); to != none {
					out = append(out, edge{from.of, from.of, to})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b edge) int { return cmp.Compare(a.lo, b.lo) })
	return out
}

// wide returns the edges of any state.
func (s *Set) wide(q int32, i *images) []edge {
	one := pieces{first: []int32{0}}
	edges := s.from(q)
	at := Symbol(0)
	for _, from := range i.list {
		edges = one.through(edges, at, from.of-1)
		if to := s.run(q, from.is); to != none {
			one.add(from.of, from.of, to)
		}
		at = from.of + 1
	}
	one.through(edges, at, greatest)
	return one.edges
}

// pieces are the edges of one state.
type pieces Set

func (p *pieces) add(lo, hi Symbol, to int32) { (*Set)(p).add(lo, hi, to) }

// through adds what of the edges lies between lo and hi, and returns those that
// go on behind.
func (p *pieces) through(edges []edge, lo, hi Symbol) []edge {
	for len(edges) > 0 && edges[0].lo <= hi {
		if from, to := max(edges[0].lo, lo), min(edges[0].hi, hi); from <= to {
			p.add(from, to, edges[0].to)
		}
		if edges[0].hi > hi {
			break
		}
		edges = edges[1:]
	}
	return edges
}

// run returns where a word leads from a state.
func (s *Set) run(state int32, word []Symbol) int32 {
	for _, symbol := range word {
		if state = s.step(state, symbol); state == none {
			return none
		}
	}
	return state
}
