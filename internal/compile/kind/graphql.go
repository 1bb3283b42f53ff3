package kind

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
	scopefield "github.com/sallyport-dev/sallyport/internal/scope/field"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
)

// GraphQL compiles a grant of that kind by the schema of its endpoint, of which
// the result holds the types that the grant names. Problems name what the
// author wrote; the schema is its owner's, and is not quoted.
func GraphQL(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.GraphQLGrant, schema *sdl.Schema, bodyBytes int64) *graphql.Spec {
	if schema == nil {
		p.Invalid(path, "", "the endpoint has no schema to judge by: its owner gives it the profile github-graphql or github-rest, or a schema by graphql.schemaRef")
		return nil
	}
	c := compiler{p: p, schema: schema, sets: sets, named: map[string]string{}, out: &graphql.Spec{
		Path: in.Path, MaxBytes: bodyBytes, Introspection: in.Introspection == v1alpha1.IntrospectionAllow,
		Query: schema.Query, Mutation: schema.Mutation, Limits: documentLimits(in.Limits), Types: map[string]graphql.Type{},
	}}
	for i, operation := range in.Operations {
		if operation == v1alpha1.OperationMutation && schema.Mutation == "" {
			p.Invalid(path.Child("operations").Index(i), string(operation), "the schema has no mutations: remove it")
		}
		c.out.Operations = append(c.out.Operations, syntax.Kind(operation))
	}
	slices.Sort(c.out.Operations)
	for i := range in.Select {
		c.entry(path.Child("select").Index(i), &in.Select[i])
	}
	c.possible(path.Child("select"))
	return c.out
}

// documentLimits writes out what the API's schema would default.
func documentLimits(in *v1alpha1.GraphQLLimits) graphql.Limits {
	if in == nil {
		in = &v1alpha1.GraphQLLimits{}
	}
	out := graphql.Limits{Depth: given(in.Depth, 16), Selections: given(in.Selections, 500), Operations: given(in.Operations, 10)}
	out.Aliases = given(in.Aliases, out.Selections)
	return out
}

func given(n *int32, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return int(*n)
}

// compiler compiles the entries of select.
type compiler struct {
	p      *problem.List
	schema *sdl.Schema
	sets   matcher.Sets
	out    *graphql.Spec
	named  map[string]string // by coordinate: the entry that names it with arguments, empty for one of fields
}

func (c *compiler) entry(path *field.Path, in *v1alpha1.Selection) {
	on, name, single := strings.Cut(in.On, ".")
	t := c.schema.Type(on)
	switch {
	case strings.HasPrefix(on, "__"):
		c.p.Invalid(path.Child("on"), in.On, "set introspection: Allow for what begins with __")
	case t == nil:
		c.p.Invalid(path.Child("on"), in.On, "the schema has no type of this name: correct it")
	case t.Kind != sdl.Object && t.Kind != sdl.Interface:
		c.p.Invalid(path.Child("on"), in.On, "nothing is selected on this type: name an object or an interface")
	case single && len(in.Fields) > 0:
		c.p.Invalid(path.Child("fields"), in.On, "on names one field: remove fields, or name the type alone")
	case single:
		c.field(path, t, name, in)
	case len(in.Args) > 0:
		c.p.Invalid(path.Child("args"), in.On, "args go with one field: name it as Type.field")
	case len(in.Fields) == 0:
		c.p.Invalid(path.Child("fields"), in.On, "list the fields that may be selected: an entry without any allows nothing")
	default:
		c.fields(path.Child("fields"), t, in.Fields)
	}
}

// fields allows fields with any arguments.
func (c *compiler) fields(path *field.Path, t *sdl.Type, names []string) {
	for i, name := range names {
		if f := c.known(path.Index(i), t, name); f != nil {
			c.allow(path.Index(i), t, name, "", graphql.Field{AnyArgs: true})
		}
	}
}

