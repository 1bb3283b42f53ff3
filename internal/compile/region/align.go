package region

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

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
