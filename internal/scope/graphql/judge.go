package graphql

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
)

// request is one request while it is judged.
type request struct {
	judge     *judge
	document  *syntax.Document
	variables json.Value
	operation *syntax.Operation // the one that is looked at

	selections, aliases int
	text                []byte
	written             int64 // bytes of arguments so far
	tooMuch             bool
}

// maxNesting bounds how deep fragments may nest: they do not count as depth.
const maxNesting = 256

// all judges every operation. It returns why one does not pass.
func (q *request) all() (detail string, refused bool) {
	operations := q.document.Operations()
	if len(operations) == 0 || len(operations) > q.judge.limits.Operations {
		return "send fewer operations in one document", true
	}
	for i := range operations {
		o := &operations[i]
		root, granted := q.judge.roots[o.Kind]
		if !granted || root == "" {
			return "no grant lists operations of the kind " + string(o.Kind), true
		}
		q.operation = o
		if detail, refused = q.set(o.Selections, root, 1, 0); refused {
			return detail, true
		}
	}
	return "", false
}

// set judges selections on a type. depth counts fields, nesting what else they
// stand in.
func (q *request) set(selections []syntax.Selection, on string, depth, nesting int) (detail string, refused bool) {
	if depth > q.judge.limits.Depth || nesting > maxNesting {
		return "nest the selections less deep", true
	}
	for i := range selections {
		s := &selections[i]
		if q.selections++; q.selections > q.judge.limits.Selections {
			return "select less in one document: there are too many selections", true
		}
		switch s.Form {
		case syntax.Field:
			detail, refused = q.field(s, on, depth)
		case syntax.Inline:
			detail, refused = q.set(s.Selections, condition(s.On, on), depth, nesting+1)
		case syntax.Spread:
			f := q.document.Fragment(s.Name)
			detail, refused = q.set(f.Selections, f.On, depth, nesting+1)
		default:
			detail, refused = "select fields and fragments alone", true
		}
		if refused {
			return detail, true
		}
	}
	return "", false
}

// condition is the type on which an inline fragment selects.
func condition(of, around string) string {
	if of == "" {
		return around
	}
	return of
}

// field judges one field on a type.
func (q *request) field(s *syntax.Selection, on string, depth int) (detail string, refused bool) {
	if s.Alias != "" {
		if q.aliases++; q.aliases > q.judge.limits.Aliases {
			return "use fewer aliases in one document", true
		}
	}
	if s.Name == "__typename" {
		if len(s.Arguments) > 0 || len(s.Selections) > 0 {
			return "select __typename without arguments", true
		}
		return "", false
	}
	if q.introspects(s.Name, on) {
		if len(s.Selections) == 0 {
			return "", false
		}
		return q.set(s.Selections, introspected, depth+1, 0)
	}
	f := q.judge.types[on][s.Name]
	if f == nil {
		return "no grant lists the field " + syntax.Shown(on) + "." + syntax.Shown(s.Name), true
	}
	if (f.typ == "") != (len(s.Selections) == 0) {
		return "select fields of what has some, and of nothing else, at " + f.at, true
	}
	if detail, refused = q.arguments(f, s.Arguments); refused || f.typ == "" {
		return detail, refused
	}
	return q.set(s.Selections, f.typ, depth+1, 0)
}

// introspected is any type of the schema's description. Its name has the
// prefix that is reserved for those.
const introspected = "__"

// introspects reports whether a field is about the schema, and that may be
// asked for.
func (q *request) introspects(name, on string) bool {
	switch {
	case q.judge.introspection == "":
		return false
	case on == q.judge.introspection:
		return name == "__schema" || name == "__type"
	}
	return strings.HasPrefix(on, introspected)
}
