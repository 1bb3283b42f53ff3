package compile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// ScopeHash is a digest of what the grants allow at the endpoints, in the form
// sha256:HEX. Equal hashes mean equal scopes. The order of grants, methods,
// paths and values does not matter, nor do the names of sets.
func ScopeHash(endpoints []bundle.Endpoint, grants []scope.Grant) string {
	type place struct {
		Name, URL string
		Profile   scope.Profile
	}
	var s struct {
		Endpoints []place
		Grants    []scope.Grant
	}
	for i := range endpoints {
		s.Endpoints = append(s.Endpoints, place{endpoints[i].Name, endpoints[i].URL, endpoints[i].Profile})
	}
	for _, g := range grants {
		s.Grants = append(s.Grants, canonicalGrant(g))
	}
	slices.SortFunc(s.Endpoints, func(a, b place) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Grants, func(a, b scope.Grant) int { return cmp.Compare(a.Name, b.Name) })
	// Plain data with text keys: encoding it cannot fail, and maps are sorted.
	text, _ := json.Marshal(s)
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonicalGrant returns a copy whose lists are sorted.
func canonicalGrant(g scope.Grant) scope.Grant {
	if g.HTTP != nil {
		g.HTTP = &scope.HTTP{Methods: sortedSet(g.HTTP.Methods), Paths: sortedSet(g.HTTP.Paths)}
	}
	g.Where = canonicalMatchers(g.Where)
	g.Query.Params = canonicalMatchers(g.Query.Params)
	g.Headers = canonicalMatchers(g.Headers)
	g.Body = canonicalBody(g.Body)
	if g.Response != nil {
		g.Response = &scope.Response{Keep: sortedSet(g.Response.Keep)}
	}
	return g
}

func canonicalBody(b *scope.Body) *scope.Body {
	if b == nil {
		return nil
	}
	out := *b
	out.Fields = canonicalMatchers(b.Fields)
	out.Parts = maps.Clone(b.Parts)
	for name, part := range out.Parts {
		part.Media = sortedSet(part.Media)
		part.Value, part.Filename = canonicalPointer(part.Value), canonicalPointer(part.Filename)
		out.Parts[name] = part
	}
	return &out
}

func canonicalPointer(m *scope.Matcher) *scope.Matcher {
	if m == nil {
		return nil
	}
	out := canonicalMatcher(*m)
	return &out
}

func canonicalMatchers(in map[string]scope.Matcher) map[string]scope.Matcher {
	out := maps.Clone(in)
	for name, m := range out {
		out[name] = canonicalMatcher(m)
	}
	return out
}

func canonicalMatcher(m scope.Matcher) scope.Matcher {
	m.In, m.Except = sortedSet(m.In), sortedSet(m.Except)
	m.Set = canonicalPointer(m.Set)
	return m
}

func sortedSet(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// Reach counts what grants name, one for each path and method of each grant.
func Reach(grants []scope.Grant) v1alpha1.Reach {
	var r v1alpha1.Reach
	for i := range grants {
		g := &grants[i]
		if g.HTTP == nil {
			continue
		}
		paths := int32(len(g.HTTP.Paths)) // at most 64
		for _, method := range g.HTTP.Methods {
			switch method {
			case "GET", "HEAD":
				r.Reads += paths
			case "DELETE":
				r.Deletes += paths
			default:
				r.Writes += paths
			}
		}
		if opaque(g) {
			r.Opaque++
		}
	}
	r.Summary = fmt.Sprintf("R%d W%d D%d", r.Reads, r.Writes, r.Deletes)
	return r
}

// opaque tells whether some part of what the grant allows is not looked at.
func opaque(g *scope.Grant) bool {
	return g.Body != nil && (g.Body.Media == scope.Opaque || g.Body.UnlistedAllow) || g.Query.UnlistedAllow ||
		slices.ContainsFunc(g.HTTP.Paths, func(path string) bool { return openTail(path, g.Where) })
}
