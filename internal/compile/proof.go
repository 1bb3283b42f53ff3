package compile

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/kind"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
	"github.com/sallyport-dev/sallyport/internal/compile/whole"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// ceiling compiles the ceiling of an UpstreamSecret; nil where it has none.
func (c Compiler) ceiling(p *problem.List, path *field.Path, up *v1alpha1.UpstreamSecret, endpoints []bundle.Endpoint) *bundle.Ceiling {
	if up.Spec.Ceiling == nil {
		return nil
	}
	before := p.Len()
	g := &grants{
		p:         p,
		sets:      matcher.NewSets(p, path.Child("sets"), up.Spec.Ceiling.Sets),
		upstream:  up,
		endpoints: endpoints,
		bodyBytes: limits(up.Spec.Limits).BodyBytes,
		schemas:   c.Schemas,
		ceiling:   true,
	}
	g.badSets = p.Len() > before
	return &bundle.Ceiling{Grants: g.all(path.Child("grants"), up.Spec.Ceiling.Grants)}
}

// proveAll refuses grants that are not proved to lie within the ceiling, and to
// allow nothing that an entry of never names. What the ceiling allows is not
// told: its grants are not the author's business.
func proveAll(p *problem.List, spec *field.Path, out *bundle.Credential, space *region.Space, never named) {
	if out.Ceiling == nil && len(never.entries) == 0 {
		return
	}
	proofs := whole.NewGrants(space, out.Endpoints, out.Grants)
	refuse := func(reason string, f prove.Finding, unknown, known string) {
		if f.Answer == prove.No {
			unknown = fmt.Sprintf("it allows %s, %s", f.Witness.String(), known)
		}
		p.Add(reason, spec.Child("grants").Index(f.Grant), out.Grants[f.Grant].Name, unknown)
	}
	if out.Ceiling != nil {
		for _, f := range proofs.Within(out.Ceiling.Grants) {
			refuse(v1alpha1.ReasonNotWithinCeiling, f,
				"whether it lies within the ceiling of the UpstreamSecret takes too much work to find out, so it counts as beyond it: "+
					"use simpler patterns and smaller lengths, or write them as the ceiling has them",
				"which is beyond the ceiling of the UpstreamSecret: narrow the grant so that it does not, or ask the owner of the UpstreamSecret to allow it")
		}
	}
	told := map[[2]int]bool{}
	for _, f := range proofs.Disjoint(never.entries) {
		at := [2]int{f.Grant, never.of[f.Never]}
		if told[at] {
			continue // by another request
		}
		told[at] = true
		entry := spec.Child("never").Index(at[1]).String()
		refuse(v1alpha1.ReasonNeverViolated, f,
			"whether it allows what "+entry+" names takes too much work to find out, so it counts as allowing it: use simpler patterns and smaller lengths",
			"which "+entry+" names: narrow the grant so that it does not, or the entry")
	}
}

// named is what the entries of never name. One may name several things.
type named struct {
	entries []region.Never
	of      []int // the index of its entry
}

// never compiles the entries of never.
func (g *grants) never(path *field.Path, in []v1alpha1.Never) named {
	var out named
	for i := range in {
		for _, n := range g.neverEntry(path.Index(i), &in[i]) {
			out.entries, out.of = append(out.entries, n), append(out.of, i)
		}
	}
	return out
}

func (g *grants) neverEntry(path *field.Path, in *v1alpha1.Never) []region.Never {
	before := g.p.Len()
	common := region.Never{
		Where:   g.sets.Map(g.p, path.Child("where"), in.Where),
		Headers: g.neverHeaders(path.Child("headers"), in.Headers),
		Body:    g.neverBody(path.Child("body"), in.Body),
	}
	if in.Query != nil {
		common.ListedOnly = in.Query.Unlisted == v1alpha1.UnlistedDeny
		common.Params = g.sets.Map(g.p, path.Child("query", "params"), in.Query.Params)
	}
	out := g.neverKind(path, in, common)
	if g.p.Len() > before {
		return nil
	}
	for i := range out {
		g.checkNever(path, in.HTTP != nil, &out[i])
	}
	return out
}

// neverKind returns what an entry names, by its kind.
func (g *grants) neverKind(path *field.Path, in *v1alpha1.Never, common region.Never) []region.Never {
	before := g.p.Len()
	switch {
	case in.HTTP != nil:
		return []region.Never{g.neverHTTP(path.Child("http"), in.HTTP, common)}
	case in.Git != nil:
		at := path.Child("git")
		return g.everywhere(at, in.Git.Endpoint, piece.Git, kind.NeverGit(g.p, at, g.sets, in.Git, common))
	case in.GraphQL != nil:
		at := path.Child("graphql")
		entries := kind.NeverGraphQL(g.p, at, g.sets, in.GraphQL, g.schemasAt(in.GraphQL.Endpoint), common)
		g.checkLayout(at, in.GraphQL.Endpoint, in.GraphQL.Path)
		return g.everywhere(at, in.GraphQL.Endpoint, piece.GraphQL, entries)
	case in.MCP != nil:
		at := path.Child("mcp")
		g.checkLayout(at, in.MCP.Endpoint, in.MCP.Path)
		return g.everywhere(at, in.MCP.Endpoint, piece.MCP, kind.NeverMCP(g.p, at, g.sets, in.MCP, common))
	case in.GRPC != nil:
		return g.everywhere(path.Child("grpc"), in.GRPC.Endpoint, piece.GRPC, kind.NeverGRPC(in.GRPC, common))
	case in.WebSocket != nil:
		at := path.Child("websocket")
		g.checkLayout(at, in.WebSocket.Endpoint, in.WebSocket.Path)
		return g.everywhere(at, in.WebSocket.Endpoint, piece.WebSocket, kind.NeverWebSocket(g.p, at, g.sets, in.WebSocket, common))
	case g.p.Len() == before:
		g.p.Invalid(path, "", "set http, or another kind: without one nothing is named")
	}
	return nil
}

