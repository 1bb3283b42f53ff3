package compile

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

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
		Fields:        g.sets.Map(g.p, path.Child("fields"), in.Fields),
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
		g.p.Invalid(path.Child("maxBytes"), "", "allow at least one byte, or remove the part")
	}
	if in.Value != nil {
		m := g.sets.Compile(g.p, path.Child("value"), *in.Value)
		out.Value = &m
	}
	if in.Filename != nil {
		m := g.sets.Compile(g.p, path.Child("filename"), *in.Filename)
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
func checkRate(p *problem.List, path *field.Path, in *v1alpha1.RequestRate) {
	if in != nil && !rate(in).Valid() {
		p.Invalid(path, fmt.Sprintf("%d per %v", in.Count, in.Per.Duration), "allow 1 to 1000000 requests, with per between 1s and 24h")
	}
}
