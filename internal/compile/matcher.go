package compile

import (
	"fmt"
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

// body compiles what a grant says of bodies, with its defaults written out.
// Whether it can be enforced is for the judge to say.
func (g *grants) body(path *field.Path, in *v1alpha1.Body) *scope.Body {
	if in == nil {
		return nil
	}
	out := &scope.Body{
		Media:         scope.Media(in.Media),
		MaxBytes:      or(in.MaxBytes, g.bodyBytes),
		UnlistedAllow: in.Unlisted == v1alpha1.UnlistedAllow,
		Fields:        g.sets.matchers(g.p, path.Child("fields"), in.Fields),
		Parts:         g.parts(path.Child("parts"), in.Parts),
	}
	if in.Media == "" {
		out.Media = scope.JSON
	}
	if out.Media != scope.Opaque { // what is read whole is bounded for every grant
		out.MaxBytes = min(out.MaxBytes, g.bodyBytes)
	}
	return out
}

func (g *grants) parts(path *field.Path, in map[string]v1alpha1.Part) map[string]scope.Part {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]scope.Part, len(in))
	for _, name := range sortedKeys(in) {
		out[name] = g.part(path.Key(name), in[name])
	}
	return out
}

func (g *grants) part(path *field.Path, in v1alpha1.Part) scope.Part {
	out := scope.Part{Required: in.Required, Media: slices.Clone(in.Media), MaxBytes: or(in.MaxBytes, 0)}
	if in.MaxBytes != nil && *in.MaxBytes < 1 {
		g.p.invalid(path.Child("maxBytes"), "", "allow at least one byte, or remove the part")
	}
	if in.Value != nil {
		m := g.sets.matcher(g.p, path.Child("value"), *in.Value)
		out.Value = &m
	}
	if in.Filename != nil {
		m := g.sets.matcher(g.p, path.Child("filename"), *in.Filename)
		out.Filename = &m
	}
	return out
}

func keep(in *v1alpha1.GrantResponse) *scope.Response {
	if in == nil {
		return nil
	}
	// Never nil: an empty list is written as one.
	return &scope.Response{Keep: append([]string{}, in.Keep...)}
}

func grantLimits(in *v1alpha1.GrantLimits) *scope.Limits {
	if in == nil {
		return nil
	}
	return &scope.Limits{Requests: *rate(&in.Requests)}
}

func rate(in *v1alpha1.RequestRate) *scope.Rate {
	if in == nil {
		return nil
	}
	return &scope.Rate{Count: int(in.Count), Per: in.Per.Duration}
}

// checkRate holds a rate to the schema's rules a second time: the installed
// schema may be older than this code.
func checkRate(p *problems, path *field.Path, in *v1alpha1.RequestRate) {
	if in != nil && !rate(in).Valid() {
		p.invalid(path, fmt.Sprintf("%d per %v", in.Count, in.Per.Duration), "allow 1 to 1000000 requests, with per between 1s and 24h")
	}
}
