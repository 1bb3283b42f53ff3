package rules

import (
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
)

var rate = scope.Rate{Count: 10, Per: time.Minute}

func grant(name string, change ...func(*scope.Grant)) scope.Grant {
	g := scope.Grant{Name: name, Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/" + name}}}
	for _, do := range change {
		do(&g)
	}
	return g
}

func limited(g *scope.Grant)   { g.Limits = &scope.Limits{Requests: rate} }
func kept(g *scope.Grant)      { g.Response = &scope.Response{Keep: []string{"id"}} }
func elsewhere(g *scope.Grant) { g.Endpoint = "other" }

func compiled(t *testing.T, b Buckets, c, older *bundle.Credential) Set {
	t.Helper()
	s, err := Compile(b, &bundle.Endpoint{Name: "rest"}, c, older)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fresh() Buckets {
	return Buckets{Counter: new(limit.Counter), Before: limit.Buckets{}, Renewed: limit.Buckets{}}
}

// collected is what a layer asks for of these grants: how many buckets, and cuts.
func collected(s *Set, layer int, names ...string) (buckets, cuts int) {
	all, keeps := s.Collect(layer, names, nil, []*cut.Keep{})
	for _, b := range all {
		if b != nil {
			buckets++
		}
	}
	return buckets, len(keeps)
}

// TestLayers counts and cuts by each layer for itself: the grants, the ceiling, and
// the same of the version before.
func TestLayers(t *testing.T) {
	c := &bundle.Credential{
		Grants:  []scope.Grant{grant("free"), grant("limited", limited), grant("cut", kept), grant("other", elsewhere, limited)},
		Ceiling: &bundle.Ceiling{Grants: []scope.Grant{grant("free", limited)}}, Requests: &rate,
	}
	older := &bundle.Credential{Grants: []scope.Grant{grant("cut", kept, limited)}}
	s := compiled(t, fresh(), c, older)
	for name, test := range map[string]struct {
		layer         int
		names         []string
		buckets, cuts int
	}{
		"nothing is asked of it":        {0, []string{"free"}, 0, 0},
		"a limit":                       {0, []string{"limited"}, 1, 0},
		"a cut":                         {0, []string{"cut"}, 0, 1},
		"one of two lets see it all":    {0, []string{"cut", "limited"}, 1, 0},
		"of another endpoint":           {0, []string{"other"}, 0, 0},
		"the ceiling has its own limit": {1, []string{"free"}, 1, 0},
		"and so has the version before": {2, []string{"cut"}, 1, 1},
		"which has no ceiling":          {3, []string{"free"}, 0, 0},
	} {
		if buckets, cuts := collected(&s, test.layer, test.names...); buckets != test.buckets || cuts != test.cuts {
			t.Errorf("%s: %d buckets and %d cuts, want %d and %d", name, buckets, cuts, test.buckets, test.cuts)
		}
	}
	if s.Policy == nil || s.Floor == nil || !s.Ruled || s.Calls || s.Totals[0] == nil || s.Totals[1] != nil || len(s.Grants[0]) != 3 {
		t.Errorf("got %+v", s)
	}
	if bare := compiled(t, fresh(), &bundle.Credential{Grants: []scope.Grant{grant("free")}}, nil); bare.Ruled || bare.Floor != nil {
		t.Errorf("without rules %+v", bare)
	}
}

// TestBucketsGoOn: a version that comes gives nothing back.
func TestBucketsGoOn(t *testing.T) {
	c := &bundle.Credential{Grants: []scope.Grant{grant("limited", limited)}}
	first := fresh()
	before, _ := ptrs(compiled(t, first, c, nil))
	next := Buckets{Counter: first.Counter, Before: first.Renewed, Renewed: limit.Buckets{}}
	if after, n := ptrs(compiled(t, next, c, nil)); after != before || n != 1 {
		t.Error("another bucket counts")
	}
}

func ptrs(s Set) (*limit.Bucket, int) {
	all, _ := s.Collect(0, []string{"limited"}, nil, nil)
	return all[0], len(all)
}

// TestRefuses what cannot be counted or judged.
func TestRefuses(t *testing.T) {
	for name, c := range map[string]*bundle.Credential{
		"no number":       {Requests: &scope.Rate{}},
		"a path":          {Grants: []scope.Grant{grant("x", func(g *scope.Grant) { g.HTTP.Paths = []string{"x"} })}},
		"a kept path":     {Grants: []scope.Grant{grant("x", func(g *scope.Grant) { g.Response = &scope.Response{Keep: []string{"[["}} })}},
		"of the ceiling":  {Ceiling: &bundle.Ceiling{Grants: []scope.Grant{{Name: "x", Endpoint: "rest"}}}},
		"no kind of HTTP": {Grants: []scope.Grant{{Name: "x", Endpoint: "rest"}}},
	} {
		if s, err := Compile(fresh(), &bundle.Endpoint{Name: "rest"}, c, nil); err == nil || s.Policy != nil {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}
