// Package git judges what git sends over smart HTTP: which repository is
// fetched from or pushed to, and which refs a push creates, updates or deletes.
//
// # The model
//
// A [Spec] allows fetching from the repositories that it matches, pushing to
// them, or both. A request names its repository in the path and its service in
// the path or the query (gitprotocol-http). The body of a push begins with a
// list of commands (gitprotocol-pack), which is read to its end and judged
// before any byte of it is forwarded: one command that is not allowed, and
// nothing is. The pack behind it is bounded and not looked into.
//
// # An example
//
// A Spec has the repository acme/docs, the refs refs/heads/agent/** and the
// action Create. Then a push that creates refs/heads/agent/x passes, one that
// updates it does not, and one that creates it and deletes refs/heads/main in
// one go does not either.
//
// # What it refuses to do
//
// It repairs nothing: packets of a reserved length, commands that git would
// read otherwise than it says, capabilities that nobody has looked at, names
// that are no refs, a ref that is named twice, a certificate whose commands two
// readers could look for in two places. That a signed push is signed, and by
// whom, is for the server to check. Of a fetch, what would lead the client past
// the upstream (bundle-uri, packfile-uris) and what nobody here can weigh
// (server-option) is refused.
//
// Whether an update throws commits away cannot be told from the commands.
package git
