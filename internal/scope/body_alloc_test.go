//go:build !race

package scope_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestDecideBodyAllocatesNothing: what a body costs is its reading. (Under the
// race detector pools drop what they are given.)
func TestDecideBodyAllocatesNothing(t *testing.T) {
	for name, bench := range bodyBenches {
		p := mustCompile(t, scope.Profile{}, []scope.Grant{bench.grant}, nil)
		h := scope.Head{Method: "POST", Target: bench.target, HasBody: true, Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}}
		var r scope.Request
		n := testing.AllocsPerRun(100, func() {
			if err := r.Parse(&h, nil); err != nil {
				t.Fatal(err)
			}
			if d := p.DecideBody(&r, scope.Content{Data: bench.body, Whole: true}); d.Verdict != scope.Allow {
				t.Fatalf("%+v", d)
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
