package body

import (
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

// Object judges an object within a document by what is listed of it, as a
// JSON body is judged by its fields. The zero Object lets nothing pass. It is
// safe for concurrent use.
type Object struct{ root *place }

// CompileObject compiles the matchers of an object's fields, by path, see
// package field. unlisted admits others, but for second spellings of listed
// ones. What is wrong is reported at the given field; a refusal calls a field
// by noun, such as argument, and the object by whole.
func CompileObject(fields map[string]match.Matcher, unlisted bool, at, noun, whole string, report match.Report) *Object {
	t := tree{fields, unlisted, at, words{noun, whole}, report}
	return &Object{t.compile()}
}

// Judge judges v, which is an object, or of no kind where there is none: that
// lacks what is required. b lends memory alone.
func (o *Object) Judge(v json.Value, b *Reading) Refusal {
	switch {
	case o.root == nil:
		return refused("nothing is listed")
	case v.Kind() != json.None && v.Kind() != json.Object:
		return o.root.wrong("must be an object")
	case v.Kind() == json.None && o.root.must:
		return refused("the " + o.root.noun + " " + o.root.firstRequired() + " is required")
	case v.Kind() == json.None:
		return Refusal{}
	}
	return o.root.judge(v, b)
}
