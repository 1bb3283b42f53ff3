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
	index := -1
	switch {
	case g.HTTP != nil && e.Field == "http.paths":
		index = slices.Index(g.HTTP.Paths, e.Value)
	case g.HTTP != nil && e.Field == "http.methods":
		index = slices.Index(g.HTTP.Methods, e.Value)
	case g.GRPC != nil && e.Field == "grpc.methods":
		index = slices.Index(g.GRPC.Methods, e.Value)
	case g.Git != nil && g.Git.Push != nil && e.Field == "git.push.refs":
		index = slices.Index(g.Git.Push.Refs, e.Value)
	}
	full := text(path.String() + "." + e.Field)
	if index >= 0 {
		return text(field.NewPath(string(full)).Index(index).String())
	}
	return full
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
