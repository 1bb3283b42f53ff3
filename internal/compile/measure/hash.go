package measure

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// hashWork is what the spelling of one grant may take, in states. One that
// takes more is hashed as it is written.
const hashWork = 1 << 16

// place is an endpoint as far as a scope's meaning depends on it.
type place struct {
	Name, URL string
	Profile   scope.Profile
}

// meaning is a grant as far as it allows something, in one spelling.
type meaning struct {
	Name, Endpoint string
	Methods, Paths []string
	Params         []string
	UnlistedAllow  bool
	Headers        []string
	Body           []string
	Response       *scope.Response
	Limits         *scope.Limits
	// AsWritten is set in place of all that it says where that was too much work.
	AsWritten *scope.Grant
}

// Limits are those of all grants together.
type Limits struct {
	Requests    *scope.Rate `json:",omitempty"` // nil: none
	Concurrency int         `json:",omitempty"`
}

// Hash is a digest of what the grants allow at the endpoints, in the form
// sha256:HEX. Equal hashes mean equal scopes. The order of grants, methods,
// paths and values does not matter, nor do the names of sets and captures and
// the spelling of matchers.
func Hash(space *region.Space, endpoints []bundle.Endpoint, grants []scope.Grant, limits Limits) string {
	s := struct {
		Endpoints []place
		Grants    []meaning
		Limits    Limits
	}{Limits: limits}
	profiles := map[string]*scope.Profile{}
	for i := range endpoints {
		e := &endpoints[i]
		s.Endpoints = append(s.Endpoints, place{e.Name, e.URL, e.Profile})
		profiles[e.Name] = &e.Profile
	}
	// In one order, so that what one grant leaves to be worked out for the next
	// is always the same.
	byName := func(a, b scope.Grant) int { return cmp.Compare(a.Name, b.Name) }
	for _, g := range slices.SortedFunc(slices.Values(grants), byName) {
		space.Renew(hashWork)
		s.Grants = append(s.Grants, means(space, &g, cmp.Or(profiles[g.Endpoint], &scope.Profile{})))
	}
	slices.SortFunc(s.Endpoints, func(a, b place) int { return cmp.Compare(a.Name, b.Name) })
	// Plain data with text keys: encoding it cannot fail.
	text, _ := json.Marshal(s)
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func means(s *region.Space, g *scope.Grant, p *scope.Profile) meaning {
	m := meaning{Name: g.Name, Endpoint: g.Endpoint, UnlistedAllow: g.Query.UnlistedAllow, Response: sortedResponse(g.Response), Limits: g.Limits}
	if g.HTTP == nil {
		written := sorted(*g)
		m.AsWritten = &written
		return m
	}
	m.Methods = sortedSet(g.HTTP.Methods)
	m.Paths = sortedSet(s.CanonicalPaths(g.HTTP.Paths, g.Where, p))
	for _, name := range slices.Sorted(maps.Keys(g.Query.Params)) {
		matcher := g.Query.Params[name]
		m.Params = append(m.Params, s.CanonicalParam(name, &matcher))
	}
	for _, name := range slices.Sorted(maps.Keys(g.Headers)) {
		matcher := g.Headers[name]
		m.Headers = append(m.Headers, s.CanonicalHeader(name, &matcher))
	}
	m.Body = s.CanonicalBody(g.Body)
	if s.Exceeded() {
		written := sorted(*g)
		return meaning{Name: g.Name, AsWritten: &written}
	}
	return m
}

// sorted returns a copy of g whose lists are sorted.
func sorted(g scope.Grant) scope.Grant {
	if g.HTTP != nil {
		g.HTTP = &scope.HTTP{Methods: sortedSet(g.HTTP.Methods), Paths: sortedSet(g.HTTP.Paths)}
	}
	g.Git = sortedGit(g.Git)
	if g.GraphQL != nil {
		g.GraphQL = sortedGraphQL(*g.GraphQL)
	}
	g.MCP = sortedMCP(g.MCP)
	if g.GRPC != nil {
		g.GRPC = &scope.GRPC{Methods: sortedSet(g.GRPC.Methods)}
	}
	g.Where = sortedMatchers(g.Where)
	g.Query.Params = sortedMatchers(g.Query.Params)
	g.Headers = sortedMatchers(g.Headers)
	g.Body = sortedBody(g.Body)
	g.Response = sortedResponse(g.Response)
	return g
}

func sortedGit(spec *scope.Git) *scope.Git {
	if spec == nil {
		return nil
	}
	out := *spec
	out.Repos = sortedMatcher(spec.Repos)
	if spec.Push != nil {
		push := *spec.Push
		push.Refs, push.Actions = sortedSet(push.Refs), sortedSet(push.Actions)
		out.Push = &push
	}
	return &out
}

func sortedMCP(spec *scope.MCP) *scope.MCP {
	if spec == nil {
		return nil
	}
	out := *spec
	out.Revisions, out.Resources, out.Prompts = sortedSet(spec.Revisions), sortedSet(spec.Resources), sortedSet(spec.Prompts)
	out.Tools = slices.SortedFunc(slices.Values(spec.Tools), func(a, b mcp.Tool) int { return strings.Compare(a.Name, b.Name) })
	for i := range out.Tools {
		out.Tools[i].Arguments = sortedMatchers(out.Tools[i].Arguments)
	}
	return &out
}

func sortedGraphQL(s scope.GraphQL) *scope.GraphQL {
	s.Types = maps.Clone(s.Types)
	for name, t := range s.Types {
		t.Fields = maps.Clone(t.Fields)
		for at, f := range t.Fields {
			f.Args = sortedMatchers(f.Args)
			t.Fields[at] = f
		}
		s.Types[name] = t
	}
	return &s
}

func sortedResponse(r *scope.Response) *scope.Response {
	if r == nil {
		return nil
	}
	return &scope.Response{Keep: sortedSet(r.Keep)}
}

func sortedBody(b *scope.Body) *scope.Body {
	if b == nil {
		return nil
	}
	out := *b
	out.Fields = sortedMatchers(b.Fields)
	out.Parts = maps.Clone(b.Parts)
	for name, part := range out.Parts {
		part.Media = sortedSet(part.Media)
		part.Value, part.Filename = sortedPointer(part.Value), sortedPointer(part.Filename)
		out.Parts[name] = part
	}
	return &out
}

func sortedPointer(m *scope.Matcher) *scope.Matcher {
	if m == nil {
		return nil
	}
	out := sortedMatcher(*m)
	return &out
}

func sortedMatchers(in map[string]scope.Matcher) map[string]scope.Matcher {
	out := maps.Clone(in)
	for name, m := range out {
		out[name] = sortedMatcher(m)
	}
	return out
}

func sortedMatcher(m scope.Matcher) scope.Matcher {
	m.In, m.Except = sortedSet(m.In), sortedSet(m.Except)
	m.Set = sortedPointer(m.Set)
	return m
}

func sortedSet[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
