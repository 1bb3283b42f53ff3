package piece

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// The methods of pieces of MCP. The server is their path; what is called, read
// or got stands in the query with the revision, and arguments in the body.
const (
	Call   = "CALL"
	Read   = "READ"
	Prompt = "PROMPT"
	// Speak is the handshake and discovery.
	Speak = "SPEAK"
	// Name and Revision are the names in the query.
	Name     = "name"
	Revision = "revision"
)

// mcpPieces are the tools, resources and prompts, and what is said besides.
func mcpPieces(g *scope.Grant) []scope.Grant {
	s := g.MCP
	in := func(method string, name *scope.Matcher) scope.Grant {
		one := bare(g, At(g.Endpoint, MCP), method, s.Path)
		one.Query.Params = map[string]scope.Matcher{Revision: {Required: true, In: s.Revisions}}
		if name != nil {
			name.Required = true
			one.Query.Params[Name] = *name
		}
		one.Body = &scope.Body{Media: scope.Opaque, MaxBytes: s.MaxBytes}
		return one
	}
	out := []scope.Grant{in(Speak, nil)}
	for i := range s.Tools {
		t := &s.Tools[i]
		one := in(Call, &scope.Matcher{Equals: &t.Name})
		one.Body = &scope.Body{Media: scope.JSON, MaxBytes: s.MaxBytes, UnlistedAllow: t.UnlistedAllow, Fields: t.Arguments}
		out = append(out, one)
	}
	for i := range s.Resources {
		out = append(out, in(Read, &scope.Matcher{Glob: &s.Resources[i]}))
	}
	for i := range s.Prompts {
		out = append(out, in(Prompt, &scope.Matcher{Equals: &s.Prompts[i]}))
	}
	return out
}

// mcpRequests are a message, and the stream and the end of a session.
func mcpRequests(g *scope.Grant) []scope.Grant {
	headers := with(g.Headers, mcp.VersionHeader, mcp.SessionHeader, mcp.EventHeader, "Mcp-Method", "Mcp-Name")
	post := bare(g, g.Endpoint, "POST", g.MCP.Path)
	post.Headers = headers
	post.Body = &scope.Body{Media: scope.JSON, MaxBytes: g.MCP.MaxBytes, Fields: map[string]scope.Matcher{}}
	for _, name := range []string{"jsonrpc", "id", "method", "params", "result", "error"} {
		post.Body.Fields[name] = scope.Matcher{Type: scope.Any}
	}
	out := []scope.Grant{post}
	if slices.ContainsFunc(g.MCP.Revisions, mcp.HasSessions) {
		for _, method := range []string{"GET", "DELETE"} {
			one := bare(g, g.Endpoint, method, g.MCP.Path)
			one.Headers = headers
			out = append(out, one)
		}
	}
	return out
}
