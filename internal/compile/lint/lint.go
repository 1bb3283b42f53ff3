// Package lint finds in a scope that compiles what its author may not have
// meant: what is wide open, what reaches an operation that people regret, what
// does nothing. A finding is no error, and each says what to write instead.
package lint

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// Severity says whether a finding asks for a change. The zero Severity is a
// warning.
type Severity uint8

// The severities.
const (
	Warning Severity = iota // somebody should look at it
	Note                    // it is as it is, and wide
)

// String is the severity in lower case.
func (s Severity) String() string {
	if s == Note {
		return "note"
	}
	return "warning"
}

// MarshalText writes what String says.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Rule is what a finding is about.
type Rule string

// The rules.
const (
	OpenCapture Rule = "OpenCapture" // a capture of a path that nothing bounds
	Wildcard    Rule = "Wildcard"    // a matcher that lets everything pass
	Opaque      Rule = "Opaque"      // a part of a request that is not looked at
	Sensitive   Rule = "Sensitive"   // an operation that people regret
	UnusedSet   Rule = "UnusedSet"   // a set that nothing names
	Shadowed    Rule = "Shadowed"    // a grant that others contain
	Nothing     Rule = "Nothing"     // a grant that allows nothing
	// AnyArguments is a field at which operations begin that passes with any.
	AnyArguments Rule = "AnyArguments"
	// ReachesOut is a way from what a GraphQL grant bounds to others of its type.
	ReachesOut Rule = "ReachesOut"
)

// A Finding is one thing that was found.
type Finding struct {
	Rule     Rule     `json:"rule"`
	Severity Severity `json:"severity"`
	Field    string   `json:"field"` // such as spec.grants[0].http.paths[1]
	Message  string   `json:"message"`
	Fix      string   `json:"fix"`
}

// Scope is what is looked at: a ScopedCredential, as it is written and as it
// was compiled, and the profiles of its endpoints by their names.
type Scope struct {
	Written  *v1alpha1.ScopedCredential
	Compiled *bundle.Credential
	Profiles map[string]string // of endpoints
}

// Findings returns what is found, in the order of the manifest.
func Findings(s Scope) []Finding {
	l := &linter{Scope: s, space: prove.NewSpace()}
	l.sets()
	for i := range s.Compiled.Grants {
		l.grant(i)
	}
	l.shadows()
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(grantOf(a.Field), grantOf(b.Field)) })
	return l.found
}

// grantOf is the index of the grant that a field belongs to; -1 for sets.
func grantOf(field string) int {
	i := -1
	_, _ = fmt.Sscanf(field, "spec.grants[%d]", &i)
	return i
}

type linter struct {
	Scope
	space *region.Space
	found []Finding
}

func (l *linter) add(rule Rule, severity Severity, field, message, fix string) {
	l.found = append(l.found, Finding{rule, severity, field, message, fix})
}

// sets finds sets that nothing names.
func (l *linter) sets() {
	used := map[string]bool{}
	for _, part := range []any{l.Written.Spec.Grants, l.Written.Spec.Never} {
		text, _ := json.Marshal(part) // it was read from such a text
		var tree any
		_ = json.Unmarshal(text, &tree)
		mark(tree, used)
	}
	for i, set := range l.Written.Spec.Sets {
		if !used[set.Name] {
			l.add(UnusedSet, Warning, fmt.Sprintf("spec.sets[%d]", i), "nothing names the set "+set.Name, "remove it, or name it where it was meant to bound something")
		}
	}
}

// mark marks the sets that matchers name, wherever these stand: a text called
// set is nothing else. A kind of grant that comes needs no word here.
func mark(tree any, used map[string]bool) {
	switch node := tree.(type) {
	case []any:
		for _, item := range node {
			mark(item, used)
		}
	case map[string]any:
		for key, value := range node {
			if name, isText := value.(string); isText && key == "set" {
				used[name] = true
			}
			mark(value, used)
		}
	}
}

// grant finds what is to be said of one grant alone.
func (l *linter) grant(i int) {
	g := &l.Compiled.Grants[i]
	at := fmt.Sprintf("spec.grants[%d]", i)
	if g.GraphQL != nil {
		l.graph(i, g)
	}
	l.opaque(g, at)
	if g.HTTP == nil {
		return
	}
	for k, template := range g.HTTP.Paths {
		l.captures(g, template, fmt.Sprintf("%s.http.paths[%d]", at, k))
	}
	l.wildcards(g, at+".where")
	profile := l.profile(g.Endpoint)
	if profile == nil {
		return
	}
	l.space.Renew(grantWork)
	regions := l.space.Grant(g, profile, region.Forwarded)
	nothing := !slices.ContainsFunc(regions, func(r *region.Region) bool { _, found := l.space.Any(r); return found })
	if nothing && !l.space.Exceeded() {
		l.add(Nothing, Warning, at, "no request matches the grant "+g.Name, "look for matchers that contradict each other")
		return
	}
	l.sensitive(g, regions, profile, at)
}

