package region

import (
	"math"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
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
	// Body names only requests that have one.
	Body bool
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
		body:     anyBody(),
	}
	if n.ListedOnly {
		common.strays = &lang.Set{}
	}
	if n.Body {
		common.body = body{present: []content{{1, math.MaxInt64}}}
	}
	for name, m := range n.Params {
		common.params[name] = s.named(name, &m)
	}
	for name, m := range n.Headers {
		common.fields[text.Lower(name)] = s.namedField(name, &m)
	}
	if len(n.Paths) == 0 {
		return []*Region{&common}
	}
	return s.perPath(&common, n.Paths, n.Where, p, Ceiling)
}

// named is a name of the query that is there, one of its values at least as m
// has it: which of several an upstream takes is not known.
func (s *Space) named(name string, m *scope.Matcher) occurs {
	if m.Forbidden {
		return occurs{name: name, absent: true}
	}
	values := s.text(m, "query", lang.Plain(), Ceiling)
	return occurs{name: name, once: values, often: []often{{lang.NewText(lang.Plain(), 0, -1), []lang.Text{values}}}}
}

// namedField is a header that is there. One that is there twice, or holds more
// than printable ASCII, is taken for a match.
func (s *Space) namedField(name string, m *scope.Matcher) field {
	if m.Forbidden {
		return field{name: name, absent: true}
	}
	return field{name: name, sent: s.text(m, "header", lang.ASCII(), Ceiling), strange: true}
}
