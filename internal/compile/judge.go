package compile

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// This file asks the judge: what it cannot enforce must not be accepted.

// text is a field path that is given as text.
type text string

func (t text) String() string { return string(t) }

// checkGrant adds what the judge has against a grant. Problems of sets are
// left out where the sets were complained about already.
func checkGrant(p *problem.List, path *field.Path, profile scope.Profile, g *scope.Grant, badSets bool) {
	seen := map[scope.SpecError]bool{} // where is judged with each path
	for _, e := range g.Check(profile) {
		if seen[*e] || badSets && strings.Contains(e.Field, ".set") {
			continue
		}
		seen[*e] = true
		p.Invalid(grantField(path, e, g), e.Value, e.Msg)
	}
}

// grantField is the field that the judge means; it names a list and a value of
// it where there is an index.
func grantField(path *field.Path, e *scope.SpecError, g *scope.Grant) text {
	full := text(path.String() + "." + e.Field)
	if index := slices.Index(listOf(g)[e.Field], e.Value); index >= 0 {
		return text(field.NewPath(string(full)).Index(index).String())
	}
	return full
}

// listOf returns the lists of a grant of which the judge names a value.
func listOf(g *scope.Grant) map[string][]string {
	switch {
	case g.HTTP != nil:
		return map[string][]string{"http.paths": g.HTTP.Paths, "http.methods": g.HTTP.Methods}
	case g.GRPC != nil:
		return map[string][]string{"grpc.methods": g.GRPC.Methods}
	case g.Git != nil && g.Git.Push != nil:
		return map[string][]string{"git.push.refs": g.Git.Push.Refs}
	}
	return nil
}

// checkReach refuses paths that match whatever the upstream has.
func checkReach(p *problem.List, path *field.Path, g *scope.Grant) {
	if g.HTTP == nil {
		return
	}
	for i, template := range g.HTTP.Paths {
		t, err := scope.ParsePath(template)
		if err != nil || t.HasLiteral() {
			continue
		}
		if !slices.ContainsFunc(t.Captures(), func(name string) bool { _, bound := g.Where[name]; return bound }) {
			p.Invalid(path.Index(i), template, "it matches whatever the upstream has: write a literal segment, or bound a capture by where")
		}
	}
}