// grantWork is what one question about one grant may take, in states.
const grantWork = 1 << 17

func (l *linter) profile(endpoint string) *scope.Profile {
	for i := range l.Compiled.Endpoints {
		if l.Compiled.Endpoints[i].Name == endpoint {
			return &l.Compiled.Endpoints[i].Profile
		}
	}
	return nil
}

// captures finds captures that nothing bounds: the one place where leaving out
// allows.
func (l *linter) captures(g *scope.Grant, template, at string) {
	t, err := scope.ParsePath(template)
	if err != nil {
		return
	}
	for _, part := range t.Parts(&scope.Profile{}) {
		if _, bound := g.Where[part.Capture]; bound || len(part.Literals) > 0 {
			continue
		}
		what, severity := "any segment", Note
		switch part.Width {
		case 0:
			what, severity = "every path below", Warning
		case 2:
			what = "any two segments"
		}
		l.add(OpenCapture, severity, at, fmt.Sprintf("the capture %s matches %s", part.Capture, what),
			fmt.Sprintf("bound it by where: {%s: ...}, such as {in: [...]} or {glob: ...}", part.Capture))
	}
}

// wildcards finds matchers of captures that let everything pass.
func (l *linter) wildcards(g *scope.Grant, at string) {
	widths := map[string]int{}
	for _, template := range g.HTTP.Paths {
		t, err := scope.ParsePath(template)
		if err != nil {
			continue
		}
		for _, part := range t.Parts(&scope.Profile{}) {
			widths[part.Capture] = part.Width
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.Where)) {
		m := g.Where[name]
		l.space.Renew(grantWork)
		if l.space.LetsAllPass(&m, widths[name]) && !l.space.Exceeded() {
			l.add(Wildcard, Warning, at+"."+name, "the matcher of the capture "+name+" lets everything pass", "name the values, or a glob with a literal part")
		}
	}
}

// opaque names what is not looked at.
func (l *linter) opaque(g *scope.Grant, at string) {
	if g.Query.UnlistedAllow {
		l.add(Opaque, Note, at+".query.unlisted", "any name of a query passes, with any value, but for reserved ones", "list the names under query.params and remove unlisted")
	}
	switch b := g.Body; {
	case b == nil:
	case b.Media == scope.Opaque:
		l.add(Opaque, Note, at+".body.media", "the body is not looked at", "use media JSON, Form or Multipart and list what it may hold")
	case b.UnlistedAllow:
		l.add(Opaque, Note, at+".body.unlisted", "any field or part of the body passes that is not listed", "list the fields, and remove unlisted")
	}
	if g.WebSocket != nil && g.WebSocket.Messages != nil && g.WebSocket.Messages.Media == scope.Opaque {
		l.add(Opaque, Note, at+".websocket.messages.media", "the agent's messages are not looked at", "use media JSON and list what they may hold")
	}
	if g.GRPC != nil {
		l.add(Opaque, Note, at+".grpc", "the messages of a call are not looked at", "grant single methods, and let the ones that are granted do little")
	}
	if g.MCP != nil {
		l.openTools(g.MCP.Tools, at+".mcp.tools")
	}
}

func (l *linter) openTools(tools []mcp.Tool, at string) {
	for i := range tools {
		if tools[i].UnlistedAllow {
			l.add(Opaque, Note, fmt.Sprintf("%s[%d].unlisted", at, i), "any argument of the tool "+tools[i].Name+" passes that is not listed", "list the arguments, and remove unlisted")
		}
	}
}

// shadows finds grants that the others contain. Of two that contain each other
// the later one is told of.
func (l *linter) shadows() {
	grants := l.Compiled.Grants
	regions := make([][]*region.Region, len(grants))
	for i := range grants {
		profile := l.profile(grants[i].Endpoint)
		l.space.Renew(grantWork)
		if profile != nil && grants[i].HTTP != nil {
			regions[i] = l.space.Grant(&grants[i], profile, region.Exchange)
		}
		if l.space.Exceeded() {
			regions[i] = nil // what is missing contains less
		}
	}
	for i := len(grants) - 1; i >= 0; i-- {
		if regions[i] == nil || l.isNothing(i) {
			continue
		}
		others := slices.Concat(append(slices.Clone(regions[:i]), regions[i+1:]...)...)
		l.space.Renew(grantWork)
		outside := slices.ContainsFunc(regions[i], func(r *region.Region) bool { _, found := l.space.Outside(r, others); return found })
		if !outside && !l.space.Exceeded() {
			regions[i] = nil
			l.add(Shadowed, Warning, fmt.Sprintf("spec.grants[%d]", i), "other grants allow all that the grant "+grants[i].Name+" does", "remove it, or narrow the others")
		}
	}
}

// isNothing reports whether a grant was found to allow nothing.
func (l *linter) isNothing(i int) bool {
	at := fmt.Sprintf("spec.grants[%d]", i)
	return slices.ContainsFunc(l.found, func(f Finding) bool { return f.Rule == Nothing && f.Field == at })
}
