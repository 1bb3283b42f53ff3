// Package matcher compiles matchers: sets are inlined, and what was left out is
// told from what is empty. What a matcher means is for the judge to say, with
// the grant as a whole.
package matcher

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Sets are the matchers of spec.sets by name.
type Sets map[string]scope.Matcher

// NewSets reads the sets. Each is judged by itself, used or not: one that
// is wrong and not used yet would fail the next change.
func NewSets(p *problem.List, path *field.Path, named []v1alpha1.NamedSet) Sets {
	all := Sets{}
	for i := range named {
		at := path.Index(i)
		if _, again := all[named[i].Name]; again {
			p.Invalid(at.Child("name"), named[i].Name, "this name is used twice: which set counts would be a matter of order")
		}
		m := constraint(&named[i].Constraint)
		checkSet(p, at, m)
		all[named[i].Name] = m
	}
	return all
}

// Map compiles a map of matchers; what a matcher means is judged later,
// with the grant as a whole.
func (s Sets) Map(p *problem.List, path *field.Path, in map[string]v1alpha1.Matcher) map[string]scope.Matcher {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]scope.Matcher, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		out[name] = s.Compile(p, path.Key(name), in[name])
	}
	return out
}

// Compile compiles one matcher. A set that does not exist is a problem.
func (s Sets) Compile(p *problem.List, path *field.Path, in v1alpha1.Matcher) scope.Matcher {
	out := constraint(&in.Constraint)
	out.Required, out.Forbidden, out.Repeated = in.Required, in.Forbidden, in.Repeated
	if in.Set != "" {
		named, ok := s[in.Set]
		if !ok {
			p.Invalid(path.Child("set"), in.Set, "there is no set of this name: declare it in sets, or correct the name")
		}
		out.Set = &named
	}
	return out
}

func constraint(in *v1alpha1.Constraint) scope.Matcher {
	return scope.Matcher{
		Equals:    in.Equals,
		In:        slices.Clone(in.In),
		Glob:      given(in.Glob),
		Pattern:   given(in.Pattern),
		Min:       given(string(in.Min)),
		Max:       given(string(in.Max)),
		MinLength: number(in.MinLength),
		MaxLength: number(in.MaxLength),
		MaxItems:  number(in.MaxItems),
		Type:      scope.Type(in.Type),
		Except:    slices.Clone(in.Except),
		Kind:      scope.Kind(in.Kind),
		Under:     in.Under,
		FoldASCII: in.Fold == v1alpha1.FoldASCII,
	}
}

// given is nil for a text that was left out.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func number(n *int32) *int {
	if n == nil {
		return nil
	}
	wide := int(*n)
	return &wide
}

// checkSet adds what the judge has against the matcher of a set, wherever it
// may be used.
func checkSet(p *problem.List, path *field.Path, m scope.Matcher) {
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
		p.Invalid(fieldText(path.String()+strings.TrimPrefix(e.Field, prefix)), e.Value, e.Msg)
	}
}

// fieldText is a field path that is given as text.
type fieldText string

func (t fieldText) String() string { return string(t) }
