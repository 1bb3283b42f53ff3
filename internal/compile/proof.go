package compile

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// ceiling compiles the ceiling of an UpstreamSecret; nil where it has none.
func ceiling(p *problem.List, path *field.Path, up *v1alpha1.UpstreamSecret, endpoints []bundle.Endpoint) *bundle.Ceiling {
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
		ceiling:   true,
	}
	g.badSets = p.Len() > before
	return &bundle.Ceiling{Grants: g.all(path.Child("grants"), up.Spec.Ceiling.Grants)}
}

// proveAll refuses grants that are not proved to lie within the ceiling, and to
// allow nothing that an entry of never names. What the ceiling allows is not
// told: its grants are not the author's business.
func proveAll(p *problem.List, spec *field.Path, out *bundle.Credential, space *region.Space, never []region.Never) {
	if out.Ceiling == nil && len(never) == 0 {
		return
	}
	proofs := prove.NewGrants(space, out.Endpoints, out.Grants)
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
	for _, f := range proofs.Disjoint(never) {
		entry := spec.Child("never").Index(f.Never).String()
		refuse(v1alpha1.ReasonNeverViolated, f,
			"whether it allows what "+entry+" names takes too much work to find out, so it counts as allowing it: use simpler patterns and smaller lengths",
			"which "+entry+" names: narrow the grant so that it does not, or the entry")
	}
}

// never compiles the entries of never.
func (g *grants) never(path *field.Path, in []v1alpha1.Never) []region.Never {
	var out []region.Never
	for i := range in {
		out = append(out, g.neverEntry(path.Index(i), &in[i]))
	}
	return out
}

func (g *grants) neverEntry(path *field.Path, in *v1alpha1.Never) region.Never {
	before := g.p.Len()
	g.p.Unsupported(in.Git != nil, path.Child("git"), "")
	g.p.Unsupported(in.GraphQL != nil, path.Child("graphql"), "")
	g.p.Unsupported(in.MCP != nil, path.Child("mcp"), "")
	g.p.Unsupported(in.GRPC != nil, path.Child("grpc"), "")
	g.p.Unsupported(in.WebSocket != nil, path.Child("websocket"), "")
	if in.HTTP == nil {
		if g.p.Len() == before {
			g.p.Invalid(path, "", "set http: without a kind nothing is named")
		}
		return region.Never{}
	}
	out := region.Never{
		Endpoint: in.HTTP.Endpoint,
		Paths:    in.HTTP.Paths,
		Where:    g.sets.Map(g.p, path.Child("where"), in.Where),
		Headers:  g.neverHeaders(path.Child("headers"), in.Headers),
		Body:     g.neverBody(path.Child("body"), in.Body),
	}
	for _, method := range in.HTTP.Methods {
		out.Methods = append(out.Methods, string(method))
	}
	if in.Query != nil {
		out.ListedOnly = in.Query.Unlisted == v1alpha1.UnlistedDeny
		out.Params = g.sets.Map(g.p, path.Child("query", "params"), in.Query.Params)
	}
	if g.p.Len() == before {
		g.checkNever(path, &out)
	}
	return out
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
		canonical := headerName(g.p, path.Key(name), name, "")
		if _, again := out[canonical]; again {
			g.p.Invalid(path.Key(name), name, "this header is listed twice, in two spellings: remove one")
		}
		out[canonical] = g.sets.Compile(g.p, path.Key(name), in[name])
	}
	return out
}

// checkNever adds what the judge would have against a grant that says the
// same, at each endpoint that the entry is about.
func (g *grants) checkNever(path *field.Path, n *region.Never) {
	if n.Endpoint != "" && g.endpoint(path.Child("http", "endpoint"), n.Endpoint) < 0 {
		return
	}
	probe := scope.Grant{
		Name: "never", HTTP: &scope.HTTP{Methods: orList(n.Methods, "GET"), Paths: orList(n.Paths, "/")},
		Where: n.Where, Query: scope.Query{Params: n.Params}, Headers: n.Headers, Body: probeBody(n.Body),
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
