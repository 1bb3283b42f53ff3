// Package scope is the judge: one request, one compiled scope, one decision.
//
// # The model
//
// A scope is a list of grants. A [Grant] allows the requests of one endpoint
// that match every one of its fields; the scope allows the union. There is no
// order, no precedence and no rule that denies, so removing a grant never
// allows more. Everything that a grant does not name is denied, down to the
// name of a query parameter and the key of a body. There are two exceptions,
// and both are written out where they hold: a capture without an entry in Where
// matches any segment, and UnlistedAllow admits any other name.
//
// A request is read once, by [Request.Parse], into the one value that is
// judged and forwarded. [Policy.Decide] looks at nothing else, and
// [AppendTarget] writes the upstream's request line from it, so that the
// upstream has nothing to interpret: there is one spelling of every path and
// query, and it means what was judged.
//
// A body comes after the decision about the rest. Where no grant that is left
// looks into it, it is bounded and streams. Where one does, the decision is
// [Undecided]: the body is read whole, [Policy.DecideBody] judges the request
// again with it, and the same bytes are forwarded. One grant must match all of
// it. Package body is what judges them, by the readers of packages json, form
// and multipart.
//
// # An example
//
// A grant has DELETE on /repos/{repo=*/*}/git/refs/heads/{branch...}, where
// branch has the glob agent/**. Then
//
//	DELETE /repos/acme/docs/git/refs/heads/agent/tmp                 is allowed,
//	DELETE /repos/acme/docs/git/refs/heads/release-1.0               matches no grant: OutOfScope,
//	DELETE /repos/acme/docs/git/refs/heads/agent/tmp?force=1         names what no grant lists: ParameterRefused,
//	DELETE /repos/acme/docs/git/refs/heads/agent/../release-1.0      cannot be read: Malformed.
//
// The last one is not cleaned up and then judged. Some servers would delete
// the branch release-1.0 for it and others agent/../release-1.0, so there is
// no decision that is right for both.
//
// # What it refuses to do
//
// It repairs nothing: dot segments, empty segments, slashes and backslashes
// that hide behind percent-encoding, text that is encoded twice or is not
// UTF-8, control characters, queries that split differently elsewhere, bodies
// that two parsers take apart differently.
//
// It does not guess: a matcher, kind or medium that it does not know is an
// error of [Compile], a nil or zero value of any type denies, and an empty
// list matches nothing.
//
// It knows no letters beyond ASCII as equal, no pattern that takes more than
// linear time, no floating point, and no code in a scope.
//
// It performs no input or output, keeps nothing between two requests, and
// knows neither tokens nor secrets.
package scope
