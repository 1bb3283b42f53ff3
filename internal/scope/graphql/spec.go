package graphql

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
)

// Spec is what a grant allows of one GraphQL service, with what of the schema
// is needed to tell. The zero Spec is refused when it is compiled.
type Spec struct {
	Path       string        `json:"path"`
	Operations []syntax.Kind `json:"operations"`
	// Introspection lets the schema be asked for.
	Introspection bool   `json:"introspection,omitempty"`
	Limits        Limits `json:"limits"`
	// MaxBytes bounds the whole request body.
	MaxBytes int64 `json:"maxBytes"`
	// Query and Mutation are the types at which operations begin.
	Query    string `json:"query,omitempty"`
	Mutation string `json:"mutation,omitempty"`
	// Types are those that the grant names.
	Types map[string]Type `json:"types"`
}

// Limits bounds one document. All are set.
type Limits struct {
	Depth      int `json:"depth"`      // of nested fields
	Selections int `json:"selections"` // fragments counted wherever they are spread
	Operations int `json:"operations"`
	Aliases    int `json:"aliases"`
}

// Type is a type of the schema as far as it is granted.
type Type struct {
	Fields map[string]Field `json:"fields"`
	// Possible are, of an interface, those of the named types that may stand
	// there.
	Possible []string `json:"possible,omitempty"`
}

// Field is a field that may be selected. The zero Field has no arguments and
// nothing below it.
type Field struct {
	// Type is that of what is selected below; empty where nothing is.
	Type string `json:"type,omitempty"`
	// AnyArgs lets any arguments pass; else Args are those that may be given, by
	// their paths into input objects.
	AnyArgs bool                     `json:"anyArgs,omitempty"`
	Args    map[string]match.Matcher `json:"args,omitempty"`
}

// Protocol is what such a grant speaks.
const Protocol shape.Protocol = "graphql"

// Shapes returns the requests that s allows. It reports what cannot be
// enforced, with fields relative to s.
func (s *Spec) Shapes(report match.Report) []shape.Shape {
	j := compile(s, report)
	return []shape.Shape{{Methods: []string{"POST"}, Path: s.Path, Body: body.OfJSON(s.MaxBytes, j)}}
}

// judge is a compiled Spec. It is safe for concurrent use.
type judge struct {
	roots         map[syntax.Kind]string
	introspection string // the type at which the schema may be asked for
	limits        Limits
	most          int64 // bytes of arguments that are looked at
	types         map[string]map[string]*field
}

// field is a compiled Field.
type field struct {
	at   string // its coordinate
	typ  string
	args []*body.Body // each must let the arguments pass
}

// repeats bounds how often the variables of a request may stand in its
// arguments: each time they are judged.
const repeats = 8

func compile(s *Spec, report match.Report) *judge {
	j := &judge{roots: map[syntax.Kind]string{}, limits: s.Limits, most: repeats * s.MaxBytes, types: map[string]map[string]*field{}}
	checkSpec(s, report)
	for _, kind := range s.Operations {
		switch kind {
		case syntax.Query:
			j.roots[kind] = s.Query
		case syntax.Mutation:
			j.roots[kind] = s.Mutation
		}
	}
	if s.Introspection {
		j.introspection = j.roots[syntax.Query]
	}
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		j.types[name] = map[string]*field{}
		t := s.Types[name]
		for _, f := range slices.Sorted(maps.Keys(t.Fields)) {
			j.types[name][f] = compileField(s, name, f, report)
		}
	}
	for name := range s.Types {
		j.possible(name, s.Types[name].Possible)
	}
	return j
}

// checkSpec reports what makes s judge nothing.
func checkSpec(s *Spec, report match.Report) {
	if s.Path == "" || strings.ContainsAny(s.Path, "{}") {
		report("graphql.path", s.Path, "write the path of the service, without captures")
	}
	if len(s.Operations) == 0 {
		report("graphql.operations", "", "list Query or Mutation")
	}
	for _, kind := range s.Operations {
		root := map[syntax.Kind]string{syntax.Query: s.Query, syntax.Mutation: s.Mutation}[kind]
		if root == "" {
			report("graphql.operations", string(kind), "list operations that the schema has")
		}
	}
	if l := s.Limits; l.Depth < 1 || l.Selections < 1 || l.Operations < 1 || l.Aliases < 0 {
		report("graphql.limits", "", "bound depth, selections and operations by at least one")
	}
	if s.MaxBytes < 1 {
		report("graphql.maxBytes", "", "bound the body")
	}
	if len(s.Types) == 0 {
		report("graphql.select", "", "list what may be selected")
	}
}

func compileField(s *Spec, on, name string, report match.Report) *field {
	spec := s.Types[on].Fields[name]
	f := &field{at: on + "." + name, typ: spec.Type}
	if spec.AnyArgs {
		if len(spec.Args) > 0 {
			report("graphql.select["+f.at+"].args", "", "remove the arguments, or name the field alone: any would pass")
		}
		return f
	}
	f.args = []*body.Body{arguments(spec.Args, repeats*s.MaxBytes, func(field, value, msg string) {
		report("graphql.select["+f.at+"]."+field, value, msg)
	})}
	return f
}

// CheckArgs reports what of args cannot be enforced, with fields such as
// args.input.branch.glob.
func CheckArgs(args map[string]match.Matcher, report match.Report) { arguments(args, 1, report) }

// arguments compiles what the arguments of a field may be.
func arguments(args map[string]match.Matcher, maxBytes int64, report match.Report) *body.Body {
	spec := &body.Spec{Media: body.JSON, MaxBytes: max(1, maxBytes), Fields: args}
	return body.Compile(spec, false, nil, func(field, value, msg string) { report(renamed(field), value, msg) })
}

// possible lets a field of an interface pass only where the same field of the
// types that may stand there does, if that is bound by arguments.
func (j *judge) possible(name string, types []string) {
	for at, f := range j.types[name] {
		for _, other := range types {
			if below := j.types[other][at]; below != nil && other != name && len(below.args) > 0 {
				f.args = append(f.args, below.args[0])
			}
		}
	}
}
