package compile

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// sets are the matchers of spec.sets by name.
type sets map[string]scope.Matcher

// compileSets reads the sets. Each is judged by itself, used or not: one that
// is wrong and not used yet would fail the next change.
func compileSets(p *problems, path *field.Path, named []v1alpha1.NamedSet) sets {
	all := sets{}
	for i := range named {
		at := path.Index(i)
		if _, again := all[named[i].Name]; again {
			p.invalid(at.Child("name"), named[i].Name, "this name is used twice: which set counts would be a matter of order")
		}
		m := constraint(&named[i].Constraint)
		checkSet(p, at, m)
		all[named[i].Name] = m
	}
	return all
}

// matchers compiles a map of matchers; what a matcher means is judged later,
// with the grant as a whole.
func (s sets) matchers(p *problems, path *field.Path, in map[string]v1alpha1.Matcher) map[string]scope.Matcher {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]scope.Matcher, len(in))
	for _, name := range sortedKeys(in) {
		out[name] = s.matcher(p, path.Key(name), in[name])
	}
	return out
}

func (s sets) matcher(p *problems, path *field.Path, in v1alpha1.Matcher) scope.Matcher {
	out := constraint(&in.Constraint)
	out.Required, out.Forbidden, out.Repeated = in.Required, in.Forbidden, in.Repeated
	if in.Set != "" {
		named, ok := s[in.Set]
		if !ok {
			p.invalid(path.Child("set"), in.Set, "there is no set of this name: declare it in sets, or correct the name")
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
