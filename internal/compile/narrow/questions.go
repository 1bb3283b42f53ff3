package narrow

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// What one question may take, and all about one consumer, in states, of which a
// second has some 400,000. What would take more stays as the owner lists it.
const (
	questionWork = 1 << 14
	totalWork    = 1 << 20
)

// safe are the methods that change nothing (RFC 9110, section 9.2.1).
var safe = []string{"GET", "HEAD", "OPTIONS"}

// questions are asked about one grant.
type questions struct {
	space   *region.Space
	profile *scope.Profile
	grant   []*region.Region
	tooMuch bool // it could not be worked out what the grant allows, or what is asked about
	// methods of the grant, by what they need.
	methods map[need][]string
}

func about(s *region.Space, g *scope.Grant, p *scope.Profile) *questions {
	q := &questions{space: s, profile: p, methods: map[need][]string{}}
	q.space.Renew(questionWork)
	q.grant = q.space.Grant(g, p, region.Forwarded)
	q.tooMuch = q.space.Exceeded()
	for _, m := range g.HTTP.Methods {
		how := listed
		if slices.Contains(safe, m) {
			how = reading
		}
		q.methods[how] = append(q.methods[how], m)
	}
	return q
}

// requests are those of these methods and paths; none stand for any.
func (q *questions) requests(methods []string, where map[string]scope.Matcher, paths ...string) []*region.Region {
	q.space.Renew(questionWork)
	all := q.space.Never(&region.Never{Methods: methods, Paths: paths, Where: where}, q.profile)
	q.tooMuch = q.tooMuch || q.space.Exceeded() // or what is missing among them would be reached by nobody
	return all
}

// reach tells whether the grant may allow one of these requests that is none of
// others. What is too much to be worked out it may.
func (q *questions) reach(these, others []*region.Region) bool {
	if q.tooMuch {
		return true
	}
	q.space.Renew(questionWork)
	for _, a := range q.grant {
		for _, b := range these {
			if _, found := q.space.CommonOutside(a, b, others); found {
				return true
			}
		}
	}
	return q.space.Exceeded()
}
