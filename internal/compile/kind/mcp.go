package kind

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// MCP compiles in, of which a message may have bodyBytes.
func MCP(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.MCPGrant, bodyBytes int64) *scope.MCP {
	out := &scope.MCP{
		Path: in.Path, MaxBytes: bodyBytes, Revisions: slices.Clone(in.Revisions),
		Resources: slices.Clone(in.Resources), Prompts: slices.Clone(in.Prompts),
	}
	for i := range in.Tools {
		t := &in.Tools[i]
		out.Tools = append(out.Tools, mcp.Tool{
			Name: t.Name, UnlistedAllow: t.Unlisted == v1alpha1.UnlistedAllow,
			Arguments: sets.Map(p, path.Child("tools").Index(i).Child("arguments"), t.Arguments),
		})
	}
	return out
}

// NeverMCP returns what in names, as pieces: where it names no tool, resource
// or prompt, all that is said to the server.
func NeverMCP(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.NeverMCP, common region.Never) []region.Never {
	if in.Path != "" {
		common.Paths = []string{in.Path}
	}
	common.Params = map[string]scope.Matcher{}
	if len(in.Revisions) > 0 {
		common.Params[piece.Revision] = scope.Matcher{In: in.Revisions}
	}
	if len(in.Tools)+len(in.Resources)+len(in.Prompts) == 0 {
		return []region.Never{common}
	}
	named := func(method string, m scope.Matcher) region.Never {
		one := common
		one.Methods = []string{method}
		one.Params = map[string]scope.Matcher{piece.Name: m}
		if revision, found := common.Params[piece.Revision]; found {
			one.Params[piece.Revision] = revision
		}
		return one
	}
	var out []region.Never
	for i := range in.Tools {
		t := &in.Tools[i]
		one := named(piece.Call, scope.Matcher{Equals: &t.Name})
		if len(t.Arguments) > 0 || t.Unlisted == v1alpha1.UnlistedDeny {
			one.Body = &region.NeverBody{
				Media: scope.JSON, ListedOnly: t.Unlisted == v1alpha1.UnlistedDeny,
				Fields: sets.Map(p, path.Child("tools").Index(i).Child("arguments"), t.Arguments),
			}
		}
		out = append(out, one)
	}
	for i := range in.Resources {
		out = append(out, named(piece.Read, scope.Matcher{Glob: &in.Resources[i]}))
	}
	for i := range in.Prompts {
		out = append(out, named(piece.Prompt, scope.Matcher{Equals: &in.Prompts[i]}))
	}
	return out
}
