package compile

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/kind"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// maxGrants bounds a scope.
const maxGrants = 256

// grants compiles the grants of one scope.
type grants struct {
	p         *problem.List
	sets      matcher.Sets
	upstream  *v1alpha1.UpstreamSecret
	endpoints []bundle.Endpoint
	badSets   bool
	bodyBytes int64
	schemas   Schemas
	ceiling   bool // a path may match whatever the upstream has
}

func (g *grants) all(path *field.Path, in []v1alpha1.Grant) []scope.Grant {
	if len(in) == 0 {
		g.p.Invalid(path, "", "list at least one grant: without one, every request is refused")
	}
	if len(in) > maxGrants {
		g.p.Invalid(path, "", "list at most 256 grants: split the scope into several ScopedCredentials")
		return nil
	}
	var out []scope.Grant
	names := map[string]bool{}
	for i := range in {
		at := path.Index(i)
		if names[in[i].Name] {
			g.p.Invalid(at.Child("name"), in[i].Name, "this name is used twice: records could not tell the grants apart")
		}
		names[in[i].Name] = true
		if grant, ok := g.grant(at, &in[i]); ok {
			out = append(out, grant)
		}
	}
	return out
}

// grant compiles one grant. It is not ok where something was found wrong.
func (g *grants) grant(path *field.Path, in *v1alpha1.Grant) (out scope.Grant, ok bool) {
	before := g.p.Len()
	if in.Limits != nil {
		checkRate(g.p, path.Child("limits", "requests"), &in.Limits.Requests)
	}
	endpoint, known := g.kind(path, in, &out)
	if !known {
		return out, false
	}
	out.Name = in.Name
	out.Where = g.sets.Map(g.p, path.Child("where"), in.Where)
	out.Query = g.query(path.Child("query"), in.Query)
	out.Headers = g.headers(path.Child("headers"), in.Headers, endpoint)
	out.Body = g.body(path.Child("body"), in.Body)
	out.Response = keep(in.Response)
	out.Limits = grantLimits(in.Limits)
	if endpoint >= 0 {
		g.signed(path, &g.endpoints[endpoint], in)
	}
	if g.p.Len() > before {
		return out, false
	}
	out.Endpoint = g.endpoints[endpoint].Name
	checkGrant(g.p, path, g.endpoints[endpoint].Profile, &out, g.badSets)
	if !g.ceiling {
		checkReach(g.p, path.Child("http", "paths"), &out)
	}
	return out, g.p.Len() == before
}

// kind compiles what makes up the kind of a grant, and returns the index of the
// endpoint that it means, -1 where it means none. A kind that is missing or not
// enforced is not known.
func (g *grants) kind(path *field.Path, in *v1alpha1.Grant, out *scope.Grant) (endpoint int, known bool) {
	before := g.p.Len()
	switch {
	case in.HTTP != nil:
		out.HTTP = http(in.HTTP)
		return g.endpoint(path.Child("http", "endpoint"), in.HTTP.Endpoint), true
	case in.GraphQL != nil:
		g.httpAlone(path, in)
		at := path.Child("graphql")
		if endpoint = g.endpoint(at.Child("endpoint"), in.GraphQL.Endpoint); endpoint < 0 {
			return endpoint, false
		}
		schema := g.schemas.of(&g.upstream.Spec.Endpoints[endpoint])
		out.GraphQL = kind.GraphQL(g.p, at, g.sets, in.GraphQL, schema, g.bodyBytes)
		return endpoint, true
	case in.GRPC != nil:
		g.httpAlone(path, in)
		out.GRPC = kind.GRPC(in.GRPC)
		return g.endpoint(path.Child("grpc", "endpoint"), in.GRPC.Endpoint), true
	case in.WebSocket != nil:
		at := path.Child("websocket")
		out.WebSocket = kind.WebSocket(g.p, at, g.sets, in.WebSocket, g.bodyBytes)
		return g.endpoint(at.Child("endpoint"), in.WebSocket.Endpoint), true
	case in.MCP != nil:
		g.httpAlone(path, in)
		at := path.Child("mcp")
		out.MCP = kind.MCP(g.p, at, g.sets, in.MCP, g.bodyBytes)
		return g.endpoint(at.Child("endpoint"), in.MCP.Endpoint), true
	case in.Git != nil:
		g.httpAlone(path, in)
		out.Git = kind.Git(g.p, path.Child("git"), g.sets, in.Git, g.bodyBytes)
		return g.endpoint(path.Child("git", "endpoint"), in.Git.Endpoint), true
	case g.p.Len() == before:
		g.p.Invalid(path, in.Name, "set http, or another kind of grant: one without grants nothing")
	}
	return -1, false
}

