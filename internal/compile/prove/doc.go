// Package prove decides what a scope allows: whether it lies within a ceiling,
// whether it allows what it must never allow, and how it differs from another.
// No answer is a guess. Each that says that some request makes the difference
// names that request, and the judge that runs beside the agent was asked about
// it; each that says that there is none was proved over all requests.
//
// # An example
//
// A scope gains DELETE on /repos/{repo=*/*} where repo is acme/docs. [Diff]
// says Widened, and shows DELETE /repos/acme/docs: allowed now, and by no grant
// before.
//
// # What it refuses to do
//
// It takes no proof that was too much work for one that was found: the answer
// is [Unknown] then, which is never within a ceiling, never disjoint from a
// never, and never the same.
package prove
