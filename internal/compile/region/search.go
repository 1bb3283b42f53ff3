package region

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Outside returns a request of a that is in none of the others, and whether
// there is one. Where the work is exceeded, that there is none means nothing.
func (s *Space) Outside(a *Region, others []*Region) (Request, bool) {
	var near []*Region
	for _, b := range others {
		if s.near(a, b) {
			near = append(near, b)
		}
	}
	n := namesOf(append(slices.Clip(near), a)...)
	var lists [][]dim
	for _, b := range near {
		lists = append(lists, s.dims(b, n))
	}
	return s.outside(a.endpoint, s.dims(a, n), lists)
}

// Common returns a request that is in both a and b, and whether there is one.
// Where the work is exceeded, that there is none means nothing.
func (s *Space) Common(a, b *Region) (Request, bool) { return s.CommonOutside(a, b, nil) }

// CommonOutside returns a request that is in both a and b and in none of the
// others, and whether there is one. Where the work is exceeded, that there is
// none means nothing.
func (s *Space) CommonOutside(a, b *Region, others []*Region) (Request, bool) {
	if !s.near(a, b) {
		return Request{}, false
	}
	var close []*Region
	for _, o := range others {
		if s.near(a, o) && s.near(b, o) {
			close = append(close, o)
		}
	}
	n := namesOf(append(slices.Clip(close), a, b)...)
	x, y := slices.Clone(s.dims(a, n)), s.dims(b, n)
	if !s.meet(x, y) {
		return Request{}, false
	}
	for i := range x {
		x[i] = x[i].and(s, y[i])
	}
	var lists [][]dim
	for _, o := range close {
		lists = append(lists, s.dims(o, n))
	}
	return s.outside(cmp.Or(a.endpoint, b.endpoint), x, lists)
}

// Any returns a request of a, and whether there is one.
func (s *Space) Any(a *Region) (Request, bool) {
	return s.sample(a.endpoint, s.dims(a, namesOf(a)))
}

// Passes reports whether some headers and some body pass that r asks for,
// whatever its method, path and query.
func (s *Space) Passes(r *Region) bool {
	var out Request
	var last body
	for _, d := range s.dims(r, namesOf(r)) {
		switch d := d.(type) {
		case field:
			if !d.show(s, &out) {
				return false
			}
		case body:
			last = d
		}
	}
	return last.write(s, &out)
}

func (s *Space) sample(endpoint string, x []dim) (Request, bool) {
	r := Request{Endpoint: endpoint}
	var last body // it depends on the headers
	for _, d := range x {
		if b, ok := d.(body); ok {
			last = b
		} else if !d.show(s, &r) {
			return Request{}, false
		}
	}
	return r, last.write(s, &r)
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

// relation is how the paths of one template stand to those of another. Where
// it is not known, the languages of whole paths have to tell.
type relation struct {
	known, meets bool
	within       bool // where they meet
}

// relate compares two templates part by part. That is exact where they cut a
// path at the same places, as most do, and languages of parts are small and
// shared by many templates.
func (s *Space) relate(a, b *route) relation {
	if a == nil || b == nil || len(s.openFolds(a)) > 0 || len(s.openFolds(b)) > 0 {
		return relation{}
	}
	r := relation{known: true, meets: a.slash == b.slash, within: true}
	for i := 0; r.meets; i++ {
		switch {
		case i == len(a.parts) || i == len(b.parts):
			r.meets = len(a.parts) == len(b.parts)
			return r
		case width(&a.parts[i]) != width(&b.parts[i]):
			return s.relateTail(r, a, b, i)
		}
		s.relatePart(&r, a, b, i)
	}
	return r
}

// relateTail compares what is left of two templates where they cut it
// differently. It knows the answer where one of them takes all that is left,
// whatever it is: then every part of the other is by itself what it may take.
func (s *Space) relateTail(r relation, a, b *route, i int) relation {
	switch {
	case a.takesAll(i):
		all := s.part(a, i)
		r.within = false // b asks for a number of segments
		for k := i; k < len(b.parts); k++ {
			r.meets = r.meets && s.Meets(all, s.part(b, k))
		}
	case b.takesAll(i):
		all := s.part(b, i)
		for k := i; k < len(a.parts); k++ {
			r.meets = r.meets && s.Meets(s.part(a, k), all)
			r.within = r.within && s.Within(s.part(a, k), all)
		}
	default:
		return relation{}
	}
	return r
}

func (a *route) takesAll(i int) bool {
	_, bound := a.where.matchers[a.parts[i].Capture]
	return isTail(&a.parts[i]) && !bound
}

// width is the number of segments of a part; 0: all that are left.
func width(p *scope.PathPart) int {
	if len(p.Literals) > 0 {
		return 1
	}
	return p.Width
}

func (s *Space) relatePart(r *relation, a, b *route, i int) {
	p, q := &a.parts[i], &b.parts[i]
	if len(p.Literals) > 0 && len(q.Literals) > 0 {
		r.meets = alike(p, q)
		r.within = r.within && !slices.ContainsFunc(p.Literals, func(l string) bool { return !slices.Contains(q.Literals, l) })
		return
	}
	x, y := s.part(a, i), s.part(b, i)
	r.meets = s.Meets(x, y)
	r.within = r.within && s.Within(x, y)
}

// partKey is all that the language of a part depends on.
type partKey struct {
	reading           Reading
	slashInTail, fold bool
	width             int
	literals, where   string
}

// part returns the language of the part at i.
func (s *Space) part(a *route, i int) *lang.Set {
	if a.sets == nil {
		a.sets = make([]*lang.Set, len(a.parts))
	}
	if a.sets[i] != nil {
		return a.sets[i]
	}
	part := &a.parts[i]
	key := partKey{a.reading, a.profile.SlashInTail, part.Fold, part.Width, strings.Join(part.Literals, "/"), a.where.spelled[part.Capture]}
	set := value.Once(s.Space, s.parts, key, func() *lang.Set { return s.segments(a, part, a.reading) })
	if !s.Exceeded() {
		a.sets[i] = set
	}
	return set
}
