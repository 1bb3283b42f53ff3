package prove

import (
	"encoding/json"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// A Scope is what is compared: grants, the endpoints that they are of, and the
// limits of all of them together.
type Scope struct {
	Endpoints   []bundle.Endpoint
	Grants      []scope.Grant
	Requests    *scope.Rate // nil: none
	Concurrency int         // 0: none
}

// ScopeOf is what a compiled credential allows.
func ScopeOf(c *bundle.Credential) Scope {
	return Scope{Endpoints: c.Endpoints, Grants: c.Grants, Requests: c.Requests, Concurrency: c.Limits.Concurrency}
}

// A Verdict says how a scope differs from another. The zero Verdict is
// Undecided.
type Verdict string

// The verdicts.
const (
	Undecided Verdict = "Unknown" // some of it took too much work
	Same      Verdict = "Same"
	Narrowed  Verdict = "Narrowed"
	Widened   Verdict = "Widened"
	Both      Verdict = "Both" // narrowed here and widened there
)

// A Change is something that one path of a grant allows and no grant of the
// other scope does.
type Change struct {
	// Grant and Path say where; both are empty where a limit of all grants
	// makes the difference, and nothing else does.
	Grant   string
	Path    string
	Limit   string // that limit, such as spec.limits.requests
	Witness region.Request
	// Otherwise says that the other scope allows the request, and has something
	// else go upstream for it.
	Otherwise bool
}

// String is the request that shows the change, and the grant that allows it.
func (c *Change) String() string {
	if c.Limit != "" {
		return "more requests in all than " + c.Limit + " of the other lets pass"
	}
	return c.Witness.String() + " (grant " + c.Grant + ")"
}

// A Difference is between an old and a new scope.
type Difference struct {
	Verdict Verdict
	Added   []Change // allowed by the new one
	Removed []Change // allowed by the old one
	// Unknown are the grants of which something was not found out, of both.
	Unknown []string
}

// Diff compares what two scopes allow, and what goes upstream for it. Two
// endpoints are the same if name and URL are; where their profiles differ,
// nothing is known of them.
func Diff(from, to Scope) Difference {
	s := NewSpace()
	was, is := newSide(s, from, to), newSide(s, to, from)
	var d Difference
	d.Removed, d.Unknown = was.outside(s, is)
	var more []string
	d.Added, more = is.outside(s, was)
	d.Added, d.Removed = withTotals(d.Added, &from, &to), withTotals(d.Removed, &to, &from)
	d.Unknown = slices.Compact(slices.Sorted(slices.Values(append(d.Unknown, more...))))
	switch {
	case len(d.Unknown) > 0:
		d.Verdict = Undecided
	case len(d.Added) > 0 && len(d.Removed) > 0:
		d.Verdict = Both
	case len(d.Added) > 0:
		d.Verdict = Widened
	case len(d.Removed) > 0:
		d.Verdict = Narrowed
	default:
		d.Verdict = Same
	}
	return d
}

// side is one of the two scopes.
type side struct {
	Scope
	built  []built
	judges judges
	odd    map[string]bool // endpoints of another profile in the other scope
	texts  []string        // of the grants, without their names
}

func newSide(s *region.Space, mine, other Scope) *side {
	out := &side{Scope: mine, built: build(s, mine.Endpoints, mine.Grants, region.Exchange), judges: judges{}, odd: map[string]bool{}}
	for i := range mine.Endpoints {
		e := &mine.Endpoints[i]
		if p := profileOf(other.Endpoints, e.Name); p != nil && !equalProfiles(p, &e.Profile) {
			out.odd[e.Name] = true
		}
	}
	for _, g := range mine.Grants {
		g.Name = ""
		text, _ := json.Marshal(g) // plain data: it can always be written
		out.texts = append(out.texts, string(text))
	}
	return out
}

func equalProfiles(a, b *scope.Profile) bool {
	return a.SlashInTail == b.SlashInTail && slices.Equal(a.FoldPaths, b.FoldPaths) &&
		slices.Equal(a.Aliases, b.Aliases) && slices.Equal(a.RefuseHeaders, b.RefuseHeaders) && slices.Equal(a.ReserveQuery, b.ReserveQuery) &&
		slices.Equal(a.ForwardHeaders, b.ForwardHeaders)
}

// sameURL reports whether an endpoint is the same place in both scopes, or is
// in one of them alone.
func sameURL(a, b []bundle.Endpoint, name string) bool {
	url := func(list []bundle.Endpoint) string {
		for i := range list {
			if list[i].Name == name {
				return list[i].URL
			}
		}
		return ""
	}
	return url(a) == "" || url(b) == "" || url(a) == url(b)
}

// view is what is looked at of an exchange.
type view func(*region.Region) *region.Region

// views are what is compared, one after the other. Limits and answers are
// looked at apart from each other: where several grants match a request, one of
// them with limits left is enough, and the answer keeps what any of them keeps.
func views(a, b *side) []view {
	whole := func(r *region.Region) *region.Region { return r }
	limits := func(g scope.Grant) bool { return g.Limits != nil }
	cuts := func(g scope.Grant) bool { return g.Response != nil }
	for _, asks := range []func(scope.Grant) bool{limits, cuts} {
		if !slices.ContainsFunc(a.Grants, asks) && !slices.ContainsFunc(b.Grants, asks) {
			return []view{whole}
		}
	}
	return []view{(*region.Region).WholeAnswer, (*region.Region).Unlimited}
}

// compared is a scope's regions, as a view has them.
type compared struct {
	view
	all []*region.Region
}

// lists are all regions of a, as each view has them.
func (a *side) lists(all []view) []compared {
	var out []compared
	for _, v := range all {
		c := compared{view: v}
		for _, r := range together(a.built) {
			c.all = append(c.all, v(r))
		}
		out = append(out, c)
	}
	return out
}

// outside returns what a allows and b does not, a change for each path at
// most, and the grants of which that was not found out.
func (a *side) outside(s *region.Space, b *side) (changes []Change, unknown []string) {
	lists := b.lists(views(a, b))
	for i := range a.built {
		g := &a.Grants[i]
		samePlace := sameURL(a.Endpoints, b.Endpoints, g.Endpoint)
		switch {
		case a.odd[g.Endpoint] || !a.built[i].complete:
			unknown = append(unknown, g.Name)
			continue
		case samePlace && slices.Contains(b.texts, a.texts[i]):
			continue // most grants are as they were
		}
		for _, r := range a.built[i].regions {
			c := Change{Grant: g.Name, Path: r.Path}
			switch a.within(s, b, i, &c, r, lists, samePlace) {
			case No:
				changes = append(changes, c)
			case Unknown:
				unknown = append(unknown, g.Name)
			}
		}
	}
	return changes, unknown
}

// within answers whether b allows all of a region of the grant at i. Where it
// does not, c gets to know of what.
func (a *side) within(s *region.Space, b *side, i int, c *Change, r *region.Region, lists []compared, samePlace bool) Answer {
	for _, l := range lists {
		if !samePlace {
			l.all = nil // what is allowed elsewhere is not allowed here
		}
		s.Renew(proofWork)
		var found bool
		c.Witness, found = s.Outside(l.view(r), l.all)
		switch {
		case found && a.confirms(b, i, c, samePlace):
			return No
		case found || s.Exceeded():
			return Unknown
		}
	}
	if a.Grants[i].Limits != nil && a.sharesLimit(s, b, i, r, lists[0].all) {
		return Unknown
	}
	return Yes
}

// confirms asks the judge whether the grant at i lets the witness pass, and the
// grants of b do not let it pass in the same way, as often and with as much of
// the answer.
func (a *side) confirms(b *side, i int, c *Change, samePlace bool) bool {
	p := a.built[i].profile
	mine := a.judges.ask(p, &a.Grants[i], &c.Witness, p)
	often := false
	seen := &scope.Response{}
	for k := range b.Grants {
		if !samePlace || b.Grants[k].Endpoint != c.Witness.Endpoint {
			continue
		}
		theirs := b.judges.ask(p, &b.Grants[k], &c.Witness, p)
		c.Otherwise = c.Otherwise || theirs.allowed
		if theirs.forwards(&mine) {
			often = often || asOften(theirs.grant.Limits, mine.grant.Limits)
			seen = both(seen, theirs.grant.Response)
		}
	}
	return mine.allowed && !(often && asMuch(seen, mine.grant.Response))
}
