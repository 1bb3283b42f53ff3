// Package piece writes grants of every kind as if they were of http, so that
// one algebra proves something of all of them.
//
// A grant of another kind falls into pieces: each says what may be done once,
// such as to delete a ref or to call a tool, as a method of its own on a path of
// its own, with values in the query or in a body. The pieces of a kind stand at
// an endpoint that is made up for it, such as rest/websocket, so that they never
// meet requests of http.
//
// A request of some kinds is made of several pieces, as a push of several
// commands is, and one grant must allow all of them. That each piece is allowed
// somewhere is not enough for those.
package piece

import (
	"maps"
	"net/textproto"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Pieces are grants in pieces.
type Pieces struct {
	// Endpoints are those of the grants and those that are made up.
	Endpoints []bundle.Endpoint
	// Grants are of http alone, each named as the grant that it is a piece of.
	Grants []scope.Grant
	// Of has for each piece the index of its grant.
	Of []int
}

// Of returns the grants at endpoints in pieces. Those of http are one piece.
func Of(endpoints []bundle.Endpoint, grants []scope.Grant) Pieces {
	p := Pieces{Endpoints: slices.Clone(endpoints)}
	for i := range grants {
		g := &grants[i]
		p.endpoint(g)
		for _, piece := range split(g) {
			p.Grants, p.Of = append(p.Grants, piece), append(p.Of, i)
		}
	}
	return p
}

// endpoint makes up the one at which the pieces of g stand, if it is not there.
func (p *Pieces) endpoint(g *scope.Grant) {
	kind, other := KindOf(g)
	has := func(name string) int {
		return slices.IndexFunc(p.Endpoints, func(e bundle.Endpoint) bool { return e.Name == name })
	}
	at := has(g.Endpoint)
	if !other || at < 0 || has(At(g.Endpoint, kind)) >= 0 {
		return
	}
	e := p.Endpoints[at]
	e.Name = At(e.Name, kind)
	if !kind.folds {
		e.Profile = scope.Profile{}
	}
	p.Endpoints = append(p.Endpoints, e)
}

// Requests returns what grants of other kinds than http look like as requests
// of http, each at its own endpoint: what is said of http requests is said of
// them, too.
func Requests(endpoints []bundle.Endpoint, grants []scope.Grant) Pieces {
	p := Pieces{Endpoints: endpoints}
	for i := range grants {
		for _, g := range requests(&grants[i]) {
			p.Grants, p.Of = append(p.Grants, g), append(p.Of, i)
		}
	}
	return p
}

// Together reports whether a request that g allows may be made of several
// pieces.
func Together(g *scope.Grant) bool { return g.Git != nil && g.Git.Push != nil || g.GraphQL != nil }

// A Kind is a kind of grants other than http.
type Kind struct {
	name  string
	folds bool // paths are the upstream's own, with what its profile says of them
}

// The kinds.
var (
	Git       = Kind{"git", true}
	GraphQL   = Kind{"graphql", false}
	MCP       = Kind{"mcp", true}
	GRPC      = Kind{"grpc", true}
	WebSocket = Kind{"websocket", true}
)

// KindOf returns the kind of g; other says that it is not http.
func KindOf(g *scope.Grant) (kind Kind, other bool) {
	switch {
	case g.Git != nil:
		return Git, true
	case g.GraphQL != nil:
		return GraphQL, true
	case g.MCP != nil:
		return MCP, true
	case g.GRPC != nil:
		return GRPC, true
	case g.WebSocket != nil:
		return WebSocket, true
	}
	return Kind{}, false
}

// At names the endpoint that is made up for a kind: no name of an author's has
// a slash.
func At(endpoint string, kind Kind) string { return endpoint + "/" + kind.name }

// split returns the pieces of one grant.
func split(g *scope.Grant) []scope.Grant {
	switch {
	case g.Git != nil:
		return gitPieces(g)
	case g.GraphQL != nil:
		return graphQL(g)
	case g.MCP != nil:
		return mcpPieces(g)
	case g.GRPC != nil:
		return grpcPieces(g)
	case g.WebSocket != nil:
		return webSocketPieces(g)
	}
	return []scope.Grant{*g}
}

// requests returns what g looks like in http; nothing where it is of that kind.
func requests(g *scope.Grant) []scope.Grant {
	switch {
	case g.Git != nil:
		return gitRequests(g)
	case g.GraphQL != nil:
		return []scope.Grant{graphQLRequest(g)}
	case g.MCP != nil:
		return mcpRequests(g)
	case g.GRPC != nil:
		return grpcRequests(g)
	case g.WebSocket != nil:
		return webSocketRequests(g)
	}
	return nil
}

// bare is a piece of g with the constraints that every kind has.
func bare(g *scope.Grant, endpoint, method, path string) scope.Grant {
	return scope.Grant{
		Name: g.Name, Endpoint: endpoint, Limits: g.Limits, Query: g.Query, Headers: g.Headers,
		HTTP: &scope.HTTP{Methods: []string{method}, Paths: []string{path}},
	}
}

// with returns headers and others that are not among them, of any value.
func with(headers map[string]scope.Matcher, others ...string) map[string]scope.Matcher {
	out := map[string]scope.Matcher{}
	for _, name := range others {
		out[textproto.CanonicalMIMEHeaderKey(name)] = scope.Matcher{Type: scope.String}
	}
	maps.Copy(out, headers)
	return out
}
