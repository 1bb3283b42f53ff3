// Package region is an exact algebra of sets of requests: products of what a
// grant says of methods, path, headers, body and each name of the query.
//
// A [Region] is what one path of one grant allows. Whether it lies within a
// union of others, and whether it has anything in common with one, is decided
// dimension by dimension; where the answer is that some request lies outside,
// or in both, that [Request] is shown. A dimension says what it has in common
// with another and what it has not; nothing else is asked of it, so that a new
// part of a grant is a new dimension and no new proof.
//
// # An example
//
// GET of /repos/{repo=*/*} where repo is acme/docs lies within GET and POST of
// /repos/{owner}/{repo} where owner is acme. The reverse does not hold, and the
// request shown is GET /repos/acme/a: the first piece, by methods, is empty, and
// in the second one the path is what is left of one language without another.
//
// # Readings
//
// A grant that compares without letter case, or forwards %2F as a slash, lets
// a request come in one form and go in another; a header that it does not list
// comes and does not go. So there are three readings of a grant. [Exchange] is
// what comes, with what goes upstream for it: two scopes are the same only if
// they agree on both. [Forwarded] is what goes upstream. [Ceiling] is what a
// ceiling's grant lets pass of that.
//
// # What it refuses to do
//
// It never takes what it could not work out for nothing: see [lang.Work].
// A body that is not looked at is bounded by its size and otherwise any body,
// so that it lies within nothing that says more of a body.
package region

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// dim is one dimension of a region: a set of values. The other one of and,
// minus, meets and within is of the same dimension.
type dim interface {
	and(s *Space, o dim) dim
	minus(s *Space, o dim) dim
	meets(s *Space, o dim) bool
	within(s *Space, o dim) bool
	// show puts a value into r, and reports whether there is one.
	show(s *Space, r *Request) bool
}

// A Region is the set of requests that match one path of a grant, or of an
// entry of never. It is immutable.
type Region struct {
	Grant    string // its name; empty for an entry of never
	Path     string // the template; empty: any path
	endpoint string // empty: any
	methods  methods
	route    *route // nil: any path
	params   map[string]occurs
	strays   *lang.Set        // names of the query that are admitted unlisted
	fields   map[string]field // by name in lower case
	others   func(name string) field
	body     body
}

// Grant returns the regions of g, one for each path. An endpoint's profile is
// that of all that is compared.
func (s *Space) Grant(g *scope.Grant, p *scope.Profile, r Reading) []*Region {
	if g.HTTP == nil {
		s.Exceed() // nothing is known of it
		return nil
	}
	common := Region{
		Grant:    g.Name,
		endpoint: g.Endpoint,
		methods:  methods{names: g.HTTP.Methods},
		params:   map[string]occurs{},
		strays:   s.unlisted(&g.Query, p),
		fields:   map[string]field{},
		body:     s.bodyOf(g.Body),
	}
	for name, m := range g.Query.Params {
		common.params[name] = s.listed(name, &m, r)
	}
	for name, m := range g.Headers {
		common.fields[text.Lower(name)] = s.listedField(name, &m)
	}
	forwarded := p.ForwardedHeaders()
	common.others = func(name string) field {
		return unlistedField(name, slices.ContainsFunc(forwarded, func(f string) bool { return text.EqualFold(f, name) }), r)
	}
	return s.perPath(&common, g.HTTP.Paths, g.Where, p, r)
}

// perPath returns common with each of the paths.
func (s *Space) perPath(common *Region, paths []string, where map[string]scope.Matcher, p *scope.Profile, r Reading) []*Region {
	var out []*Region
	bound := newWhere(where)
	for _, template := range paths {
		one := *common
		var err error
		if one.route, err = newRoute(template, bound, p, r); err != nil {
			s.Exceed() // the judge refuses it
			continue
		}
		one.Path = template
		out = append(out, &one)
	}
	return out
}

// methods is the dimension of the method.
type methods struct {
	names []string
	any   bool
}

func (m methods) and(_ *Space, d dim) dim {
	o := d.(methods)
	switch {
	case o.any:
		return m
	case m.any:
		return o
	}
	return methods{names: m.filtered(o, true)}
}

// minus is asked for methods that are listed alone.
func (m methods) minus(s *Space, d dim) dim {
	o := d.(methods)
	if m.any {
		s.Exceed()
	}
	if o.any {
		return methods{}
	}
	return methods{names: m.filtered(o, false)}
}

func (m methods) filtered(o methods, in bool) []string {
	var out []string
	for _, name := range m.names {
		if slices.Contains(o.names, name) == in {
			out = append(out, name)
		}
	}
	return out
}

func (m methods) meets(_ *Space, d dim) bool {
	o := d.(methods)
	return m.any || o.any || slices.ContainsFunc(m.names, func(name string) bool { return slices.Contains(o.names, name) })
}

func (m methods) within(_ *Space, d dim) bool {
	o := d.(methods)
	return o.any || !m.any && !slices.ContainsFunc(m.names, func(name string) bool { return !slices.Contains(o.names, name) })
}

func (m methods) show(_ *Space, r *Request) bool {
	switch {
	case m.any:
		r.Method = "GET"
	case len(m.names) == 0:
		return false
	default:
		r.Method = m.names[0]
	}
	return true
}

