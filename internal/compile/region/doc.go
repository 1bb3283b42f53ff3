// Package region is an exact algebra of sets of requests: products of what a
// grant says of methods, path, headers, body and each name of the query.
//
// A [Region] is what one path of one grant allows. Whether it lies within a
// union of others, and whether it has anything in common with one, is decided
// dimension by dimension; where the answer is that some request lies outside,
// or in both, that [Request] is shown. A dimension says what it has in common
// with another and what it has not; nothing else is asked of it, so that a new
// part of a grant is a new dimension and no new proof.
//
// # An example
//
// GET of /repos/{repo=*/*} where repo is acme/docs lies within GET and POST of
// /repos/{owner}/{repo} where owner is acme. The reverse does not hold, and the
// request shown is GET /repos/acme/a: the first piece, by methods, is empty, and
// in the second one the path is what is left of one language without another.
//
// # Readings
//
// A grant that compares without letter case, or forwards %2F as a slash, lets
// a request come in one form and go in another; a header that it does not list
// comes and does not go. So there are three readings of a grant. [Exchange] is
// what comes, with what goes upstream for it: two scopes are the same only if
// they agree on both. [Forwarded] is what goes upstream. [Ceiling] is what a
// ceiling's grant lets pass of that.
//
// # What it refuses to do
//
// It never takes what it could not work out for nothing: see [lang.Work].
// A body that is not looked at is bounded by its size and otherwise any body,
// so that it lies within nothing that says more of a body.
package region
