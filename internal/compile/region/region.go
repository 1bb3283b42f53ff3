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
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Reading is the side from which requests are looked at.
type Reading = value.Reading

// The readings.
const (
	Exchange  = value.Exchange
	Forwarded = value.Forwarded
	Ceiling   = value.Ceiling
)

// A Space holds what proofs have in common. It is not safe for concurrent use.
type Space struct {
	*value.Space
	templates map[templateKey]parsed
	parts     map[partKey]*lang.Set
	paths     map[string]*lang.Set
	names     map[string]*lang.Set
	others    map[[2]*lang.Set]*lang.Set // names without those that are listed
	spelled   map[written]string
}

// NewSpace returns a Space for so much work.
func NewSpace(w *lang.Work) *Space {
	return &Space{
		value.NewSpace(w), map[templateKey]parsed{}, map[partKey]*lang.Set{}, map[string]*lang.Set{}, map[string]*lang.Set{},
		map[[2]*lang.Set]*lang.Set{}, map[written]string{},
	}
}

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
	absent   bool    // there may be no body
	bodies   []shape // what one may be
	bounds   []dim   // limit and answer; none where they are not compared

	dims map[string][]dim // beside others that list these names
}

// Unlimited returns r without the limit of its grant.
func (r *Region) Unlimited() *Region { return r.bounded(limited(nil), nil) }

// WholeAnswer returns r without what its grant cuts of the answer.
func (r *Region) WholeAnswer() *Region { return r.bounded(nil, []dim{wholeAnswer()}) }

// bounded returns r with another limit or answer, or both; nil leaves it.
func (r *Region) bounded(limit, answer []dim) *Region {
	if len(r.bounds) == 0 {
		return r
	}
	if limit == nil {
		limit = r.bounds[:2]
	}
	if answer == nil {
		answer = r.bounds[2:]
	}
	out := *r
	out.dims, out.bounds = map[string][]dim{}, slices.Concat(limit, answer)
	return &out
}

// Grant returns the regions of g, one for each path, or two where a body says
// which Content-Type there has to be. An endpoint's profile is that of all that
// is compared.
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
	}
	for name, m := range g.Query.Params {
		common.params[name] = s.listed(name, value.Query, &m, r)
	}
	for name, m := range g.Headers {
		common.fields[text.Lower(name)] = s.listedField(name, &m)
	}
	forwarded := p.ForwardedHeaders()
	common.others = func(name string) field {
		return unlistedField(name, slices.ContainsFunc(forwarded, func(f string) bool { return text.EqualFold(f, name) }), r)
	}
	if r == Exchange {
		common.bounds = append(limited(g.Limits), s.seen(g.Response))
	}
	bound := newWhere(g.Where)
	var out []*Region
	for _, one := range s.withBody(common, g.Body, p) {
		out = append(out, s.perPath(&one, g.HTTP.Paths, bound, p, r)...)
	}
	return out
}

// withBody returns r without a body and with the one that b says.
func (s *Space) withBody(r Region, b *scope.Body, p *scope.Profile) []Region {
	r.absent = true
	if b == nil {
		return []Region{r}
	}
	said, absent := s.shapeOf(b, p)
	with := r
	with.bodies = []shape{said}
	if b.Media == scope.Opaque {
		return []Region{with}
	}
	with.absent, with.fields = false, s.typed(b.Media, r.fields)
	if !absent {
		return []Region{with}
	}
	return []Region{r, with}
}

// perPath returns common with each of the paths.
func (s *Space) perPath(common *Region, paths []string, bound *where, p *scope.Profile, r Reading) []*Region {
	var out []*Region
	for _, template := range paths {
		one := *common
		var ok bool
		if one.route, ok = s.newRoute(template, bound, p, r); !ok {
			s.Exceed() // the judge refuses it
			continue
		}
		one.Path, one.dims = template, map[string][]dim{}
		out = append(out, &one)
	}
	return out
}

// near reports whether b is worth comparing with a: everything that is cheap to
// find out does not keep them apart.
func (s *Space) near(a, b *Region) bool {
	if a.endpoint != b.endpoint && a.endpoint != "" && b.endpoint != "" {
		return false
	}
	return a.methods.meets(s, b.methods) && !a.route.apart(b.route)
}

// names are the names that some regions list, of each kind.
type names struct {
	params, fields, form, parts []string
	key                         string // of all of them
}

func namesOf(regions ...*Region) *names {
	n := &names{}
	for _, r := range regions {
		n.params = appendKeys(n.params, r.params)
		for _, f := range r.fields {
			n.fields = append(n.fields, f.name)
		}
		for i := range r.bodies {
			n.form, n.parts = appendKeys(n.form, r.bodies[i].params), appendKeys(n.parts, r.bodies[i].parts)
		}
	}
	var key strings.Builder
	for _, list := range []*[]string{&n.params, &n.fields, &n.form, &n.parts} {
		slices.Sort(*list)
		*list = slices.CompactFunc(*list, text.EqualFold)
		for _, name := range *list {
			key.WriteString(name)
			key.WriteByte(0)
		}
		key.WriteByte(0)
	}
	n.key = key.String()
	return n
}

func appendKeys[V any](list []string, from map[string]V) []string {
	for name := range from {
		list = append(list, name)
	}
	return list
}

// dims returns the dimensions of a, the cheapest first.
func (s *Space) dims(a *Region, n *names) []dim {
	return value.Once(s.Space, a.dims, n.key, func() []dim { return s.newDims(a, n) })
}

func (s *Space) newDims(a *Region, n *names) []dim {
	whole := body{absent: a.absent}
	for i := range a.bodies {
		whole.present = append(whole.present, s.content(&a.bodies[i], n))
	}
	out := []dim{a.methods, whole, strays{at: value.Query, all: s.without(a.strays, n.params)}}
	for _, name := range n.fields {
		f, listed := a.fields[text.Lower(name)]
		if !listed {
			f = a.others(name)
		}
		out = append(out, f)
	}
	for _, name := range n.params {
		out = append(out, occurrence(a.params, a.strays, name, value.Query))
	}
	return append(append(out, a.bounds...), path{route: a.route})
}

// occurrence returns the dimension of one name, which is listed, admitted
// unlisted or not admitted.
func occurrence(listed map[string]occurs, unlisted *lang.Set, name string, at value.Place) occurs {
	o, ok := listed[name]
	switch {
	case ok:
		return o
	case unlisted.HasText(name):
		return anyValue(name, at)
	}
	return occurs{name: name, at: at, absent: true}
}

// without returns the names of a set but for those given.
func (s *Space) without(set *lang.Set, names []string) *lang.Set {
	if set.Empty() || len(names) == 0 {
		return set
	}
	list := value.Once(s.Space, s.names, "words "+strings.Join(names, "\x00"), func() *lang.Set { return s.Words(names...) })
	return value.Once(s.Space, s.others, [2]*lang.Set{set, list}, func() *lang.Set { return s.Minus(set, list) })
}
