package compile

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// This file asks the judge: what it cannot enforce must not be accepted.

// text is a field path that is given as text.
type text string

func (t text) String() string { return string(t) }

// checkGrant adds what the judge has against a grant. Problems of sets are
// left out where the sets were complained about already.
func checkGrant(p *problems, path *field.Path, profile scope.Profile, g *scope.Grant, badSets bool) {
	seen := map[scope.SpecError]bool{} // where is judged with each path
	for _, e := range g.Check(profile) {
		if seen[*e] || badSets && strings.Contains(e.Field, ".set") {
			continue
		}
		seen[*e] = true
		p.invalid(grantField(path, e, g), e.Value, e.Msg)
	}
}

// grantField is the field that the judge means; it names a list and a value of
// it where there is an index.
func grantField(path *field.Path, e *scope.SpecError, g *scope.Grant) text {
	index := -1
	if g.HTTP != nil {
		switch e.Field {
		case "http.paths":
			index = slices.Index(g.HTTP.Paths, e.Value)
		case "http.methods":
			index = slices.Index(g.HTTP.Methods, e.Value)
		}
	}
	full := text(path.String() + "." + e.Field)
	if index >= 0 {
		return text(field.NewPath(string(full)).Index(index).String())
	}
	return full
}

// checkReach refuses paths that match whatever the upstream has.
func checkReach(p *problems, path *field.Path, g *scope.Grant) {
	for i, template := range g.HTTP.Paths {
		t, err := scope.ParsePath(template)
		if err != nil || t.HasLiteral() {
			continue
		}
		if !slices.ContainsFunc(t.Captures(), func(name string) bool { _, bound := g.Where[name]; return bound }) {
			p.invalid(path.Index(i), template, "it matches whatever the upstream has: write a literal segment, or bound a capture by where")
		}
	}
}

// checkSet adds what the judge has against the matcher of a set, wherever it
// may be used.
func checkSet(p *problems, path *field.Path, m scope.Matcher) {
	const name = "x"
	probe := scope.Grant{Name: "set", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/"}}}
	prefix := "query.params." + name
	switch m.ValueType() {
	case scope.Object, scope.Array: // they speak of documents alone
		prefix = "body.fields." + name
		probe.Body = &scope.Body{Media: scope.JSON, MaxBytes: 1, Fields: map[string]scope.Matcher{name: m}}
	default:
		probe.Query.Params = map[string]scope.Matcher{name: m}
	}
	for _, e := range probe.Check(scope.Profile{}) {
		p.invalid(text(path.String()+strings.TrimPrefix(e.Field, prefix)), e.Value, e.Msg)
	}
}
