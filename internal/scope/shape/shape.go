// Package shape is what the kinds of grants that are not written as method and
// path come to for the judge: shapes of requests, each with a judge of its
// bodies.
package shape

import (
	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

// A Protocol is what a grant speaks beside plain HTTP. The zero value is plain
// HTTP.
type Protocol string

// A Shape is one shape of requests that a grant allows. The zero Shape matches
// no request.
type Shape struct {
	// Methods are those of the requests.
	Methods []string
	// Path is the template of their path. Where it is empty, Match says which
	// decoded paths without a slash at their end are meant; a nil Match, none.
	Path  string
	Match func(path string) bool
	// Fold says that Match does not compare letter case; the path is forwarded
	// in lower case then.
	Fold bool
	// Params are the names that the query may have, and must have where a
	// matcher says so.
	Params map[string]match.Matcher
	// Headers are those that go upstream besides the ordinary ones.
	Headers map[string]match.Matcher
	// Body is nil where there may be none.
	Body *body.Body
	// Upgrade says that the requests ask for another protocol to follow.
	Upgrade bool
	// HTTP2 says that the requests come over HTTP/2. All others come over HTTP/1.1.
	HTTP2 bool
	// Message is what the messages behind such a request are held to; nil: there
	// may be none.
	Message *body.Body
}
