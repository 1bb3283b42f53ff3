package compile

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/measure"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/whole"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const grpcScope = kindsCredential + `  grants:
  - {name: list, grpc: {methods: [acme.v1.Inventory/List, acme.v1.Inventory/Get]}}
  - {name: stock, grpc: {methods: [acme.v1.Stock/Watch]}}
  examples:
    allow: ["POST /acme.v1.Inventory/List"]
    deny: ["POST /acme.v1.Inventory/Delete", "GET /acme.v1.Inventory/List"]
`

func TestGRPC(t *testing.T) {
	c, err := Credential(credentialOf(t, grpcScope), upstreamOf(t, kindsUpstream))
	if err != nil {
		t.Fatal(err)
	}
	want := []scope.Grant{
		{Name: "list", Endpoint: "rt", GRPC: &scope.GRPC{Methods: []string{"acme.v1.Inventory/List", "acme.v1.Inventory/Get"}}},
		{Name: "stock", Endpoint: "rt", GRPC: &scope.GRPC{Methods: []string{"acme.v1.Stock/Watch"}}},
	}
	if diff := cmp.Diff(want, c.Grants); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := measure.Reach(c.Grants), (v1alpha1.Reach{Writes: 3, Opaque: 2, Summary: "R0 W3 D0"}); got != want {
		t.Errorf("reach %+v, want %+v", got, want)
	}
}

// TestGRPCExamples: an example that does not hold is told.
func TestGRPCExamples(t *testing.T) {
	text := kindsCredential + "  grants:\n  - {name: it, grpc: {methods: [a.B/C]}}\n  examples: {deny: [POST /a.B/C]}\n"
	_, err := Credential(credentialOf(t, text), upstreamOf(t, kindsUpstream))
	refusedFor(t, "it is granted", err, v1alpha1.ReasonExampleFailed, `spec.examples.deny[0]: "POST /a.B/C": it is allowed by the grant it`)
}

func TestGRPCDiff(t *testing.T) {
	for name, test := range map[string]struct {
		why, from, to string
		want          prove.Verdict
	}{
		"same":      {"the order says nothing", "[a.B/C, a.B/D]", "[a.B/D, a.B/C]", prove.Same},
		"more":      {"a method was added", "[a.B/C]", "[a.B/C, a.B/D]", prove.Widened},
		"fewer":     {"a method was taken away", "[a.B/C, a.B/D]", "[a.B/C]", prove.Narrowed},
		"something": {"one for another", "[a.B/C]", "[a.B/D]", prove.Both},
	} {
		t.Run(name, func(t *testing.T) {
			of := func(methods string) prove.Scope {
				c, err := Credential(credentialOf(t, kindsCredential+"  grants:\n  - {name: it, grpc: {methods: "+methods+"}}\n"), upstreamOf(t, kindsUpstream))
				if err != nil {
					t.Fatal(err)
				}
				return prove.ScopeOf(&c)
			}
			if got := whole.Diff(of(test.from), of(test.to)); got.Verdict != test.want {
				t.Errorf("%s: got %v %+v, want %v", test.why, got.Verdict, got, test.want)
			}
		})
	}
}
