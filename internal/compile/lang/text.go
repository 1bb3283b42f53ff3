package lang

import "slices"

// A Text is a set of words with bounds of their length. The zero Text is
// empty.
type Text struct{ boxes []box }

// box is the words of a set that have a length between least and most; a
// negative most is no bound.
type box struct {
	set         *Set
	least, most int
}

// NewText returns the words of s that have between least and most symbols; a
// negative most is no bound.
func NewText(s *Set, least, most int) Text {
	if s.Empty() || most >= 0 && most < least {
		return Text{}
	}
	return Text{[]box{{s, least, most}}}
}

// AndText returns what is in both a and b.
func (w *Work) AndText(a, b Text) Text {
	var out Text
	for _, x := range a.boxes {
		for _, y := range b.boxes {
			out = out.with(w.And(x.set, y.set), max(x.least, y.least), lower(x.most, y.most))
		}
	}
	return out
}

// OrText returns what is in a or in b.
func OrText(a, b Text) Text { return Text{slices.Concat(a.boxes, b.boxes)} }

// MinusText returns what is in a and not in b.
func (w *Work) MinusText(a, b Text) Text {
	for _, y := range b.boxes {
		var left Text
		for _, x := range a.boxes {
			left = left.with(w.Minus(x.set, y.set), x.least, x.most)
			same := w.And(x.set, y.set)
			if y.least > 0 {
				left = left.with(same, x.least, lower(x.most, y.least-1))
			}
			if y.most >= 0 {
				left = left.with(same, max(x.least, y.most+1), x.most)
			}
		}
		a = left
	}
	return a
}

func (t Text) with(s *Set, least, most int) Text {
	return OrText(t, NewText(s, least, most))
}

// lower is the lower of two bounds, of which a negative one is none.
func lower(a, b int) int {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	return min(a, b)
}

// counted is a state, and the length of what was read: no more than matters.
type counted struct {
	state  int32
	length int
}

// Show returns a shortest word of t, and whether there is one.
func (w *Work) Show(t Text) (Word, bool) {
	var best Word
	found := false
	for _, b := range t.boxes {
		word, ok := w.show(b)
		if ok && (!found || len(word) < len(best)) {
			best, found = word, true
		}
	}
	return best, found
}

func (w *Work) show(b box) (Word, bool) {
	word, ok := search(w, machine[counted]{
		start: counted{b.set.start(), 0},
		final: func(c counted) bool { return c.length == b.least && b.set.isFinal(c.state) },
		moves: func(c counted, emit func(lo, hi Symbol, to counted)) {
			for _, e := range b.set.from(c.state) {
				emit(e.lo, e.hi, counted{e.to, min(c.length+1, b.least)})
			}
		},
	})
	return word, ok && (b.most < 0 || len(word) <= b.most)
}

// Has reports whether word is in t.
func (t Text) Has(word Word) bool {
	return slices.ContainsFunc(t.boxes, func(b box) bool {
		return len(word) >= b.least && (b.most < 0 || len(word) <= b.most) && b.set.Has(word)
	})
}

// A Compare answers for two sets, perhaps from memory, what Meets or Within of
// [Work] do.
type Compare func(a, b *Set) bool

// MeetsText reports whether something is in both a and b.
func (w *Work) MeetsText(a, b Text, meets Compare) bool {
	for _, x := range a.boxes {
		for _, y := range b.boxes {
			if !meets(x.set, y.set) {
				continue
			}
			least, most := max(x.least, y.least), lower(x.most, y.most)
			if least == 0 && most < 0 {
				return true
			}
			if _, found := w.Show(NewText(w.And(x.set, y.set), least, most)); found {
				return true
			}
		}
	}
	return false
}

// WithinText reports whether all of a is in b. Where w is exceeded it reports
// false.
func (w *Work) WithinText(a, b Text, within Compare) bool {
	for _, x := range a.boxes {
		if slices.ContainsFunc(b.boxes, func(y box) bool {
			return x.least >= y.least && (y.most < 0 || x.most >= 0 && x.most <= y.most) && within(x.set, y.set)
		}) {
			continue
		}
		if _, found := w.Show(w.MinusText(Text{[]box{x}}, b)); found || w.exceeded {
			return false
		}
	}
	return true
}

// Map returns t with every set replaced by what as makes of it. It must leave
// the lengths of words as they are.
func (t Text) Map(as func(*Set) *Set) Text {
	var out Text
	for _, b := range t.boxes {
		out = out.with(as(b.set), b.least, b.most)
	}
	return out
}
