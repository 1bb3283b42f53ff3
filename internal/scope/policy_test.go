package scope_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

func ptr[T any](v T) *T { return &v }

// github is a profile with every equivalence.
var github = scope.Profile{
	SlashInTail:    true,
	FoldPaths:      []string{"/repos/{owner}/{repo}"},
	RefuseHeaders:  []string{"X-Refused"},
	ReserveQuery:   []string{"client_secret"},
	ForwardHeaders: []string{"X-GitHub-Api-Version"},
}

func mustCompile(tb testing.TB, p scope.Profile, grants []scope.Grant, ceiling *[]scope.Grant) *scope.Policy {
	tb.Helper()
	policy, err := scope.Compile(p, grants, ceiling)
	if err != nil {
		tb.Fatal(err)
	}
	return policy
}
