package piece

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
)

// The methods of pieces of GraphQL: a field is selected.
const (
	Query    = "QUERY"
	Mutation = "MUTATION"
)

// operations are the methods of pieces by the operation that they are selected
// in.
var operations = map[syntax.Kind]string{syntax.Query: Query, syntax.Mutation: Mutation}

// graphQL splits a grant into the fields that may be selected, each on a path
// as [Field] writes it, with its arguments in a body, and what an operation may
// do besides.
func graphQL(g *scope.Grant) []scope.Grant {
	s := g.GraphQL
	var all []string
	for _, kind := range s.Operations {
		all = append(all, operations[kind])
	}
	one := func(methods []string, on, field string) scope.Grant {
		return scope.Grant{
			Name: g.Name, Endpoint: At(g.Endpoint, GraphQL), Limits: g.Limits, Headers: g.Headers,
			HTTP: &scope.HTTP{Methods: methods, Paths: []string{Field(on, field, s.Path)}},
		}
	}
	out := []scope.Grant{one(all, AnyType, typename)}
	if s.Introspection {
		out = append(out, one(all, AnyType, Schema))
	}
	for _, on := range slices.Sorted(maps.Keys(s.Types)) {
		for _, name := range slices.Sorted(maps.Keys(s.Types[on].Fields)) {
			f := s.Types[on].Fields[name]
			piece := one(begins(all, on, s.Query, s.Mutation), on, name)
			piece.Body = &scope.Body{Media: scope.JSON, MaxBytes: s.MaxBytes, UnlistedAllow: f.AnyArgs, Fields: f.Args}
			out = append(out, piece)
		}
	}
	return out
}

// begins returns the operations in which fields of a type are selected.
func begins(all []string, on, query, mutation string) []string {
	switch on {
	case query:
		return slices.DeleteFunc(slices.Clone(all), func(m string) bool { return m == Mutation && query != mutation })
	case mutation:
		return slices.DeleteFunc(slices.Clone(all), func(m string) bool { return m == Query })
	}
	return all
}

// What stands in a path for what is no field of one type.
const (
	AnyType  = "__any"      // whatever type
	Schema   = "__schema"   // what is asked of the schema
	typename = "__typename" // allowed wherever an operation is
)

// Field is the path of the piece of a field, of a type at the service that has
// a path.
func Field(on, field, path string) string {
	return "/" + on + "/" + field + "/at" + strings.TrimSuffix(path, "/")
}

// request is what an operation looks like in http.
func graphQLRequest(g *scope.Grant) scope.Grant {
	out := bare(g, g.Endpoint, "POST", g.GraphQL.Path)
	out.Headers = g.Headers
	out.Body = &scope.Body{Media: scope.JSON, MaxBytes: g.GraphQL.MaxBytes, Fields: map[string]scope.Matcher{
		"query": {Type: scope.String, Required: true}, "variables": {Type: scope.Any}, "operationName": {Type: scope.Any},
	}}
	return out
}
