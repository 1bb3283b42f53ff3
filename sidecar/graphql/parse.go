package graphql

import (
	"errors"
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
)

// maxTokens bounds a document, comments included. It is far above what clients
// send, and bounds the memory that a hostile one takes.
const maxTokens = 20000

// parse reads a document. The error says what to write instead, and quotes
// nothing of it but names.
func parse(text string) (*syntax.Document, error) {
	if err := strict(text); err != nil {
		return nil, err
	}
	read, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, maxTokens)
	if err != nil {
		return nil, unread(err)
	}
	var operations []syntax.Operation
	for _, o := range read.Operations {
		operations = append(operations, operation(o))
	}
	var fragments []syntax.Fragment
	for _, f := range read.Fragments {
		if len(f.VariableDefinition) > 0 {
			return nil, errors.New("declare variables at operations, not at fragments")
		}
		fragments = append(fragments, syntax.Fragment{
			Name: f.Name, On: f.TypeCondition, Directives: directives(f.Directives), Selections: selections(f.SelectionSet),
		})
	}
	return syntax.New(operations, fragments)
}

// unread says where a document could not be read. The parser's own words quote
// the document.
func unread(err error) error {
	at := (*gqlerror.Error)(nil)
	if errors.As(err, &at) && len(at.Locations) > 0 {
		return fmt.Errorf("write the document in GraphQL's syntax: it cannot be read at line %d, column %d", at.Locations[0].Line, at.Locations[0].Column)
	}
	return fmt.Errorf("write the document in GraphQL's syntax, with at most %d tokens", maxTokens)
}

// kinds are those of operations. What is not here is none.
var kinds = map[ast.Operation]syntax.Kind{ast.Query: syntax.Query, ast.Mutation: syntax.Mutation}

func operation(o *ast.OperationDefinition) syntax.Operation {
	out := syntax.Operation{
		Kind: kinds[o.Operation], Name: o.Name, Directives: directives(o.Directives), Selections: selections(o.SelectionSet),
	}
	for _, v := range o.VariableDefinitions {
		variable := syntax.Variable{Name: v.Variable, Directives: directives(v.Directives)}
		if v.DefaultValue != nil {
			otherwise := value(v.DefaultValue)
			variable.Default = &otherwise
		}
		out.Variables = append(out.Variables, variable)
	}
	return out
}

func selections(set ast.SelectionSet) []syntax.Selection {
	var out []syntax.Selection
	for _, one := range set {
		out = append(out, selection(one))
	}
	return out
}

func selection(one ast.Selection) syntax.Selection {
	switch s := one.(type) {
	case *ast.Field:
		out := syntax.Selection{
			Form: syntax.Field, Name: s.Name, Arguments: arguments(s.Arguments),
			Directives: directives(s.Directives), Selections: selections(s.SelectionSet),
		}
		if s.Alias != s.Name {
			out.Alias = s.Alias
		}
		return out
	case *ast.FragmentSpread:
		return syntax.Selection{Form: syntax.Spread, Name: s.Name, Directives: directives(s.Directives)}
	case *ast.InlineFragment:
		return syntax.Selection{Form: syntax.Inline, On: s.TypeCondition, Directives: directives(s.Directives), Selections: selections(s.SelectionSet)}
	}
	return syntax.Selection{}
}

func directives(list ast.DirectiveList) []syntax.Directive {
	var out []syntax.Directive
	for _, d := range list {
		out = append(out, syntax.Directive{Name: d.Name, Arguments: arguments(d.Arguments)})
	}
	return out
}

func arguments(list ast.ArgumentList) []syntax.Argument {
	var out []syntax.Argument
	for _, a := range list {
		out = append(out, syntax.Argument{Name: a.Name, Value: value(a.Value)})
	}
	return out
}

// valueKinds are the kinds of values. What is not here is none.
var valueKinds = map[ast.ValueKind]syntax.ValueKind{
	ast.Variable: syntax.Reference, ast.IntValue: syntax.Int, ast.FloatValue: syntax.Float, ast.StringValue: syntax.String,
	ast.BlockValue: syntax.String, ast.BooleanValue: syntax.Boolean, ast.NullValue: syntax.Null, ast.EnumValue: syntax.Enum,
	ast.ListValue: syntax.List, ast.ObjectValue: syntax.Object,
}

func value(v *ast.Value) syntax.Value {
	if v == nil {
		return syntax.Value{}
	}
	out := syntax.Value{Kind: valueKinds[v.Kind], Text: v.Raw}
	for _, child := range v.Children {
		if v.Kind == ast.ListValue {
			out.Items = append(out.Items, value(child.Value))
		} else {
			out.Members = append(out.Members, syntax.Argument{Name: child.Name, Value: value(child.Value)})
		}
	}
	return out
}