// field allows one field with the arguments that are listed.
func (c *compiler) field(path *field.Path, t *sdl.Type, name string, in *v1alpha1.Selection) {
	f := c.known(path.Child("on"), t, name)
	if f == nil {
		return
	}
	args := c.sets.Map(c.p, path.Child("args"), in.Args)
	for _, at := range slices.Sorted(maps.Keys(args)) {
		c.argument(path.Child("args").Key(at), f, at)
	}
	graphql.CheckArgs(args, func(at, value, msg string) {
		c.p.Invalid(fieldText(path.String()+"."+at), value, msg)
	})
	c.allow(path.Child("on"), t, name, in.On, graphql.Field{Args: args})
}

// fieldText is a field path that is given as text.
type fieldText string

func (t fieldText) String() string { return string(t) }

// known returns a field of a type, or adds the problem that there is none.
func (c *compiler) known(path *field.Path, t *sdl.Type, name string) *sdl.Field {
	f := t.Fields[name]
	if f == nil {
		c.p.Invalid(path, t.Name+"."+name, "the schema has no field of this name: correct it")
	}
	return f
}

// allow adds a field that is allowed. One that is named with arguments is named
// nowhere else: which entry holds would be a matter of order.
func (c *compiler) allow(path *field.Path, t *sdl.Type, name, by string, f graphql.Field) {
	at := t.Name + "." + name
	before, again := c.named[at]
	if again && (before != "" || by != "") {
		c.p.Invalid(path, at, "this field is named twice: name it once, with arguments or in a list of fields")
		return
	}
	c.named[at] = by
	if result := c.schema.Type(t.Fields[name].Type.Name); result != nil && result.Kind.Composite() {
		f.Type = result.Name
	}
	if c.out.Types[t.Name].Fields == nil {
		c.out.Types[t.Name] = graphql.Type{Fields: map[string]graphql.Field{}}
	}
	c.out.Types[t.Name].Fields[name] = f
}

// argument refuses a path that leads to no argument: what is misspelt would
// bound nothing.
func (c *compiler) argument(path *field.Path, f *sdl.Field, at string) {
	steps, err := scopefield.Parse(at)
	if err != nil {
		return // CheckArgs says so
	}
	ref, found := f.Args[steps[0].Name]
	for _, step := range steps[1:] {
		if !found {
			break
		}
		ref, found = c.below(ref, step.Name, step.Item)
	}
	if steps[0].Item || !found {
		c.p.Invalid(path, at, "the schema has no argument of this path: write the names of input objects with dots between them, and [] behind a list")
	}
}

// below follows one step into an argument. What a scalar of the schema's own
// holds is not known, and may be anything.
func (c *compiler) below(ref sdl.Ref, name string, item bool) (sdl.Ref, bool) {
	t := c.schema.Type(ref.Name)
	switch {
	case t != nil && t.Kind == sdl.Scalar && ref.Lists == 0:
		return ref, true
	case item:
		return sdl.Ref{Name: ref.Name, Lists: ref.Lists - 1}, ref.Lists > 0
	case t == nil || ref.Lists > 0:
		return sdl.Ref{}, false
	}
	next, found := t.Inputs[name]
	return next, found
}

// possible notes, of each interface that is named, the named types that may
// stand there. A field of such a type that is named with arguments is not named
// by the interface again, by which any would pass.
func (c *compiler) possible(path *field.Path) {
	for _, name := range slices.Sorted(maps.Keys(c.out.Types)) {
		of := c.schema.Type(name)
		if of.Kind != sdl.Interface {
			continue
		}
		t := c.out.Types[name]
		for _, other := range of.Possible {
			below, named := c.out.Types[other]
			if !named {
				continue
			}
			t.Possible = append(t.Possible, other)
			for _, field := range slices.Sorted(maps.Keys(t.Fields)) {
				if f, both := below.Fields[field]; both && !(f.AnyArgs && t.Fields[field].AnyArgs) {
					c.p.Invalid(path, other+"."+field, "this field is named twice, by "+name+" as well, with arguments: name one of the two")
				}
			}
		}
		c.out.Types[name] = t
	}
}
