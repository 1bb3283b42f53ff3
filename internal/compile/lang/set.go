package lang

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// A Symbol is what words are made of: a character, or one of the few that say
// how a character came and will go.
type Symbol = rune

// Symbols that are no characters.
const (
	// Glue is a slash that came as %2F and is forwarded as a slash.
	Glue Symbol = utf8.MaxRune + 1
	// folded and the 25 behind it are letters that came in upper case and are
	// forwarded in lower case.
	folded Symbol = Glue + 1
)

// A Word is a sequence of symbols.
type Word []Symbol

// String is the text that w came as; a [Glue] is a slash in it.
func (w Word) String() string {
	out := make([]rune, len(w))
	for i, s := range w {
		out[i] = came(s)
	}
	return string(out)
}

func came(s Symbol) rune {
	switch {
	case s == Glue:
		return '/'
	case s >= folded:
		return s - folded + 'A'
	}
	return s
}

// goes is what is forwarded for s.
func goes(s Symbol) rune {
	switch {
	case s == Glue:
		return '/'
	case s >= folded:
		return s - folded + 'a'
	}
	return s
}

// A Set is a set of words, exact and immutable. The zero Set is empty. It is a
// deterministic automaton in which every state leads to a final one, so that it
// is empty if and only if it has no states.
type Set struct {
	first []int32 // for each state, where its edges begin; one more at the end
	edges []edge  // of one state: in order, apart from each other
	final []bool
}

// edge leads from a state with every symbol from lo to hi.
type edge struct {
	lo, hi Symbol
	to     int32
}

// none stands for the state that nothing leads out of.
const none int32 = -1

func (s *Set) from(state int32) []edge {
	if state == none {
		return nil
	}
	return s.edges[s.first[state]:s.first[state+1]]
}

func (s *Set) isFinal(state int32) bool { return state != none && s.final[state] }

func (s *Set) start() int32 {
	if len(s.final) == 0 {
		return none
	}
	return 0
}

// Empty reports whether s has no word.
func (s *Set) Empty() bool { return len(s.final) == 0 }

// Has reports whether w is in s.
func (s *Set) Has(w Word) bool {
	at := s.start()
	for _, symbol := range w {
		if at = s.step(at, symbol); at == none {
			return false
		}
	}
	return s.isFinal(at)
}

// HasText is Has for a plain text. One that is not UTF-8 is in no set.
func (s *Set) HasText(text string) bool {
	at := s.start()
	for _, symbol := range text {
		if at = s.step(at, symbol); at == none {
			return false
		}
	}
	return s.isFinal(at) && utf8.ValidString(text)
}

func (s *Set) step(state int32, symbol Symbol) int32 {
	edges := s.from(state)
	i, _ := slices.BinarySearchFunc(edges, symbol, func(e edge, symbol Symbol) int { return cmp.Compare(e.hi, symbol) })
	if i < len(edges) && edges[i].lo <= symbol {
		return edges[i].to
	}
	return none
}

// Work bounds what may be spent on proofs, in states that are looked at. The
// zero Work is used up. It is not safe for concurrent use.
type Work struct {
	left, rest int // for this proof, and for all that follow
	exceeded   bool
}

// NewWork returns a Work of so many states.
func NewWork(states int) *Work { return &Work{left: states} }

// Renew begins another proof, which may take at most so many states of all
// that are left. What the last one has exceeded is forgotten.
func (w *Work) Renew(states int) {
	all := max(w.left, 0) + w.rest
	w.left = min(states, all)
	w.rest = all - w.left
	w.exceeded = false
}

// Spend takes n states and reports whether they were left.
func (w *Work) Spend(n int) bool {
	if w.left -= n; w.left < 0 {
		w.exceeded = true
	}
	return !w.exceeded
}

// Exceed says that something was not worked out. Nothing that is concluded
// from an empty set holds any more.
func (w *Work) Exceed() { w.exceeded = true }

// Exceeded reports whether something was not worked out.
func (w *Work) Exceeded() bool { return w.exceeded }
