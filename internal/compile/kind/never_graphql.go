package kind

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// NeverGraphQL returns what in names, as pieces. schemas are those of the
// endpoints that it is about. A field of an interface is named with those of
// the types that may stand there, and the other way round: what runs is the
// same.
func NeverGraphQL(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.NeverGraphQL, schemas []*sdl.Schema, out region.Never) []region.Never {
	for _, operation := range in.Operations {
		out.Methods = append(out.Methods, map[v1alpha1.GraphQLOperation]string{
			v1alpha1.OperationQuery: piece.Query, v1alpha1.OperationMutation: piece.Mutation,
		}[operation])
	}
	if len(in.Select) == 0 {
		out.Paths = neverPaths("{type}", "{field}", in.Path)
		return []region.Never{out}
	}
	var all []region.Never
	for i := range in.Select {
		one := out
		if s := &in.Select[i]; len(s.Args) > 0 {
			one.Body = &region.NeverBody{Media: scope.JSON, Fields: sets.Map(p, path.Child("select").Index(i).Child("args"), s.Args)}
		}
		for _, at := range named(p, path.Child("select").Index(i), &in.Select[i], schemas) {
			one.Paths = append(one.Paths, neverPaths(at[0], at[1], in.Path)...)
		}
		all = append(all, one)
	}
	return all
}

// neverPaths are the paths of pieces of a field, of a service that has a path
// or of any.
func neverPaths(on, name, path string) []string {
	if path != "" {
		return []string{piece.Field(on, name, path)}
	}
	return []string{piece.Field(on, name, ""), piece.Field(on, name, "/{path...}")}
}

// named returns types and fields that an entry is about.
func named(p *problem.List, path *field.Path, in *v1alpha1.NeverSelection, schemas []*sdl.Schema) [][2]string {
	on, single, found := strings.Cut(in.On, ".")
	names := in.Fields
	if found {
		names = []string{single}
	}
	if strings.HasPrefix(on, "__") || strings.HasPrefix(single, "__") {
		return [][2]string{{piece.AnyType, piece.Schema}}
	}
	checkNamed(p, path, on, names, schemas)
	types := []string{on}
	for _, schema := range schemas {
		types = append(types, related(schema, on)...)
	}
	slices.Sort(types)
	var out [][2]string
	for _, typ := range slices.Compact(types) {
		if len(names) == 0 {
			if typ == on {
				out = append(out, [2]string{on, "{field}"})
				continue
			}
			for _, schema := range schemas {
				for name := range shared(schema, on, typ) {
					out = append(out, [2]string{typ, name})
				}
			}
		}
		for _, name := range names {
			out = append(out, [2]string{typ, name})
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0]+"."+a[1], b[0]+"."+b[1]) })
	return slices.Compact(out)
}

// related returns the types of which one may stand for the other.
func related(schema *sdl.Schema, on string) []string {
	var out []string
	if t := schema.Type(on); t != nil && t.Kind == sdl.Interface {
		out = append(out, t.Possible...)
	}
	return append(out, schema.Above(on)...)
}

// shared returns the fields that both types have.
func shared(schema *sdl.Schema, a, b string) map[string]bool {
	out := map[string]bool{}
	x, y := schema.Type(a), schema.Type(b)
	if x == nil || y == nil {
		return out
	}
	for name := range x.Fields {
		if y.Fields[name] != nil {
			out[name] = true
		}
	}
	return out
}

// checkNamed refuses what no schema has: an entry with a typo would never be
// violated.
func checkNamed(p *problem.List, path *field.Path, on string, names []string, schemas []*sdl.Schema) {
	known := func(is func(*sdl.Type) bool) bool {
		return len(schemas) == 0 || slices.ContainsFunc(schemas, func(s *sdl.Schema) bool { t := s.Type(on); return t != nil && is(t) })
	}
	if !known(func(t *sdl.Type) bool { return t.Kind == sdl.Object || t.Kind == sdl.Interface }) {
		p.Invalid(path.Child("on"), on, "the schema has no object or interface of this name: correct it")
		return
	}
	for _, name := range names {
		if !known(func(t *sdl.Type) bool { return t.Fields[name] != nil }) {
			p.Invalid(path, on+"."+name, "the schema has no field of this name: correct it")
		}
	}
}
