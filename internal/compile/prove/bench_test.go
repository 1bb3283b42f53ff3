package prove

import (
	"fmt"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// large makes a scope of 256 grants such as an agent of a whole organisation
// might have: three methods on a few dozen resources of sets of repositories.
func large(tb testing.TB) (grants, ceiling []scope.Grant, never []region.Never) {
	tb.Helper()
	resources := []string{"issues", "pulls", "labels", "milestones", "releases", "commits", "branches", "tags", "git/refs/heads", "contents", "comments", "reviews", "checks", "statuses", "deployments", "environments"}
	for i := range 256 {
		resource := resources[i%len(resources)]
		var repos []string
		for k := range 8 {
			repos = append(repos, fmt.Sprintf("acme/service-%d", (i/len(resources)*3+k)%40))
		}
		g := scope.Grant{
			Name: fmt.Sprintf("grant-%d", i), Endpoint: "rest",
			HTTP:  &scope.HTTP{Methods: []string{"GET", "POST"}, Paths: []string{"/repos/{repo=*/*}/" + resource, "/repos/{repo=*/*}/" + resource + "/{rest...}"}},
			Where: map[string]scope.Matcher{"repo": {Set: &scope.Matcher{In: repos, FoldASCII: true}}},
			Query: scope.Query{Params: map[string]scope.Matcher{"page": {Min: ptr("1"), Max: ptr("100")}, "state": {In: []string{"open", "closed"}}}},
			Body:  &scope.Body{Media: scope.Opaque, MaxBytes: 65536},
		}
		if problems := g.Check(github); len(problems) > 0 {
			tb.Fatal(problems[0])
		}
		grants = append(grants, g)
	}
	org := map[string]scope.Matcher{"repo": {Glob: ptr("acme/*"), FoldASCII: true}}
	ceiling = []scope.Grant{
		{Name: "read", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "HEAD"}, Paths: []string{"/repos/{repo=*/*}/{rest...}"}}, Where: org, Query: scope.Query{UnlistedAllow: true}, Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20}},
		{Name: "write", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST", "PATCH"}, Paths: []string{"/repos/{repo=*/*}/{rest...}"}}, Where: org, Query: scope.Query{UnlistedAllow: true}, Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20}},
	}
	never = []region.Never{
		{Methods: []string{"DELETE"}},
		{Paths: []string{"/repos/{repo=*/*}/hooks/{rest...}", "/repos/{repo=*/*}/keys", "/user/{rest...}"}},
		{Paths: []string{"/repos/{repo=*/*}/{rest...}"}, Where: map[string]scope.Matcher{"repo": {In: []string{"acme/payments", "acme/identity"}, FoldASCII: true}}},
		{Params: map[string]scope.Matcher{"force": {Equals: ptr("true")}}},
	}
	return grants, ceiling, never
}

// BenchmarkProve256 compiles a scope of 256 grants for the judge, and proves it
// within a ceiling and disjoint from four entries of never.
func BenchmarkProve256(b *testing.B) {
	grants, ceiling, never := large(b)
	at := endpoints(github)
	cpu.Loop(b, func() {
		if _, err := scope.Compile(github, grants, nil); err != nil {
			b.Fatal(err)
		}
		g := NewGrants(NewSpace(), at, grants)
		if f := g.Within(ceiling); len(f) > 0 {
			b.Fatal(f[0].Answer, f[0].Witness.String())
		}
		if f := g.Disjoint(never); len(f) > 0 {
			b.Fatal(f[0].Answer, f[0].Never, f[0].Witness.String())
		}
	})
}

// BenchmarkDiff256 compares it with one in which one value has changed.
func BenchmarkDiff256(b *testing.B) {
	from, _, _ := large(b)
	to, _, _ := large(b)
	to[100].Where = map[string]scope.Matcher{"repo": {In: []string{"acme/other"}}}
	cpu.Loop(b, func() {
		if d := Diff(scopeOf(github, from), scopeOf(github, to)); d.Verdict != Widened {
			b.Fatal(d.Verdict)
		}
	})
}
