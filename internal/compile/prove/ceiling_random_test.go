package prove

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestWithinAgainstTheJudge: a grant that is proved within a ceiling has no
// request that the judge of both refuses for the ceiling's sake, and a grant
// that is not has a witness.
func TestWithinAgainstTheJudge(t *testing.T) {
	t.Parallel()
	counts := map[Answer]int{}
	for seed := range uint64(3000) {
		c := chance{rand.New(rand.NewPCG(seed, 2))}
		p := pickOf(c, profiles)
		grants, ceiling := c.scope(&p), c.scope(&p)
		switch c.IntN(4) {
		case 0, 1:
			ceiling = c.respelled(grants)
			grants = c.respelled(c.narrowed(grants))
		case 2:
			ceiling = c.tweaked(grants)
		}
		if !accepted(grants) || !accepted(ceiling) {
			continue
		}
		failed := map[int]Finding{}
		for _, f := range NewGrants(NewSpace(), grants.Endpoints, grants.Grants).Within(ceiling.Grants) {
			failed[f.Grant] = f
			counts[f.Answer]++
		}
		requests := slices.Concat(world(c, 100), c.near(grants, 12), c.near(ceiling, 12))
		for i := range grants.Grants {
			f, fails := failed[i]
			if !fails {
				counts[Yes]++
			}
			policy, err := scope.Compile(p, grants.Grants[i:i+1], &ceiling.Grants)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := scope.Compile(p, grants.Grants[i:i+1], nil)
			if err != nil {
				t.Fatal(err)
			}
			if h := refusedAbove(policy, alone, &p, requests); h != nil && !fails {
				t.Errorf("seed %d: grant %d is within the ceiling, but %v is not", seed, i, *h)
			}
			// The judge lets a header pass that the ceiling does not name.
			if one := asked(&f.Witness); fails && f.Answer == No && len(one.Fields) == 0 && refusedAbove(policy, alone, &p, []ask{one}) == nil {
				t.Errorf("seed %d: %s is no witness", seed, f.Witness.String())
			}
		}
	}
	t.Log(counts)
	if counts[Yes] < 1000 || counts[No] < 1000 || counts[Unknown] > 30 {
		t.Errorf("the answers %v are too few to tell, or too many are unknown", counts)
	}
}

// refusedAbove returns a request that is refused for the ceiling's sake.
func refusedAbove(policy, alone *scope.Policy, p *scope.Profile, requests []ask) *ask {
	var r scope.Request
	for i := range requests {
		h := &requests[i]
		if r.Parse(&h.Head, p) != nil {
			continue
		}
		// A body that the grant allows and the ceiling does not is too large. One
		// that the grant itself finds too large is no matter of the ceiling.
		why := decide(policy, &r, h).Reason
		if (why == scope.BeyondCeiling || why == scope.TooLarge) && decide(alone, &r, h).Verdict == scope.Allow {
			return h
		}
	}
	return nil
}

