package region

import (
	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// field is the dimension of one header.
type field struct {
	name    string
	absent  bool
	sent    lang.Text // once, in printable ASCII, and forwarded
	strange bool      // more than once or not in printable ASCII, and forwarded
	dropped bool      // there, whatever its value, and not forwarded
}

func (f field) and(s *Space, d dim) dim {
	g := d.(field)
	return field{f.name, f.absent && g.absent, s.AndText(f.sent, g.sent), f.strange && g.strange, f.dropped && g.dropped}
}

func (f field) minus(s *Space, d dim) dim {
	g := d.(field)
	return field{f.name, f.absent && !g.absent, s.MinusText(f.sent, g.sent), f.strange && !g.strange, f.dropped && !g.dropped}
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
	one := scope.Field{Name: f.name, Value: "a"}
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
		out.sent = s.text(m, "header", lang.ASCII(), Ceiling) // the agent's bytes are forwarded
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
