// Package sdl reads GraphQL schemas, as far as a scope is about them: types,
// their fields and arguments. What a schema says in words is left out.
package sdl

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

// Schema is a schema. It is not changed after it was made and is safe for
// concurrent use. A nil Schema has no types.
type Schema struct {
	// Query and Mutation are the types at which operations begin; empty where
	// there is none.
	Query, Mutation string

	types map[string]*Type
}

// Type returns the type of a name; nil where there is none.
func (s *Schema) Type(name string) *Type {
	if s == nil {
		return nil
	}
	return s.types[name]
}

// Above returns the interfaces that a type may stand for, sorted.
func (s *Schema) Above(name string) []string {
	var out []string
	if s == nil {
		return nil
	}
	for above, t := range s.types {
		if t.Kind == Interface && slices.Contains(t.Possible, name) {
			out = append(out, above)
		}
	}
	slices.Sort(out)
	return out
}

// Kind is what a type is. The zero Kind is none.
type Kind uint8

// The kinds of types.
const (
	Object Kind = iota + 1
	Interface
	Union
	Input
	Enum
	Scalar
)

// Composite reports whether fields are selected of values of this kind.
func (k Kind) Composite() bool { return k == Object || k == Interface || k == Union }

// Type is a type of a schema.
type Type struct {
	Name string
	Kind Kind
	// Fields are those of an Object or Interface.
	Fields map[string]*Field
	// Inputs are the fields of an Input.
	Inputs map[string]Ref
	// Possible are the names of the types that may stand for an Interface or a
	// Union, sorted.
	Possible []string
}

// Field is a field with its arguments.
type Field struct {
	Type Ref
	Args map[string]Ref
}

// Ref is a type as it is referred to: Name in so many Lists.
type Ref struct {
	Name  string
	Lists int
}

// maxTokens bounds a schema. The largest public ones have a tenth of it.
const maxTokens = 2_000_000

// Parse reads a schema. The error says where it cannot be read, and quotes
// nothing of it.
func Parse(text string) (*Schema, error) {
	doc, err := parser.ParseSchemaWithLimit(&ast.Source{Input: text}, maxTokens)
	if at := (*gqlerror.Error)(nil); errors.As(err, &at) && len(at.Locations) > 0 {
		return nil, fmt.Errorf("write the schema in GraphQL's schema definition language: it cannot be read at line %d, column %d", at.Locations[0].Line, at.Locations[0].Column)
	}
	if err != nil {
		return nil, errors.New("write the schema in GraphQL's schema definition language: it cannot be read")
	}
	s := &Schema{types: map[string]*Type{}}
	if err := s.defineAll(doc); err != nil {
		return nil, err
	}
	s.operations(doc)
	if s.Type(s.Query) == nil {
		return nil, errors.New("define the type at which queries begin: the schema has none")
	}
	for _, t := range s.types {
		slices.Sort(t.Possible)
		t.Possible = slices.Compact(t.Possible)
	}
	return s, nil
}

// defineAll refuses a type that is of two kinds, and one that is implemented and is
// no interface: which of them a server means, nothing tells.
func (s *Schema) defineAll(doc *ast.SchemaDocument) error {
	all := slices.Concat(doc.Definitions, doc.Extensions)
	for _, d := range all {
		if t := s.types[d.Name]; t != nil && t.Kind != 0 && t.Kind != kinds[d.Kind] {
			return fmt.Errorf("give each type one kind: the one at line %d was defined as another before", d.Position.Line)
		}
		s.define(d)
	}
	for _, d := range all {
		for _, of := range d.Interfaces {
			if t := s.Type(of); t == nil || t.Kind != Interface {
				return fmt.Errorf("define every interface that a type implements: the type at line %d names one that is none", d.Position.Line)
			}
		}
	}
	return nil
}

// operations finds the types at which operations begin.
func (s *Schema) operations(doc *ast.SchemaDocument) {
	s.Query, s.Mutation = "Query", "Mutation"
	if len(doc.Schema) > 0 {
		s.Query, s.Mutation = "", ""
	}
	for _, list := range []ast.SchemaDefinitionList{doc.Schema, doc.SchemaExtension} {
		for _, d := range list {
			for _, o := range d.OperationTypes {
				switch o.Operation {
				case ast.Query:
					s.Query = o.Type
				case ast.Mutation:
					s.Mutation = o.Type
				}
			}
		}
	}
	if s.Type(s.Mutation) == nil {
		s.Mutation = ""
	}
}

var kinds = map[ast.DefinitionKind]Kind{
	ast.Object: Object, ast.Interface: Interface, ast.Union: Union, ast.InputObject: Input, ast.Enum: Enum, ast.Scalar: Scalar,
}

// named returns the type of a name, made where it is missing: an interface may
// be named before it is defined.
func (s *Schema) named(name string) *Type {
	t := s.types[name]
	if t == nil {
		t = &Type{Name: name}
		s.types[name] = t
	}
	return t
}

// define adds a definition, or what extends one.
func (s *Schema) define(d *ast.Definition) {
	t := s.named(d.Name)
	t.Kind = kinds[d.Kind]
	if t.Kind == Input {
		if t.Inputs == nil {
			t.Inputs = make(map[string]Ref, len(d.Fields))
		}
		for _, f := range d.Fields {
			t.Inputs[f.Name] = refer(f.Type)
		}
		return
	}
	t.Possible = append(t.Possible, d.Types...)
	if t.Kind == Object {
		for _, of := range d.Interfaces {
			above := s.named(of)
			above.Possible = append(above.Possible, d.Name)
		}
	}
	if t.Fields == nil && len(d.Fields) > 0 {
		t.Fields = make(map[string]*Field, len(d.Fields))
	}
	for _, f := range d.Fields {
		t.Fields[f.Name] = field(f)
	}
}

func field(d *ast.FieldDefinition) *Field {
	f := &Field{Type: refer(d.Type)}
	if len(d.Arguments) > 0 {
		f.Args = make(map[string]Ref, len(d.Arguments))
	}
	for _, a := range d.Arguments {
		f.Args[a.Name] = refer(a.Type)
	}
	return f
}

func refer(t *ast.Type) Ref {
	var r Ref
	for ; t != nil; t = t.Elem {
		if t.Elem != nil {
			r.Lists++
		}
		r.Name = t.NamedType
	}
	return r
}

// GitHub returns the schema that GitHub publishes. It is read the first time
// that somebody asks for it.
func GitHub() *Schema { return gitHub() }

var gitHub = sync.OnceValue(mustGitHub)
