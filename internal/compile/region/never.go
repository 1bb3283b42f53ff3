package region

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A Never names requests that no grant may allow. Its reading is turned round:
// what is left out matches anything, what is listed must be there and match.
// The zero Never names every request.
type Never struct {
	Endpoint string
	Methods  []string
	Paths    []string
	Where    map[string]scope.Matcher
	Params   map[string]scope.Matcher
	// ListedOnly names only queries that hold nothing but Params.
	ListedOnly bool
	Headers    map[string]scope.Matcher
	Body       *NeverBody // nil: none, or any
}

// NeverBody names requests by their body. The zero NeverBody names all that
// have one.
type NeverBody struct {
	Media      scope.Media // empty: any
	ListedOnly bool
	Fields     map[string]scope.Matcher
	Parts      map[string]scope.Part
}

// Never returns the regions of n at an endpoint that has the profile, one for
// each path.
func (s *Space) Never(n *Never, p *scope.Profile) []*Region {
	common := Region{
		endpoint: n.Endpoint,
		methods:  methods{names: n.Methods, any: len(n.Methods) == 0},
		params:   map[string]occurs{},
		strays:   lang.Names(),
		fields:   map[string]field{},
		others:   anyField,
		absent:   n.Body == nil,
		bodies:   s.namedBodies(n.Body),
		dims:     map[string][]dim{},
	}
	if n.ListedOnly {
		common.strays = &lang.Set{}
	}
	for name, m := range n.Params {
		common.params[name] = s.named(name, value.Query, &m)
	}
	for name, m := range n.Headers {
		common.fields[text.Lower(name)] = s.namedField(name, &m)
	}
	if len(n.Paths) == 0 {
		return []*Region{&common}
	}
	return s.perPath(&common, n.Paths, newWhere(n.Where), p, Ceiling)
}

// namedBodies returns what n names, by how a body may be read. One that nobody
// looks into may hold what is named.
func (s *Space) namedBodies(n *NeverBody) []shape {
	if n == nil || n.Media == "" && len(n.Fields)+len(n.Parts) == 0 && !n.ListedOnly {
		return []shape{{media: scope.Opaque, most: maxSize}}
	}
	out := []shape{{media: scope.Opaque, unread: true, most: maxSize}}
	if n.about(scope.JSON) {
		out = append(out, shape{media: scope.JSON, most: maxSize, document: s.NamedFields(n.Fields, n.ListedOnly), strays: &lang.Set{}})
	}
	if n.about(scope.Form) {
		form := shape{media: scope.Form, most: maxSize, params: map[string]occurs{}, strays: lang.Names()}
		for name, m := range n.Fields {
			form.params[name] = s.named(name, value.Form, &m)
		}
		out = append(out, form.only(n.ListedOnly))
	}
	if n.about(scope.Multipart) {
		parts := shape{media: scope.Multipart, most: maxSize, parts: map[string]part{}, strays: lang.Filenames()}
		for name, of := range n.Parts {
			parts.parts[name] = s.namedPart(name, &of)
		}
		out = append(out, parts.only(n.ListedOnly))
	}
	return out
}

// about reports whether n names bodies that are read as m: it says so, or says
// nothing and lists nothing that such a body does not have.
func (n *NeverBody) about(m scope.Media) bool {
	switch {
	case n.Media != "":
		return n.Media == m
	case m == scope.Multipart:
		return len(n.Fields) == 0
	}
	return len(n.Parts) == 0
}

func (b shape) only(listed bool) shape {
	if listed {
		b.strays = &lang.Set{}
	}
	return b
}

// namedPart is a part that is there; what is left out of it matches anything.
func (s *Space) namedPart(name string, of *scope.Part) part {
	out := anyPart(name)
	out.absent = false
	dims := out.present[0]
	if of.Value != nil {
		dims[1] = bytes{text: s.Text(of.Value, value.Part, Ceiling)}
	}
	if m := of.Filename; m != nil {
		dims[2] = filename{absent: m.Forbidden, text: s.Text(m, value.Filename, Ceiling)}
	}
	if len(of.Media) > 0 {
		dims[3] = kinds{none: slices.Contains(of.Media, "text/plain"), names: of.Media}
	}
	return out
}

// named is a name of the query that is there, one of its values at least as m
// has it: which of several an upstream takes is not known.
func (s *Space) named(name string, at value.Place, m *scope.Matcher) occurs {
	if m.Forbidden {
		return occurs{name: name, at: at, absent: true}
	}
	values := s.Text(m, at, Ceiling)
	return occurs{name: name, at: at, once: values, often: []often{{lang.NewText(value.All(at).Set, 0, -1), []lang.Text{values}}}}
}

// namedField is a header that is there. One that is there twice, or holds more
// than printable ASCII, is taken for a match.
func (s *Space) namedField(name string, m *scope.Matcher) field {
	if m.Forbidden {
		return field{name: name, absent: true}
	}
	return field{name: name, sent: s.Text(m, value.Header, Ceiling), strange: true}
}
