// Package measure puts a scope into figures: a digest of what it means, and
// how much it reaches.
package measure

import (
	"fmt"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// Reach counts what grants name: of http, one for each path and method of each
// grant.
func Reach(grants []scope.Grant) v1alpha1.Reach {
	var r v1alpha1.Reach
	for i := range grants {
		g := &grants[i]
		switch {
		case g.HTTP != nil:
			addHTTP(&r, g.HTTP)
		case g.GraphQL != nil:
			r.Reads += selected(g.GraphQL, syntax.Query, g.GraphQL.Query)
			r.Writes += selected(g.GraphQL, syntax.Mutation, g.GraphQL.Mutation)
		case g.MCP != nil:
			r.Reads += int32(len(g.MCP.Resources) + len(g.MCP.Prompts)) //nolint:gosec // G115: at most 64 each
			r.Writes += int32(len(g.MCP.Tools))                         //nolint:gosec // G115: at most 64
		case g.GRPC != nil:
			r.Writes += int32(len(g.GRPC.Methods)) //nolint:gosec // G115: at most 64
		case g.WebSocket != nil:
			r.Writes++
		case g.Git != nil:
			addGit(&r, g.Git)
		}
		if IsOpaque(g) {
			r.Opaque++
		}
	}
	r.Summary = fmt.Sprintf("R%d W%d D%d", r.Reads, r.Writes, r.Deletes)
	return r
}

// selected counts the fields at which operations of a kind may begin.
func selected(g *scope.GraphQL, kind syntax.Kind, root string) int32 {
	if !slices.Contains(g.Operations, kind) {
		return 0
	}
	return int32(len(g.Types[root].Fields)) //nolint:gosec // G115: at most 64 entries of 256
}

func addHTTP(r *v1alpha1.Reach, http *scope.HTTP) {
	paths := int32(len(http.Paths)) // at most 64
	for _, method := range http.Methods {
		switch method {
		case "GET", "HEAD":
			r.Reads += paths
		case "DELETE":
			r.Deletes += paths
		default:
			r.Writes += paths
		}
	}
}

func addGit(r *v1alpha1.Reach, spec *scope.Git) {
	if spec.Fetch {
		r.Reads++
	}
	if spec.Push == nil {
		return
	}
	for _, action := range spec.Push.Actions {
		if action == git.Delete {
			r.Deletes++
		} else {
			r.Writes++
		}
	}
}

// IsOpaque reports whether some part of what g allows is not looked at: an
// Opaque body or message, the messages of a call of gRPC, names of a body or query that are not listed, or the
// end of a path that no matcher bounds.
func IsOpaque(g *scope.Grant) bool {
	switch {
	case g.Query.UnlistedAllow || g.Body != nil && (g.Body.Media == scope.Opaque || g.Body.UnlistedAllow):
		return true
	case g.MCP != nil:
		return slices.ContainsFunc(g.MCP.Tools, func(t mcp.Tool) bool { return t.UnlistedAllow })
	case g.GRPC != nil:
		return true
	case g.WebSocket != nil:
		return g.WebSocket.Messages != nil && g.WebSocket.Messages.Media == scope.Opaque
	case g.HTTP != nil:
		return slices.ContainsFunc(g.HTTP.Paths, func(path string) bool { return openTail(path, g) })
	}
	return false
}

// openTail reports whether a path ends in a capture that matches any segments.
func openTail(template string, g *scope.Grant) bool {
	t, err := scope.ParsePath(template)
	parts := t.Parts(&scope.Profile{})
	if err != nil || len(parts) == 0 {
		return false
	}
	last := parts[len(parts)-1]
	_, bound := g.Where[last.Capture]
	return len(last.Literals) == 0 && last.Width == 0 && !bound
}