func (g *grants) neverHTTP(path *field.Path, in *v1alpha1.NeverHTTP, out region.Never) region.Never {
	if in.Endpoint != "" {
		g.endpoint(path.Child("endpoint"), in.Endpoint)
	}
	out.Endpoint, out.Paths = in.Endpoint, in.Paths
	for _, method := range in.Methods {
		out.Methods = append(out.Methods, string(method))
	}
	return out
}

// schemasAt returns the schemas of one endpoint, or, where none is named, of all
// of them.
func (g *grants) schemasAt(endpoint string) []*sdl.Schema {
	var out []*sdl.Schema
	for i := range g.upstream.Spec.Endpoints {
		e := &g.upstream.Spec.Endpoints[i]
		if schema := g.schemas.of(e); schema != nil && (endpoint == "" || endpoint == e.Name) {
			out = append(out, schema)
		}
	}
	return out
}

// everywhere returns entries about pieces of a kind at one endpoint, or, where
// none is named, at all of them.
func (g *grants) everywhere(path *field.Path, endpoint string, kind piece.Kind, entries []region.Never) []region.Never {
	if endpoint != "" && g.endpoint(path.Child("endpoint"), endpoint) < 0 {
		return nil
	}
	var out []region.Never
	for i := range g.endpoints {
		if name := g.endpoints[i].Name; endpoint == "" || endpoint == name {
			for _, n := range entries {
				n.Endpoint = piece.At(name, kind)
				out = append(out, n)
			}
		}
	}
	return out
}

// checkLayout refuses the path of an entry that no request is ever judged by.
func (g *grants) checkLayout(path *field.Path, endpoint, named string) {
	for i := range g.endpoints {
		e := &g.endpoints[i]
		if advice := e.Profile.Misplaced(named); advice != "" && (endpoint == "" || endpoint == e.Name) {
			g.p.Invalid(path.Child("path"), named, advice)
			return // the other endpoints would say the same
		}
	}
}

func (g *grants) neverBody(path *field.Path, in *v1alpha1.NeverBody) *region.NeverBody {
	if in == nil {
		return nil
	}
	return &region.NeverBody{
		Media:      scope.Media(in.Media),
		ListedOnly: in.Unlisted == v1alpha1.UnlistedDeny,
		Fields:     g.sets.Map(g.p, path.Child("fields"), in.Fields),
		Parts:      g.parts(path.Child("parts"), in.Parts),
	}
}

func (g *grants) neverHeaders(path *field.Path, in map[string]v1alpha1.Matcher) map[string]scope.Matcher {
	out := map[string]scope.Matcher{}
	for _, name := range sortedKeys(in) {
		canonical := headerName(g.p, path.Key(name), name)
		if _, again := out[canonical]; again {
			g.p.Invalid(path.Key(name), name, "this header is listed twice, in two spellings: remove one")
		}
		out[canonical] = g.sets.Compile(g.p, path.Key(name), in[name])
	}
	return out
}

// checkNever adds what the judge would have against a grant that says the
// same, at each endpoint that the entry is about. Of a kind besides http, the
// endpoint is made up, and has the rules of none.
func (g *grants) checkNever(path *field.Path, http bool, n *region.Never) {
	probe := scope.Grant{
		Name: "never", HTTP: &scope.HTTP{Methods: orList(n.Methods, "GET"), Paths: orList(n.Paths, "/")},
		Where: n.Where, Query: scope.Query{Params: n.Params}, Headers: n.Headers, Body: probeBody(n.Body),
	}
	if !http {
		checkGrant(g.p, path, scope.Profile{}, &probe, g.badSets)
		return
	}
	for i := range g.endpoints {
		before := g.p.Len()
		if n.Endpoint == "" || n.Endpoint == g.endpoints[i].Name {
			checkGrant(g.p, path, g.endpoints[i].Profile, &probe, g.badSets)
		}
		if g.p.Len() > before {
			return // the other endpoints would say the same
		}
	}
}

func orList(list []string, otherwise string) []string {
	if len(list) == 0 {
		return []string{otherwise}
	}
	return list
}

func probeBody(n *region.NeverBody) *scope.Body {
	if n == nil {
		return nil
	}
	media := n.Media
	switch {
	case media == "" && len(n.Parts) > 0:
		media = scope.Multipart
	case media == "":
		media = scope.JSON
	}
	return &scope.Body{Media: media, MaxBytes: 1, Fields: n.Fields, Parts: n.Parts}
}
