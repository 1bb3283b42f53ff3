package scope_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

var enterprise = scope.Profile{Layouts: []scope.Layout{{
	Base: "/api/v3", Moved: []scope.Move{{Plain: "/graphql", There: "/api/graphql"}},
}}}

// TestLayoutsForward: what is forwarded stands where the upstream has it,
// whichever layout the agent's client took.
func TestLayoutsForward(t *testing.T) {
	p := mustCompile(t, enterprise, []scope.Grant{{
		Name: "all", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/graphql", "/graphql/", "/user"}},
		Query: scope.Query{UnlistedAllow: true},
	}}, nil)
	for name, test := range map[string]struct{ target, base, want string }{
		"plain":                {"/user", "", "/user"},
		"plain to there":       {"/user", "/api/v3", "/api/v3/user"},
		"there to plain":       {"/api/v3/user", "", "/user"},
		"there":                {"/api/v3/user", "/api/v3", "/api/v3/user"},
		"moved, plain":         {"/graphql", "", "/graphql"},
		"moved, to plain":      {"/api/graphql", "", "/graphql"},
		"moved, plain to it":   {"/graphql?a=b", "/api/v3", "/api/graphql?a=b"},
		"moved, there":         {"/api/graphql?a=b", "/api/v3", "/api/graphql?a=b"},
		"moved, below a proxy": {"/graphql", "/ghe/api/v3", "/ghe/api/graphql"},
		"another base":         {"/graphql", "/v3", "/v3/graphql"},
		"slash":                {"/graphql/", "/api/v3", "/api/v3/graphql/"},
	} {
		t.Run(name, func(t *testing.T) {
			r := parse(t, test.target, &enterprise)
			d := p.Decide(r)
			if got := string(scope.AppendTarget(nil, test.base, r, &d)); got != test.want {
				t.Errorf("forwarded %q, want %q (%s)", got, test.want, d.Detail)
			}
		})
	}
}

// TestLayoutsAreReadWithoutMemory: a client of either layout costs the same.
func TestLayoutsAreReadWithoutMemory(t *testing.T) {
	var r scope.Request
	for _, target := range []string{"/api/v3/repos/acme/docs/issues/7", "/api/graphql"} {
		head := scope.Head{Method: "GET", Target: target}
		if n := testing.AllocsPerRun(100, func() {
			if err := r.Parse(&head, &enterprise); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}

// TestLayoutsRefused: a path that no request ever has would be a grant, or a
// wall, that only seems to be there.
func TestLayoutsRefused(t *testing.T) {
	for name, path := range map[string]string{
		"base":   "/api/v3",
		"below":  "/api/v3/repos/{repo=*/*}",
		"moved":  "/api/graphql",
		"slash":  "/api/v3/",
		"a tail": "/api/v3/{rest...}",
	} {
		t.Run(name, func(t *testing.T) {
			g := []scope.Grant{{Name: "g", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{path}}}}
			if _, err := scope.Compile(enterprise, g, nil); err == nil {
				t.Errorf("a grant of %s is accepted", path)
			}
			if _, err := scope.Compile(enterprise, nil, &g); err == nil {
				t.Errorf("a ceiling of %s is accepted", path)
			}
			if _, err := scope.Compile(scope.Profile{}, g, nil); err != nil {
				t.Errorf("without layouts: %v", err)
			}
		})
	}
	for _, l := range []scope.Layout{{}, {Base: "api"}, {Base: "/{a}"}, {Base: "/a/"}, {Base: "/a b"}, {Base: "/a", Moved: []scope.Move{{Plain: "/b"}}}} {
		if _, err := scope.Compile(scope.Profile{Layouts: []scope.Layout{l}}, nil, nil); err == nil {
			t.Errorf("the layout %+v is accepted", l)
		}
	}
}