// httpAlone refuses what goes with http alone, a second time: the installed
// schema may be older than this code.
func (g *grants) httpAlone(path *field.Path, in *v1alpha1.Grant) {
	for _, part := range []struct {
		name  string
		given bool
	}{{"where", in.Where != nil}, {"query", in.Query != nil}, {"body", in.Body != nil}, {"response", in.Response != nil}} {
		if part.given {
			g.p.Invalid(path.Child(part.name), "", part.name+" goes with http: remove it, or grant by http")
		}
	}
}

func http(in *v1alpha1.HTTPGrant) *scope.HTTP {
	out := &scope.HTTP{Paths: slices.Clone(in.Paths)}
	for _, method := range in.Methods {
		out.Methods = append(out.Methods, string(method))
	}
	return out
}

// signed refuses kinds of grants that no signature goes with: it is made over
// one request, its body included.
func (g *grants) signed(path *field.Path, e *bundle.Endpoint, in *v1alpha1.Grant) {
	if e.Inject.AWSSigV4 == nil {
		return
	}
	for _, kind := range []struct {
		name   string
		given  bool
		remedy string
	}{
		{"git", in.Git != nil, "no server of git reads a signature of AWS: grant git at an endpoint with another inject, as basic is for CodeCommit"},
		{"websocket", in.WebSocket != nil, "awsSigV4 signs single requests, and no messages: grant http here, or websocket at an endpoint with another inject"},
		{"grpc", in.GRPC != nil, "awsSigV4 signs a request with its body, and a call begins before its body is known: grant http here, or grpc at an endpoint with another inject"},
	} {
		if kind.given {
			g.p.Invalid(path.Child(kind.name), e.Name, kind.remedy)
		}
	}
}

// endpoint returns the index of the endpoint that a grant means, or -1.
func (g *grants) endpoint(path *field.Path, name string) int {
	var names []string
	for i := range g.endpoints {
		if g.endpoints[i].Name == name || name == "" && len(g.endpoints) == 1 {
			return i
		}
		names = append(names, g.endpoints[i].Name)
	}
	choice := "name an endpoint of the UpstreamSecret: " + strings.Join(names, ", ")
	if name == "" {
		choice += " (it may be left out where there is only one)"
	}
	g.p.Invalid(path, name, choice)
	return -1
}

func (g *grants) query(path *field.Path, in *v1alpha1.Query) scope.Query {
	if in == nil {
		return scope.Query{}
	}
	return scope.Query{
		UnlistedAllow: in.Unlisted == v1alpha1.UnlistedAllow,
		Params:        g.sets.Map(g.p, path.Child("params"), in.Params),
	}
}

func (g *grants) headers(path *field.Path, in map[string]v1alpha1.Matcher, endpoint int) map[string]scope.Matcher {
	if len(in) == 0 || endpoint < 0 {
		return nil
	}
	at := &g.upstream.Spec.Endpoints[endpoint]
	fixed := g.endpoints[endpoint].Headers
	out := make(map[string]scope.Matcher, len(in))
	for _, name := range sortedKeys(in) {
		canonical := headerName(g.p, path.Key(name), name, injectedHeaders(&at.Inject)...)
		if _, again := out[canonical]; again {
			g.p.Invalid(path.Key(name), name, "this header is listed twice, in two spellings: remove one")
		}
		if _, isFixed := fixed[canonical]; isFixed {
			g.p.Invalid(path.Key(name), name, "the UpstreamSecret sets this header over the agent's: remove it")
		}
		out[canonical] = g.sets.Compile(g.p, path.Key(name), in[name])
	}
	return out
}
