// Package graphql judges requests to a GraphQL service: a POST of one JSON
// object with a document, its variables and the name of an operation.
//
// A grant lists schema coordinates: a type with fields that may be selected
// with any arguments, or one field with the arguments that it may have. Every
// operation of a document is judged, with its fragments written out and its
// variables filled in, whichever of them is named and whatever @skip and
// @include would leave out. What is not listed is refused, down to the name in
// an input object; __typename alone is always allowed.
//
// Of a grant that has Query.repository with owner acme, and Repository with the
// field name,
//
//	{repository(owner: "acme") {name}}                      is allowed,
//	{repository(owner: "acme") {name} a: viewer {login}}    selects what no grant lists,
//	{repository(owner: "evil") {name}}                      has an argument that does not match,
//	{node(id: "R_1") {... on Repository {name}}}            reaches a repository by an identifier that nobody can read.
//
// A field that is selected on an interface is granted by an entry for the
// interface. Where the grant lists the same field of a type that may stand
// there with arguments, those hold as well: an interface is no way around them.
package graphql
