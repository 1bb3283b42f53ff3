// Package syntax is a GraphQL document as plain values, for a judge that links
// no parser. It knows the rules of a document that need no schema (GraphQL
// specification, October 2021, sections 2 and 5) and holds every document to
// them, so that nothing in one is left to how a server reads it.
package syntax

// A Document is what one request sends: operations and the fragments that they
// use. Only [New] makes one. The zero Document has no operations. It is not
// changed after it was made and is safe for concurrent use.
type Document struct {
	operations []Operation
	fragments  map[string]*Fragment
}

// Operations returns the operations in their order. It must not be changed.
func (d *Document) Operations() []Operation {
	if d == nil {
		return nil
	}
	return d.operations
}

// Fragment returns the fragment of a name; nil where there is none, which does
// not happen to a name that the document spreads.
func (d *Document) Fragment(name string) *Fragment { return d.fragments[name] }

// Kind is what an operation does. The zero Kind is none.
type Kind string

// The kinds of operations. A subscription is no kind that can be judged: what
// it asks for goes on happening.
const (
	Query    Kind = "Query"
	Mutation Kind = "Mutation"
)

// Operation is one operation. Its name is empty where it has none.
type Operation struct {
	Kind       Kind
	Name       string
	Variables  []Variable
	Directives []Directive
	Selections []Selection

	declared map[string]*Variable
}

// Variable returns the declaration of a name, nil where there is none.
func (o *Operation) Variable(name string) *Variable { return o.declared[name] }

// Variable is the declaration of a variable. A nil Default is none.
type Variable struct {
	Name       string
	Default    *Value
	Directives []Directive
}

// Fragment is a named fragment on one type.
type Fragment struct {
	Name, On   string
	Directives []Directive
	Selections []Selection
}

// Form is what a selection is. The zero Form is none.
type Form uint8

// The forms of selections.
const (
	Field  Form = iota + 1 // Name is that of the field
	Spread                 // Name is that of a fragment
	Inline                 // On is the type, empty for that of the selection around it
)

// Selection is one entry of a selection set.
type Selection struct {
	Form       Form
	Name       string
	Alias      string // of a field; empty where it has none
	On         string
	Arguments  []Argument
	Directives []Directive
	Selections []Selection
}

// Directive is a directive as it is used.
type Directive struct {
	Name      string
	Arguments []Argument
}

// Argument is a name with its value: an argument or the member of an object.
type Argument struct {
	Name  string
	Value Value
}

// ValueKind is what a value is. The zero ValueKind is none.
type ValueKind uint8

// The kinds of values.
const (
	Reference ValueKind = iota + 1 // Text is the name of a variable
	Int                            // Text is as it was written
	Float                          // Text is as it was written
	String                         // Text is decoded
	Boolean                        // Text is true or false
	Null
	Enum // Text is the name
	List
	Object
)

// Value is a value as it is written in a document.
type Value struct {
	Kind    ValueKind
	Text    string
	Items   []Value    // of a List
	Members []Argument // of an Object
}
