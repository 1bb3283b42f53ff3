package graphql

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
)

// Arguments are judged by what judges the fields of a JSON body. They are
// written as one object for that, with the variables of the request in the
// place of their names, so that there is one algebra and one reading.

// renamed is a field of body as the author of a grant knows it.
func renamed(at string) string {
	if path, found := strings.CutPrefix(at, "body.fields."); found {
		return "args." + path
	}
	return "args"
}

// arguments judges those of one field.
func (q *request) arguments(f *field, given []syntax.Argument) (detail string, refused bool) {
	if len(f.args) == 0 {
		return "", false
	}
	q.text = q.object(q.text[:0], given)
	if q.written += int64(len(q.text)); q.tooMuch || q.written > q.judge.most {
		return "use fewer or smaller variables: they are repeated too often", true
	}
	reading := body.Read(body.Content{Data: q.text, Whole: true}, nil)
	defer reading.Release()
	for _, one := range f.args {
		if why := one.Judge(&body.Header{}, reading); why.Reason != body.Passes {
			return told(f, &why), true
		}
	}
	return "", false
}

// told is why the arguments of a field do not pass.
func told(f *field, why *body.Refusal) string {
	if rest, found := strings.CutPrefix(why.Detail, "the body field "); found {
		return "the argument " + rest + ", of " + f.at
	}
	return "the arguments of " + f.at + " cannot be judged: " + strings.Replace(why.Detail, "the body", "the object of them", 1)
}

// object appends arguments as an object of JSON. A variable that is not given
// and has no default leaves out what it stands for, as it does on the server.
func (q *request) object(dst []byte, members []syntax.Argument) []byte {
	dst = append(dst, '{')
	first := true
	for i := range members {
		m := &members[i]
		value, given := q.resolve(&m.Value)
		if !given {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendString(dst, m.Name), ':')
		dst = q.value(dst, value)
	}
	return append(dst, '}')
}

// resolved is a literal, or the value of a variable.
type resolved struct {
	literal  *syntax.Value
	variable json.Value
}

// resolve returns what a value stands for, and whether it stands for anything.
func (q *request) resolve(v *syntax.Value) (resolved, bool) {
	if v.Kind != syntax.Reference {
		return resolved{literal: v}, true
	}
	if given := q.variables.Member(v.Text); given.Kind() != json.None {
		return resolved{variable: given}, true
	}
	declared := q.operation.Variable(v.Text)
	if declared == nil || declared.Default == nil {
		return resolved{}, false
	}
	return resolved{literal: declared.Default}, true
}

// value appends a value as JSON. What is larger than may be looked at is left
// out, and refused for it.
func (q *request) value(dst []byte, r resolved) []byte {
	if q.written+int64(len(dst)) > q.judge.most {
		q.tooMuch = true
	}
	if q.tooMuch {
		return append(dst, "null"...)
	}
	if r.literal == nil {
		return append(dst, r.variable.Raw()...)
	}
	switch v := r.literal; v.Kind {
	case syntax.String, syntax.Enum:
		return appendString(dst, v.Text)
	case syntax.Int, syntax.Float, syntax.Boolean:
		return append(dst, v.Text...)
	case syntax.List:
		return q.list(dst, v.Items)
	case syntax.Object:
		return q.object(dst, v.Members)
	}
	return append(dst, "null"...)
}

// list appends a list. In one, a variable that is not given is null.
func (q *request) list(dst []byte, items []syntax.Value) []byte {
	dst = append(dst, '[')
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		value, given := q.resolve(&items[i])
		if !given {
			dst = append(dst, "null"...)
			continue
		}
		dst = q.value(dst, value)
	}
	return append(dst, ']')
}

// appendString appends text as a string of JSON.
func appendString(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