// TestDisjointAgainstTheJudge does so for never, whose reading the test has in
// words of its own.
func TestDisjointAgainstTheJudge(t *testing.T) {
	t.Parallel()
	counts := map[Answer]int{}
	for seed := range uint64(3000) {
		c := chance{rand.New(rand.NewPCG(seed, 3))}
		p := pickOf(c, profiles)
		s := c.scope(&p)
		n, like := c.never(&p)
		failed := map[int]Finding{}
		for _, f := range NewGrants(NewSpace(), s.Endpoints, s.Grants).Disjoint([]region.Never{n}) {
			failed[f.Grant] = f
			counts[f.Answer]++
		}
		for i := range s.Grants {
			f, fails := failed[i]
			if !fails {
				counts[Yes]++
			}
			policy, err := scope.Compile(p, s.Grants[i:i+1], nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range slices.Concat(world(c, 100), c.near(s, 12), c.near(Scope{Grants: []scope.Grant{like}}, 12)) {
				if !fails && named(&n, &like, &s.Grants[i], policy, &p, &h) {
					t.Errorf("seed %d: grant %d is disjoint, but allows %v", seed, i, h)
				}
			}
			if one := asked(&f.Witness); fails && f.Answer == No && !named(&n, &like, &s.Grants[i], policy, &p, &one) {
				t.Errorf("seed %d: %s is no witness of grant %d", seed, f.Witness.String(), i)
			}
		}
	}
	t.Log(counts)
	if counts[Yes] < 500 || counts[No] < 500 || counts[Unknown] > 30 {
		t.Errorf("the answers %v are too few to tell, or too many are unknown", counts)
	}
}

// never makes an entry of never, and the grant that it looks like.
func (c chance) never(p *scope.Profile) (region.Never, scope.Grant) {
	g := c.grant("never", p)
	n := region.Never{Where: g.Where, Params: g.Query.Params, Headers: g.Headers, Body: bodyOf(g.Body), ListedOnly: c.one(4)}
	if !c.one(4) {
		n.Methods = g.HTTP.Methods
	}
	if len(g.Where) > 0 || !c.one(4) {
		n.Paths = g.HTTP.Paths
	}
	return n, g
}

// named reports whether the policy has a request go upstream that n names.
func named(n *region.Never, like, by *scope.Grant, policy *scope.Policy, p *scope.Profile, h *ask) bool {
	var r scope.Request
	if r.Parse(&h.Head, p) != nil {
		return false
	}
	d := decide(policy, &r, h)
	if d.Verdict != scope.Allow || !namedBody(n.Body, by, h) {
		return false
	}
	gone := scope.Head{Method: h.Method, Target: string(scope.AppendTarget(nil, "", &r, &d))}
	for _, f := range h.Fields {
		if scope.Forwards(&d, f.Name) {
			gone.Fields = append(gone.Fields, f)
		}
	}
	if len(n.Methods) > 0 && !slices.Contains(n.Methods, h.Method) {
		return false
	}
	target, query, _ := strings.Cut(gone.Target, "?")
	if len(n.Paths) > 0 && !passes(p, scope.Grant{HTTP: &scope.HTTP{Paths: like.HTTP.Paths}, Where: n.Where}, scope.Head{Target: target}) {
		return false
	}
	return namedQuery(n, p, query) && namedHeaders(n, p, gone.Fields)
}

// passes asks the judge of a grant that is about one thing alone.
func passes(p *scope.Profile, g scope.Grant, h scope.Head) bool {
	g.Name, h.Method = "one", "GET"
	if g.HTTP == nil {
		g.HTTP = &scope.HTTP{Paths: []string{"/"}}
	}
	g.HTTP.Methods = []string{"GET"}
	policy, err := scope.Compile(*p, []scope.Grant{g}, nil)
	var r scope.Request
	return err == nil && r.Parse(&h, nil) == nil && policy.Decide(&r).Verdict == scope.Allow
}

func namedQuery(n *region.Never, p *scope.Profile, query string) bool {
	pairs := strings.FieldsFunc(query, func(r rune) bool { return r == '&' })
	there := func(name string) (any, matches bool) {
		for _, pair := range pairs {
			if got, _, _ := strings.Cut(pair, "="); strings.ReplaceAll(strings.ReplaceAll(got, "%5B", "["), "%5D", "]") == name {
				any = true
				m := map[string]scope.Matcher{name: n.Params[name]}
				matches = matches || passes(p, scope.Grant{Query: scope.Query{Params: m}}, scope.Head{Target: "/?" + pair})
			}
		}
		return any, matches
	}
	for _, name := range slices.Sorted(maps.Keys(n.Params)) {
		if any, matches := there(name); n.Params[name].Forbidden == any || !n.Params[name].Forbidden && !matches {
			return false
		}
	}
	for _, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if _, listed := n.Params[strings.ReplaceAll(strings.ReplaceAll(name, "%5B", "["), "%5D", "]")]; n.ListedOnly && !listed {
			return false
		}
	}
	return true
}

func namedHeaders(n *region.Never, p *scope.Profile, fields []scope.Field) bool {
	for name, m := range n.Headers {
		var there []scope.Field
		for _, f := range fields {
			if f.Name == name {
				there = append(there, f)
			}
		}
		if m.Forbidden || len(there) == 0 {
			if m.Forbidden != (len(there) == 0) {
				return false
			}
			continue
		}
		if len(there) == 1 && !passes(p, scope.Grant{Headers: map[string]scope.Matcher{name: m}}, scope.Head{Target: "/", Fields: there}) {
			return false
		}
	}
	return true
}

func bodyOf(b *scope.Body) *region.NeverBody {
	switch {
	case b == nil:
		return nil
	case b.Media == scope.JSON || b.Media == scope.Form:
		return &region.NeverBody{Media: b.Media, Fields: b.Fields}
	}
	return &region.NeverBody{}
}
