package region

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// occurs is the dimension of one name of the query: how often it may be there,
// and with which values.
type occurs struct {
	name   string
	at     value.Place // Query or Form
	absent bool
	once   lang.Text
	often  []often // twice or more
}

// often is lists of two or more values that are all in one text, some of them
// in each of others.
type often struct {
	all  lang.Text
	some []lang.Text
}

func (o occurs) and(s *Space, d dim) dim {
	p := d.(occurs)
	out := occurs{name: o.name, at: o.at, absent: o.absent && p.absent, once: s.AndText(o.once, p.once)}
	for _, x := range o.often {
		for _, y := range p.often {
			out.often = append(out.often, often{s.AndText(x.all, y.all), slices.Concat(x.some, y.some)})
		}
	}
	return out
}

// minus is asked for what a grant allows alone: it has one text for all.
func (o occurs) minus(s *Space, d dim) dim {
	p := d.(occurs)
	out := occurs{name: o.name, at: o.at, absent: o.absent && !p.absent, once: s.MinusText(o.once, p.once), often: o.often}
	for _, y := range p.often {
		if len(y.some) > 0 {
			s.Exceed()
			continue
		}
		left := make([]often, 0, len(out.often))
		for _, x := range out.often { // one value is enough to be outside
			left = append(left, often{x.all, append(slices.Clip(x.some), s.MinusText(x.all, y.all))})
		}
		out.often = left
	}
	return out
}

func (o occurs) meets(s *Space, d dim) bool {
	p := d.(occurs)
	return o.absent && p.absent || s.MeetsText(o.once, p.once, s.Meets) || o.and(s, p).show(s, &Request{})
}

func (o occurs) within(s *Space, d dim) bool {
	p := d.(occurs)
	if o.absent && !p.absent || !s.WithinText(o.once, p.once, s.Within) {
		return false
	}
	for _, l := range o.often {
		if slices.ContainsFunc(p.often, func(m often) bool { return len(m.some) == 0 && s.WithinText(l.all, m.all, s.Within) }) {
			continue
		}
		left := occurs{often: []often{l}}.minus(s, occurs{often: p.often})
		if left.show(s, &Request{}) {
			return false
		}
	}
	return !s.Exceeded()
}

func (o occurs) show(s *Space, r *Request) bool {
	if o.absent {
		return true
	}
	if word, found := s.Show(o.once); found {
		r.add(o.at, o.name, word)
		return true
	}
	return slices.ContainsFunc(o.often, func(l often) bool {
		values, found := l.show(s)
		for _, v := range values {
			r.add(o.at, o.name, v)
		}
		return found
	})
}

// grow shows one value.
func (o occurs) grow(s *Space, r *Request, length int) bool {
	word, found := s.longer(o.once, o.at, length)
	if found {
		r.add(o.at, o.name, word)
	}
	return found
}

// longer returns a shortest word of t that has at least so many characters, or
// a shortest word where there is none.
func (s *Space) longer(t lang.Text, at value.Place, length int) (lang.Word, bool) {
	if length > 0 && length < maxBody {
		if word, found := s.Show(s.AndText(t, lang.NewText(value.All(at).Set, length, -1))); found {
			return word, true
		}
	}
	return s.Show(t)
}

// show returns a shortest list.
func (l often) show(s *Space) ([]lang.Word, bool) {
	var values []lang.Word
	for _, some := range append([]lang.Text{l.all}, l.some...) {
		word, found := s.Show(s.AndText(l.all, some))
		if !found {
			return nil, false
		}
		values = append(values, word)
	}
	if len(values) > 2 {
		values = values[1:]
	}
	if len(values) == 1 {
		values = append(values, values[0])
	}
	return values, true
}

// strays is the dimension of all names of the query, of a form or of parts that
// no grant in question lists: all of them are in one language, some of them in
// each of others.
type strays struct {
	at   value.Place // Query, Form or Part
	all  *lang.Set
	some []*lang.Set
}

func (n strays) and(s *Space, d dim) dim {
	m := d.(strays)
	return strays{n.at, s.And(n.all, m.all), slices.Concat(n.some, m.some)}
}

func (n strays) minus(s *Space, d dim) dim {
	m := d.(strays)
	if len(m.some) > 0 {
		s.Exceed()
	}
	return strays{n.at, n.all, append(slices.Clip(n.some), s.Minus(n.all, m.all))}
}

func (n strays) meets(s *Space, d dim) bool {
	m := d.(strays)
	return len(n.some)+len(m.some) == 0 || n.and(s, m).show(s, &Request{}) // none at all are in both
}

func (n strays) within(s *Space, d dim) bool { return s.Within(n.all, d.(strays).all) }

func (n strays) show(s *Space, r *Request) bool {
	for _, some := range n.some {
		name, found := s.Shortest(s.And(n.all, some))
		if !found {
			return false
		}
		r.add(n.at, name.String(), lang.Word("a"))
	}
	return true
}

