package region

import (
	"encoding/json"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Reading is the side from which requests are looked at.
type Reading uint8

// The readings.
const (
	Exchange  Reading = iota // as they come, with what goes upstream for them
	Forwarded                // as they go upstream
	Ceiling                  // what a ceiling, or an entry of never, has of those that go upstream
)

// A Space holds what proofs have in common: the work that they may take, and
// the languages that were worked out. It is not safe for concurrent use.
type Space struct {
	*lang.Work
	matchers map[matcherKey]judged
	parts    map[partKey]*lang.Set
	paths    map[string]*lang.Set
	names    map[string]*lang.Set
	meeting  map[[2]*lang.Set]bool
	inside   map[[2]*lang.Set]bool
	others   map[[2]*lang.Set]*lang.Set // names without those that are listed
	spelled  map[written]string
}

// NewSpace returns a Space for so much work.
func NewSpace(w *lang.Work) *Space {
	return &Space{
		Work: w, matchers: map[matcherKey]judged{}, parts: map[partKey]*lang.Set{}, paths: map[string]*lang.Set{}, names: map[string]*lang.Set{},
		meeting: map[[2]*lang.Set]bool{}, inside: map[[2]*lang.Set]bool{}, others: map[[2]*lang.Set]*lang.Set{},
		spelled: map[written]string{},
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
	key := [2]*lang.Set{a, b}
	known, ok := all[key]
	if !ok {
		known = ask(a, b)
		keep(s, all, key, known)
	}
	return known
}

// keep remembers what was worked out, unless it was not worked out to its end.
func keep[K comparable, V any](s *Space, all map[K]V, key K, value V) {
	if !s.Exceeded() {
		all[key] = value
	}
}

// judged is what a matcher says of the text that it is given to judge: in
// lower case where it folds.
type judged struct {
	set         *lang.Set
	least, most int // characters; a negative most is no bound
	fold        bool
}

// matcher reads m, for texts of universe, which goes by a name. With fold,
// letter case is not compared, whatever m says.
func (s *Space) matcher(m *scope.Matcher, name string, universe *lang.Set, fold bool) judged {
	spelled, _ := json.Marshal(m) // plain data: it can always be written
	return s.matcherOf(m, string(spelled), name, universe, fold)
}

// matcherOf is matcher for one whose spelling is at hand.
func (s *Space) matcherOf(m *scope.Matcher, spelled, name string, universe *lang.Set, fold bool) judged {
	key := matcherKey{spelled, name, fold}
	known, ok := s.matchers[key]
	if !ok {
		r := reader{Space: s, m: m, fold: fold || m.FoldASCII, set: universe}
		known = r.read(name, universe, fold)
		keep(s, s.matchers, key, known)
	}
	return known
}

// matcherKey is all that the language of a matcher depends on.
type matcherKey struct {
	spelled, universe string
	fold              bool
}

// text returns the texts that m lets pass, as a reading has them.
func (s *Space) text(m *scope.Matcher, name string, universe *lang.Set, r Reading) lang.Text {
	j := s.matcher(m, name, universe, false)
	return lang.NewText(j.set, j.least, j.most).Map(func(set *lang.Set) *lang.Set { return s.cased(set, j.fold, r) })
}

// cased returns what comes, goes or passes where a set of texts is judged.
func (s *Space) cased(set *lang.Set, fold bool, r Reading) *lang.Set {
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

// reader reads one matcher as the judge compiles it.
type reader struct {
	*Space
	m    *scope.Matcher
	fold bool // its own values are compared in lower case
	set  *lang.Set
}

func (r *reader) read(name string, universe *lang.Set, fold bool) judged {
	out := judged{most: -1, fold: r.fold}
	if n := r.m.MinLength; n != nil {
		out.least = max(*n, 0)
	}
	if n := r.m.MaxLength; n != nil {
		out.most = max(*n, 0)
	}
	r.typed()
	r.exact()
	r.shaped()
	r.kind()
	out.set = r.set
	if r.m.Set != nil {
		named := r.matcher(r.m.Set, name, universe, fold)
		out.set = r.And(out.set, named.set)
		out.least = max(out.least, named.least)
		if out.most < 0 || named.most >= 0 && named.most < out.most {
			out.most = named.most
		}
		out.fold = out.fold || named.fold
	}
	return out
}

// must leaves what is also in set.
func (r *reader) must(set *lang.Set) { r.set = r.And(r.set, set) }

func (r *reader) typed() {
	switch r.m.ValueType() {
	case scope.Integer:
		r.must(r.Integers(r.bounds()))
	case scope.Number:
		r.must(r.Decimals(r.bounds()))
	case scope.Boolean:
		r.must(r.Words("true", "false"))
	case scope.String, scope.Any:
	default:
		r.set = &lang.Set{} // no text is an Object or an Array
	}
}

func (r *reader) bounds() lang.Bounds {
	return lang.Bounds{Least: r.decimal(r.m.Min), Greatest: r.decimal(r.m.Max)}
}

func (r *reader) decimal(s *string) *text.Decimal {
	if s == nil {
		return nil
	}
	d, ok := text.ParseDecimal(*s)
	if !ok {
		r.Exceed() // the judge refuses it
	}
	return &d
}

func (r *reader) exact() {
	var lists [][]string
	if r.m.Equals != nil {
		lists = append(lists, []string{*r.m.Equals})
	}
	if len(r.m.In) > 0 {
		lists = append(lists, r.m.In)
	}
	for _, list := range lists {
		if r.m.ValueType() == scope.Number {
			r.must(r.SameDecimals(list...))
			continue
		}
		spelled := make([]string, len(list))
		for i, v := range list {
			spelled[i] = r.spelling(v)
		}
		r.must(r.Words(spelled...))
	}
}

func (r *reader) spelling(v string) string {
	if r.fold {
		return text.Lower(v)
	}
	return v
}

func (r *reader) shaped() {
	if r.m.Glob != nil {
		r.must(r.Glob(r.spelling(*r.m.Glob)))
	}
	if r.m.Pattern != nil {
		r.must(r.Pattern(*r.m.Pattern))
	}
	for _, hole := range r.m.Except {
		r.set = r.Minus(r.set, r.Glob(r.spelling(hole)))
	}
}

func (r *reader) kind() {
	switch r.m.Kind {
	case "":
	case scope.Path:
		r.must(lang.Paths())
		if r.m.Under != "" {
			r.must(r.Under(strings.TrimSuffix(r.spelling(r.m.Under), "/") + "/"))
		}
	case scope.Ref:
		r.must(lang.Refs())
	case scope.GitOID:
		r.must(lang.GitOIDs())
	case scope.DateTime:
		r.must(lang.DateTimes())
	case scope.UUID:
		r.must(lang.UUIDs())
	default:
		r.Exceed() // the judge refuses it
	}
}
