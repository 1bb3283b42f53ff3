package prove

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// proved are the fields that the proofs know of. One that is added to the scope
// language and not here would be taken for nothing: two scopes that differ in it
// would be the same. Teach regions, the hash and equalProfiles about it first.
var proved = map[reflect.Type]string{
	reflect.TypeFor[scope.Grant]():    "Name Endpoint HTTP Git GraphQL MCP WebSocket Where Query Headers Body Response Limits",
	reflect.TypeFor[scope.HTTP]():     "Methods Paths",
	reflect.TypeFor[scope.GraphQL]():  "Path Operations Introspection Limits MaxBytes Query Mutation Types", // limits play no part
	reflect.TypeFor[graphql.Type]():   "Fields Possible",                                                    // a field is named once
	reflect.TypeFor[graphql.Field]():  "Type AnyArgs Args",
	reflect.TypeFor[scope.MCP]():      "Path MaxBytes Revisions Tools Resources Prompts",
	reflect.TypeFor[mcp.Tool]():       "Name UnlistedAllow Arguments",
	reflect.TypeFor[scope.Query]():    "UnlistedAllow Params",
	reflect.TypeFor[scope.Body]():     "Media MaxBytes UnlistedAllow Fields Parts",
	reflect.TypeFor[scope.Part]():     "Required Value Filename Media MaxBytes",
	reflect.TypeFor[scope.Response](): "Keep",
	reflect.TypeFor[scope.Limits]():   "Requests",
	reflect.TypeFor[scope.Rate]():     "Count Per",
	reflect.TypeFor[scope.Matcher]():  "Set Equals In Glob Pattern Min Max MinLength MaxLength MaxItems Type Required Forbidden Except Kind Under FoldASCII Repeated",
	reflect.TypeFor[scope.Profile]():  "SlashInTail FoldPaths Aliases RefuseHeaders ReserveQuery ForwardHeaders",
}

func TestEveryFieldIsProved(t *testing.T) {
	for of, want := range proved {
		var got []string
		for i := range of.NumField() {
			got = append(got, of.Field(i).Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has the fields %v, and the proofs know %s", of, got, want)
		}
	}
}
