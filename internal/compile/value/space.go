// Package value is an exact algebra of sets of single values: of texts as a
// matcher has them, and of JSON texts as the fields of a body have them.
//
// A matcher becomes a language, by the place where the value stands: a segment
// of a path holds no slash, a header nothing but printable ASCII. The fields of
// a body become a [Document], which is a union of products: an object for each
// of its keys, an array for all of its elements. What such a set has in common
// with another, and what it has not, is one again, and of every set that is not
// empty a value can be shown.
//
// Values that are not looked at are any value; see [lang.Work] for what is not
// worked out.
package value

import (
	"encoding/json"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Reading is the side from which requests are looked at.
type Reading uint8

// The readings.
const (
	Exchange  Reading = iota // as they come, with what goes upstream for them
	Forwarded                // as they go upstream
	Ceiling                  // what a ceiling, or an entry of never, has of those that go upstream
)

// Place is where a text stands.
type Place uint8

// The places.
const (
	Segment  Place = iota // of a path
	Pair                  // of segments
	Tail                  // of a path
	Query                 // the value of a name
	Header                // the value of one
	JSON                  // a string or scalar of a body
	Form                  // the value of a field
	Part                  // the bytes of one, where they are text
	Filename              // of a part
)

// all returns all texts that can stand at p.
func (p Place) all() *lang.Set {
	return [...]func() *lang.Set{
		lang.Segments, lang.Pairs, lang.Tails, lang.Plain, lang.ASCII, lang.JSONStrings, lang.FormValues, lang.PartValues, lang.Filenames,
	}[p]()
}

// A Space holds what proofs have in common: the work that they may take, and
// the languages that were worked out. It is not safe for concurrent use.
type Space struct {
	*lang.Work
	matchers map[matcherKey]Judged
	keys     map[string]*lang.Set
	meeting  map[[2]*lang.Set]bool
	inside   map[[2]*lang.Set]bool
}

// NewSpace returns a Space for so much work.
func NewSpace(w *lang.Work) *Space {
	return &Space{
		Work: w, matchers: map[matcherKey]Judged{}, keys: map[string]*lang.Set{},
		meeting: map[[2]*lang.Set]bool{}, inside: map[[2]*lang.Set]bool{},
	}
}

// Meets is Meets of lang.Work, which is asked once.
func (s *Space) Meets(a, b *lang.Set) bool { return once(s, s.meeting, a, b, s.Work.Meets) }

// Within is Within of lang.Work, which is asked once.
func (s *Space) Within(a, b *lang.Set) bool { return once(s, s.inside, a, b, s.Work.Within) }

func once(s *Space, all map[[2]*lang.Set]bool, a, b *lang.Set, ask func(a, b *lang.Set) bool) bool {
	if a == b {
		return ask(a, b)
	}
	return Once(s, all, [2]*lang.Set{a, b}, func() bool { return ask(a, b) })
}

// Once returns what is remembered under a key, or works it out. What was not
// worked out to its end is not remembered.
func Once[K comparable, V any](s *Space, all map[K]V, key K, work func() V) V {
	if known, ok := all[key]; ok {
		return known
	}
	out := work()
	if !s.Exceeded() {
		all[key] = out
	}
	return out
}

// Judged is what a matcher says of the text that it is given to judge: in
// lower case where it folds.
type Judged struct {
	Set         *lang.Set
	Least, Most int // characters; a negative most is no bound
	Fold        bool
}

// All is what lets every text of a place pass.
func All(p Place) Judged { return Judged{Set: p.all(), Most: -1} }

// matcherKey is all that the language of a matcher depends on.
type matcherKey struct {
	spelled string
	place   Place
	fold    bool
}

// Spell returns the text by which a matcher is remembered.
func Spell(m *scope.Matcher) string {
	spelled, _ := json.Marshal(m) // plain data: it can always be written
	return string(spelled)
}

// Matcher reads m, whose spelling is given, for texts of a place. With fold,
// letter case is not compared, whatever m says.
func (s *Space) Matcher(m *scope.Matcher, spelled string, p Place, fold bool) Judged {
	return Once(s, s.matchers, matcherKey{spelled, p, fold}, func() Judged {
		r := reader{Space: s, m: m, fold: fold || m.FoldASCII, set: p.all()}
		return r.read(p, fold)
	})
}

// Text returns the texts that m lets pass, as a reading has them.
func (s *Space) Text(m *scope.Matcher, p Place, r Reading) lang.Text {
	j := s.Matcher(m, Spell(m), p, false)
	return lang.NewText(j.Set, j.Least, j.Most).Map(func(set *lang.Set) *lang.Set { return s.Cased(set, j.Fold, r) })
}

// Cased returns what comes, goes or passes where a set of texts is judged.
func (s *Space) Cased(set *lang.Set, fold bool, r Reading) *lang.Set {
	switch {
	case !fold:
		return set
	case r == Exchange:
		return s.FoldCase(set)
	case r == Forwarded:
		return s.NoUpper(set)
	}
	return s.AnyCase(set)
}
