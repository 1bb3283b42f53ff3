package region

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// occurs is the dimension of one name of the query: how often it may be there,
// and with which values.
type occurs struct {
	name   string
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
	out := occurs{name: o.name, absent: o.absent && p.absent, once: s.AndText(o.once, p.once)}
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
	out := occurs{name: o.name, absent: o.absent && !p.absent, once: s.MinusText(o.once, p.once), often: o.often}
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
		r.Query = append(r.Query, Param{o.name, word})
		return true
	}
	return slices.ContainsFunc(o.often, func(l often) bool {
		values, found := l.show(s)
		for _, v := range values {
			r.Query = append(r.Query, Param{o.name, v})
		}
		return found
	})
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

// strays is the dimension of all names of the query that no grant in question
// lists: all of them are in one language, some of them in each of others.
type strays struct {
	all  *lang.Set
	some []*lang.Set
}

func (n strays) and(s *Space, d dim) dim {
	m := d.(strays)
	return strays{s.And(n.all, m.all), slices.Concat(n.some, m.some)}
}

func (n strays) minus(s *Space, d dim) dim {
	m := d.(strays)
	if len(m.some) > 0 {
		s.Exceed()
	}
	return strays{n.all, append(slices.Clip(n.some), s.Minus(n.all, m.all))}
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
		r.Query = append(r.Query, Param{name.String(), lang.Word("a")})
	}
	return true
}

// anyValue is a name of the query that may be there as often as it likes, with
// any value.
func anyValue(name string) occurs {
	all := lang.NewText(lang.Plain(), 0, -1)
	return occurs{name: name, absent: true, once: all, often: []often{{all: all}}}
}

// listed is a name of the query that a grant lists.
func (s *Space) listed(name string, m *scope.Matcher, r Reading) occurs {
	out := occurs{name: name, absent: !m.Required}
	if m.Forbidden {
		return out
	}
	out.once = s.text(m, "query", lang.Plain(), r)
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
	names := p.ReservedQuery()
	for name := range q.Params {
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	key := "unlisted " + strings.Join(names, "\x00")
	set, ok := s.names[key]
	if !ok {
		set = lang.Names()
		for _, name := range names {
			set = s.Minus(set, s.spellings(name))
		}
		keep(s, s.names, key, set)
	}
	return set
}

// spellings returns the names that some servers take for this one: it in any
// letter case, with an index behind it, and what it is an index of.
func (s *Space) spellings(name string) *lang.Set {
	set, ok := s.names[name]
	if ok {
		return set
	}
	lower := text.Lower(name)
	same := []string{lower}
	for i := 1; i < len(lower); i++ {
		if lower[i] == '[' {
			same = append(same, lower[:i])
		}
	}
	set = s.AnyCase(s.Or(s.Words(same...), s.Under(lower+"[")))
	keep(s, s.names, name, set)
	return set
}
