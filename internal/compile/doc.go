// Package compile turns a ScopedCredential and its UpstreamSecret into the one
// document that a data plane enforces, or into the reasons why not.
//
// The model: what an author writes is resolved until nothing is left to look
// up. Sets are put in place of their names, endpoints and limits that were
// left out are written out, profiles become rules. A data plane that gets the
// document needs neither the manifests nor their defaults, so that nobody can
// fill in a gap differently.
//
//	sets:
//	- {name: docs, in: [acme/docs]}
//	grants:
//	- name: read
//	  http: {methods: [GET], paths: ["/repos/{repo=*/*}"]}
//	  where: {repo: {set: docs}}
//
// becomes, at an UpstreamSecret whose only endpoint is rest, one grant of
// endpoint rest that allows GET of /repos/{repo=*/*} where repo is acme/docs,
// with no query, no header of its own and no body.
//
// What is resolved is then proved: every grant to lie within the ceiling of the
// UpstreamSecret, and none to allow what never names. The proofs are in prove,
// on the algebras of region and lang; a proof that fails shows a request.
//
// Everything is pure: no clock, no API server, no Secret. The operator, the
// broker and the command line get the same document from the same objects.
//
// What it refuses to do:
//
//   - to accept what is not enforced: a feature that this release lacks makes
//     the object not accepted, with the field named;
//   - to accept what was not proved because it takes too much work;
//   - to stop at the first problem: all are returned, in the order of the
//     manifest, each with field, value and remedy;
//   - to guess: a capture, set or endpoint that does not exist is no reason to
//     leave a constraint out;
//   - to tell a consumer about an UpstreamSecret that is not shared with it:
//     one that is missing looks the same.
package compile
