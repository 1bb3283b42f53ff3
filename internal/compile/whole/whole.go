// Package whole proves something of whole scopes, whatever the kinds of their
// grants: it takes them to pieces, has each piece proved, and puts together what
// that means for the grants.
package whole

import (
	"encoding/json"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Grants are grants of which something is to be proved. They are not safe for
// concurrent use.
type Grants struct {
	space     *region.Space
	endpoints []bundle.Endpoint
	grants    []scope.Grant
	of        []int // the grant of each piece
	pieces    *prove.Grants
}

// NewGrants returns grants at endpoints, to be looked at in space.
func NewGrants(space *region.Space, endpoints []bundle.Endpoint, grants []scope.Grant) *Grants {
	pieces := piece.Of(endpoints, grants)
	return &Grants{space, endpoints, grants, pieces.Of, prove.NewGrants(space, pieces.Endpoints, pieces.Grants)}
}

// Within proves each grant within those of the ceiling that are of its kind. It
// returns what it could not prove, one finding for a grant at most.
func (g *Grants) Within(ceiling []scope.Grant) []prove.Finding {
	findings := once(g.pieces.Within(piece.Of(g.endpoints, ceiling).Grants), g.of)
	for i := range g.grants {
		known := slices.ContainsFunc(findings, func(f prove.Finding) bool { return f.Grant == i })
		if !known && piece.Together(&g.grants[i]) && !g.withinOne(&g.grants[i], ceiling) {
			findings = append(findings, prove.Finding{Grant: i})
		}
	}
	return findings
}

// withinOne reports whether one grant of the ceiling allows all that one does,
// however a request puts its pieces together.
func (g *Grants) withinOne(one *scope.Grant, ceiling []scope.Grant) bool {
	pieces := piece.Of(g.endpoints, []scope.Grant{*one})
	proofs := prove.NewGrants(g.space, pieces.Endpoints, pieces.Grants)
	return slices.ContainsFunc(ceiling, func(c scope.Grant) bool {
		return sameKind(one, &c) && len(proofs.Within(piece.Of(g.endpoints, []scope.Grant{c}).Grants)) == 0
	})
}

func sameKind(a, b *scope.Grant) bool {
	of, _ := piece.KindOf(a)
	other, _ := piece.KindOf(b)
	return of == other && a.Endpoint == b.Endpoint
}

// Disjoint proves that no grant has a request go upstream that an entry of
// never names: as what it is in http, or by one of its pieces. Entries name an
// endpoint, a made-up one for pieces, or no endpoint for all requests of http.
func (g *Grants) Disjoint(never []region.Never) []prove.Finding {
	requests := piece.Requests(g.endpoints, g.grants)
	entries, entryOf := spread(g.endpoints, never)
	findings := g.pieces.Disjoint(entries)
	for _, f := range prove.NewGrants(g.space, requests.Endpoints, requests.Grants).Disjoint(entries) {
		f.Grant += len(g.of)
		findings = append(findings, f)
	}
	for i := range findings {
		findings[i].Never = entryOf[findings[i].Never]
	}
	return once(findings, slices.Concat(g.of, requests.Of))
}

// spread names the endpoints of entries that name none.
func spread(endpoints []bundle.Endpoint, never []region.Never) (entries []region.Never, of []int) {
	for k, n := range never {
		if n.Endpoint != "" {
			entries, of = append(entries, n), append(of, k)
			continue
		}
		for i := range endpoints {
			n.Endpoint = endpoints[i].Name
			entries, of = append(entries, n), append(of, k)
		}
	}
	return entries, of
}

// once turns findings of pieces into findings of grants, one for a grant and an
// entry at most: one with a witness before one without.
func once(findings []prove.Finding, of []int) []prove.Finding {
	var out []prove.Finding
	for _, f := range findings {
		f.Grant = of[f.Grant]
		same := func(o prove.Finding) bool { return o.Grant == f.Grant && o.Never == f.Never }
		switch i := slices.IndexFunc(out, same); {
		case i < 0:
			out = append(out, f)
		case out[i].Answer == prove.Unknown && f.Answer == prove.No:
			out[i] = f
		}
	}
	slices.SortStableFunc(out, func(a, b prove.Finding) int { return a.Grant - b.Grant })
	return out
}

// Diff compares what two scopes allow; see [prove.Diff]. What a request puts
// together of several pieces, or a limit counts together, is the same where the
// grant is; else it is not found out.
func Diff(from, to prove.Scope) prove.Difference {
	d := prove.Diff(inPieces(from), inPieces(to))
	if names := append(apart(from, to, d.Added), apart(to, from, d.Removed)...); len(names) > 0 {
		d.Unknown = slices.Compact(slices.Sorted(slices.Values(append(d.Unknown, names...))))
		d.Verdict = prove.Undecided
	}
	return d
}

func inPieces(s prove.Scope) prove.Scope {
	pieces := piece.Of(s.Endpoints, s.Grants)
	s.Endpoints, s.Grants = pieces.Endpoints, pieces.Grants
	return s
}

// apart names the grants of is whose pieces was allows, perhaps, and not
// together.
func apart(was, is prove.Scope, changes []prove.Change) []string {
	var names []string
	for i := range is.Grants {
		g := &is.Grants[i]
		_, other := piece.KindOf(g)
		changed := slices.ContainsFunc(changes, func(c prove.Change) bool { return c.Grant == g.Name })
		if !other || changed || !piece.Together(g) && g.Limits == nil || slices.ContainsFunc(was.Grants, func(o scope.Grant) bool { return equal(&o, g) }) {
			continue
		}
		if g.Limits != nil || !coveredByOne(was, is.Endpoints, g) {
			names = append(names, g.Name)
		}
	}
	return names
}

// coveredByOne reports whether one grant of was allows all that g does.
func coveredByOne(was prove.Scope, endpoints []bundle.Endpoint, g *scope.Grant) bool {
	mine := inPieces(prove.Scope{Endpoints: endpoints, Grants: []scope.Grant{*g}})
	return slices.ContainsFunc(was.Grants, func(o scope.Grant) bool {
		if !sameKind(&o, g) {
			return false
		}
		d := prove.Diff(inPieces(prove.Scope{Endpoints: was.Endpoints, Grants: []scope.Grant{o}}), mine)
		return d.Verdict == prove.Same || d.Verdict == prove.Narrowed
	})
}

// equal reports whether two grants say the same, names aside.
func equal(a, b *scope.Grant) bool {
	x, y := *a, *b
	x.Name, y.Name = "", ""
	one, _ := json.Marshal(x) // plain data: it can always be written
	other, _ := json.Marshal(y)
	return string(one) == string(other)
}