// near reports whether b is worth comparing with a: everything that is cheap to
// find out does not keep them apart.
func (s *Space) near(a, b *Region) bool {
	if a.endpoint != b.endpoint && a.endpoint != "" && b.endpoint != "" {
		return false
	}
	return a.methods.meets(s, b.methods) && !a.route.apart(b.route)
}

// names are the names of the query, and the headers, that some regions list.
type names struct{ params, fields []string }

func namesOf(regions []*Region) names {
	params, fields := map[string]string{}, map[string]string{}
	for _, r := range regions {
		for name := range r.params {
			params[name] = ""
		}
		for key, f := range r.fields {
			fields[key] = f.name
		}
	}
	n := names{params: slices.Sorted(maps.Keys(params))}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		n.fields = append(n.fields, fields[key])
	}
	return n
}

// dims returns the dimensions of a, the cheapest first.
func (s *Space) dims(a *Region, n names) []dim {
	out := []dim{a.methods, a.body, strays{all: s.without(a.strays, n.params)}}
	for _, name := range n.fields {
		f, listed := a.fields[text.Lower(name)]
		if !listed {
			f = a.others(name)
		}
		out = append(out, f)
	}
	for _, name := range n.params {
		o, listed := a.params[name]
		switch {
		case listed:
		case a.strays.HasText(name):
			o = anyValue(name)
		default:
			o = occurs{name: name, absent: true}
		}
		out = append(out, o)
	}
	return append(out, path{route: a.route})
}

// without returns the names of a set but for those given.
func (s *Space) without(set *lang.Set, names []string) *lang.Set {
	if set.Empty() || len(names) == 0 {
		return set
	}
	words := "words " + strings.Join(names, "\x00")
	list, ok := s.names[words]
	if !ok {
		list = s.Words(names...)
		keep(s, s.names, words, list)
	}
	key := [2]*lang.Set{set, list}
	left, ok := s.others[key]
	if !ok {
		left = s.Minus(set, list)
		keep(s, s.others, key, left)
	}
	return left
}

// Outside returns a request of a that is in none of the others, and whether
// there is one. Where the work is exceeded, that there is none means nothing.
func (s *Space) Outside(a *Region, others []*Region) (Request, bool) {
	var near []*Region
	for _, b := range others {
		if s.near(a, b) {
			near = append(near, b)
		}
	}
	n := namesOf(append(slices.Clip(near), a))
	var lists [][]dim
	for _, b := range near {
		lists = append(lists, s.dims(b, n))
	}
	return s.outside(a.endpoint, s.dims(a, n), lists)
}

// Common returns a request that is in both a and b, and whether there is one.
// Where the work is exceeded, that there is none means nothing.
func (s *Space) Common(a, b *Region) (Request, bool) {
	if !s.near(a, b) {
		return Request{}, false
	}
	n := namesOf([]*Region{a, b})
	x, y := s.dims(a, n), s.dims(b, n)
	if !s.meet(x, y) {
		return Request{}, false
	}
	for i := range x {
		x[i] = x[i].and(s, y[i])
	}
	endpoint := a.endpoint
	if endpoint == "" {
		endpoint = b.endpoint
	}
	return s.sample(endpoint, x)
}

// Any returns a request of a, and whether there is one.
func (s *Space) Any(a *Region) (Request, bool) {
	return s.sample(a.endpoint, s.dims(a, namesOf([]*Region{a})))
}

func (s *Space) sample(endpoint string, x []dim) (Request, bool) {
	r := Request{Endpoint: endpoint}
	for _, d := range x {
		if !d.show(s, &r) {
			return Request{}, false
		}
	}
	return r, true
}

// outside looks for a value of x in none of the others. It takes one of them,
// cuts x where it leaves that one, dimension by dimension, and looks on in the
// pieces.
func (s *Space) outside(endpoint string, x []dim, others [][]dim) (Request, bool) {
	if !s.Spend(1) {
		return Request{}, false
	}
	others = slices.DeleteFunc(slices.Clone(others), func(y []dim) bool { return !s.meet(x, y) })
	if len(others) == 0 {
		return s.sample(endpoint, x)
	}
	best, leaves := 0, []int(nil)
	for i, y := range others {
		at := s.leaves(x, y)
		if len(at) == 0 {
			return Request{}, false // x is within y
		}
		if i == 0 || len(at) < len(leaves) {
			best, leaves = i, at
		}
	}
	y := others[best]
	others = slices.Delete(others, best, best+1)
	inner := slices.Clone(x)
	for _, i := range leaves {
		piece := slices.Clone(inner)
		piece[i] = x[i].minus(s, y[i])
		if r, found := s.outside(endpoint, piece, others); found {
			return r, true
		}
		inner[i] = x[i].and(s, y[i])
	}
	return Request{}, false
}

func (s *Space) meet(x, y []dim) bool {
	for i := range x {
		if !x[i].meets(s, y[i]) {
			return false
		}
	}
	return true
}

// leaves returns the dimensions in which x is not within y.
func (s *Space) leaves(x, y []dim) []int {
	var at []int
	for i := range x {
		if !x[i].within(s, y[i]) {
			at = append(at, i)
		}
	}
	return at
}