// grow shows a name more than has to be there.
func (n strays) grow(s *Space, r *Request, length int) bool {
	name, found := s.Shortest(n.all)
	if found {
		r.add(n.at, name.String(), lang.Word(strings.Repeat("a", max(1, min(length, maxBody)))))
	}
	return found && n.show(s, r)
}

// anyValue is a name that may be there as often as it likes, with any value.
func anyValue(name string, at value.Place) occurs {
	all := lang.NewText(value.All(at).Set, 0, -1)
	return occurs{name: name, at: at, absent: true, once: all, often: []often{{all: all}}}
}

// listed is a name that a grant lists.
func (s *Space) listed(name string, at value.Place, m *scope.Matcher, r Reading) occurs {
	out := occurs{name: name, at: at, absent: !m.Required}
	if m.Forbidden {
		return out
	}
	out.once = s.Text(m, at, r)
	if m.Repeated {
		out.often = []often{{all: out.once}}
	}
	return out
}

// unlisted returns the names that a grant admits without listing them.
func (s *Space) unlisted(q *scope.Query, p *scope.Profile) *lang.Set {
	if !q.UnlistedAllow {
		return &lang.Set{}
	}
	reserved := p.ReservedQuery()
	base := s.share("query but for "+strings.Join(reserved, "\x00"), func(w *lang.Work) *lang.Set {
		set := lang.Names()
		for _, name := range reserved {
			set = w.Minus(set, spellings(w, name))
		}
		return set
	})
	names := slices.Sorted(maps.Keys(q.Params))
	return value.Once(s.Space, s.names, "unlisted "+strings.Join(append(reserved, names...), "\x00"), func() *lang.Set {
		set := base
		for _, name := range names {
			set = s.Minus(set, spellings(s.Work, name))
		}
		return set
	})
}

// spellings returns the names that some servers take for this one: it in any
// letter case, with an index behind it, and what it is an index of.
func spellings(w *lang.Work, name string) *lang.Set {
	lower := text.Lower(name)
	same := []string{lower}
	for i := 1; i < len(lower); i++ {
		if lower[i] == '[' {
			same = append(same, lower[:i])
		}
	}
	return w.AnyCase(w.Or(w.Words(same...), w.Under(lower+"[")))
}

// field is the dimension of one header.
type field struct {
	name    string
	absent  bool
	sent    lang.Text // once, in printable ASCII, and forwarded
	strange bool      // more than once or not in printable ASCII, and forwarded
	odd     string    // such a value, to show; empty: any
	dropped bool      // there, whatever its value, and not forwarded
}

func (f field) and(s *Space, d dim) dim {
	g := d.(field)
	return field{f.name, f.absent && g.absent, s.AndText(f.sent, g.sent), f.strange && g.strange, cmp.Or(f.odd, g.odd), f.dropped && g.dropped}
}

func (f field) minus(s *Space, d dim) dim {
	g := d.(field)
	return field{f.name, f.absent && !g.absent, s.MinusText(f.sent, g.sent), f.strange && !g.strange, f.odd, f.dropped && !g.dropped}
}

func (f field) meets(s *Space, d dim) bool {
	g := d.(field)
	return f.absent && g.absent || f.strange && g.strange || f.dropped && g.dropped || s.MeetsText(f.sent, g.sent, s.Meets)
}

func (f field) within(s *Space, d dim) bool {
	g := d.(field)
	return !(f.absent && !g.absent || f.strange && !g.strange || f.dropped && !g.dropped) && s.WithinText(f.sent, g.sent, s.Within)
}

func (f field) show(s *Space, r *Request) bool {
	if f.absent {
		return true
	}
	if word, found := s.Show(f.sent); found {
		r.Fields = append(r.Fields, scope.Field{Name: f.name, Value: word.String()})
		return true
	}
	if !f.strange && !f.dropped {
		return false
	}
	one := scope.Field{Name: f.name, Value: cmp.Or(f.odd, "a")}
	r.Fields = append(r.Fields, one)
	if f.strange {
		r.Fields = append(r.Fields, one)
	}
	return true
}

// listedField is a header that a grant lists.
func (s *Space) listedField(name string, m *scope.Matcher) field {
	out := field{name: name, absent: !m.Required}
	if !m.Forbidden {
		out.sent = s.Text(m, value.Header, Ceiling) // the agent's bytes are forwarded
	}
	return out
}

// unlistedField is a header that a grant does not list.
func unlistedField(name string, forwarded bool, r Reading) field {
	switch {
	case forwarded:
		return anyField(name)
	case r == Exchange:
		return field{name: name, absent: true, dropped: true}
	}
	return field{name: name, absent: true} // it does not go upstream
}

// anyField is a header that goes upstream as it is.
func anyField(name string) field {
	return field{name: name, absent: true, sent: lang.NewText(lang.ASCII(), 0, -1), strange: true}
}
