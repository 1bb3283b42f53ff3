package scope_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

func ptr[T any](v T) *T { return &v }

func TestDecideSmoke(t *testing.T) {
	p, err := scope.Compile(scope.Profile{SlashInTail: true, FoldPaths: []string{"/repos/{owner}/{repo}"}}, []scope.Grant{{
		Name:  "read",
		HTTP:  &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"}},
		Where: map[string]scope.Matcher{"repo": {In: []string{"acme/web", "acme/Docs"}}},
		Query: scope.Query{UnlistedAllow: true},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var r scope.Request
	if err := r.Parse(&scope.Head{Method: "GET", Target: "/repos/ACME/docs/contents/a%2Fb?q=a+b"}, &scope.Profile{SlashInTail: true, FoldPaths: []string{"/repos/{owner}/{repo}"}}); err != nil {
		t.Fatal(err)
	}
	d := p.Decide(&r)
	got := string(scope.AppendTarget(nil, "/api", &r, &d))
	if want := "/api/repos/acme/docs/contents/a/b?q=a%20b"; got != want {
		t.Fatalf("got %q want %q; %+v", got, want, d)
	}
}
