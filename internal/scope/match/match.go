// Package match judges single values: the segments of a capture, the value of
// a query name, header or form field, what stands at a place of a JSON text.
//
// The one algebra of [Matcher] serves them all. Text is read by the rules of
// JSON scalars, so that a number means the same wherever it stands.
package match

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Type is the type a value must have. Text of paths, queries, headers and
// forms is read by the same rules as JSON scalars.
type Type string

// The types of values. The zero Type of a Matcher means that of its set, or
// String, or what Min, Max or MaxItems say; compiling refuses what is not
// listed.
const (
	String  Type = "String"
	Integer Type = "Integer"
	Number  Type = "Number"
	Boolean Type = "Boolean"
	Object  Type = "Object"
	Array   Type = "Array"
	Any     Type = "Any"
)

// Kind is a shape of text that a pattern would express badly.
type Kind string

// The kinds of text.
const (
	Path     Kind = "Path"
	Ref      Kind = "Ref"
	GitOID   Kind = "GitOID"
	DateTime Kind = "DateTime"
	UUID     Kind = "UUID"
)

// A Matcher bounds one value. All given keys must hold. The zero Matcher
// matches nothing, and compiling refuses it.
type Matcher struct {
	Set       *Matcher `json:"set,omitempty"` // the named set, inlined; holds as well
	Equals    *string  `json:"equals,omitempty"`
	In        []string `json:"in,omitempty"`
	Glob      *string  `json:"glob,omitempty"`
	Pattern   *string  `json:"pattern,omitempty"`
	Min       *string  `json:"min,omitempty"` // decimal text, inclusive
	Max       *string  `json:"max,omitempty"`
	MinLength *int     `json:"minLength,omitempty"` // characters
	MaxLength *int     `json:"maxLength,omitempty"`
	MaxItems  *int     `json:"maxItems,omitempty"`
	Type      Type     `json:"type,omitempty"`
	Required  bool     `json:"required,omitempty"`
	Forbidden bool     `json:"forbidden,omitempty"`
	Except    []string `json:"except,omitempty"` // globs
	Kind      Kind     `json:"kind,omitempty"`
	Under     string   `json:"under,omitempty"` // with Kind Path
	FoldASCII bool     `json:"foldASCII,omitempty"`
	Repeated  bool     `json:"repeated,omitempty"`
}

// Report takes what is wrong with a matcher: the field, the value as it was
// given, which is empty where there is none, and an instruction.
type Report func(field, value, msg string)

// Text is a compiled [Matcher] of a text. The zero Text lets everything pass
// and is not to be used. It is safe for concurrent use.
type Text struct {
	set    *Text
	checks []func(string) bool
	// Values are the only ones that can pass; nil: not known.
	Values map[string]struct{}
	// Fold: letter case is not compared, the lower-case spelling is judged.
	// True as well where only the set folds, since one text is forwarded and
	// all parts have to match that one.
	Fold                          bool
	Required, Forbidden, Repeated bool
}

// Match reports whether s passes. It uses scratch for memory alone.
func (t *Text) Match(s string, scratch *[]byte) bool { return t.holds(Spelled(s, t.Fold, scratch)) }

// Spelled returns s as it is compared: with fold in lower case, valid until
// scratch is used again.
func Spelled(s string, fold bool, scratch *[]byte) string {
	if !fold || !text.HasUpper(s) {
		return s
	}
	*scratch = text.AppendLower((*scratch)[:0], s)
	return text.View(*scratch)
}

func (t *Text) holds(s string) bool {
	if t.set != nil && !t.set.holds(s) {
		return false
	}
	for _, check := range t.checks {
		if !check(s) {
			return false
		}
	}
	return true
}

// Unbounded reports whether every text passes.
func (t *Text) Unbounded() bool {
	return len(t.checks) == 0 && (t.set == nil || t.set.Unbounded())
}

// Value is a compiled [Matcher] of a value of a document. The zero Value lets
// nothing pass. It is safe for concurrent use.
type Value struct {
	Text  Text
	kinds kinds
	// MaxItems bounds an array; below 0: no bound.
	MaxItems int
}

// kinds is a set of kinds of JSON values.
type kinds uint8

func kindsOf(of ...json.Kind) kinds {
	var k kinds
	for _, kind := range of {
		k |= 1 << kind
	}
	return k
}

// Takes reports whether a value may be of this kind.
func (v *Value) Takes(k json.Kind) bool { return v.kinds&(1<<k) != 0 }

// Open reports whether every value of any kind passes.
func (v *Value) Open() bool { return v.Takes(json.Null) && v.Text.Unbounded() }

// Match reports whether a scalar of this kind and text passes.
func (v *Value) Match(k json.Kind, s string, scratch *[]byte) bool {
	switch {
	case !v.Takes(k):
		return false
	case k == json.Null:
		return v.Text.Unbounded()
	case v.Text.Unbounded():
		return true
	case k == json.String && strings.IndexByte(s, 0) >= 0:
		return false // some readers end text there, and would see another
	case k == json.Number && v.Takes(json.String) && !isCanonical(s):
		return false
	}
	return v.Text.Match(s, scratch)
}

// isCanonical reports whether a number has the one spelling that its text can
// be compared by.
func isCanonical(s string) bool {
	_, ok := text.ParseDecimal(s)
	return ok && (strings.IndexByte(s, '.') < 0 || s[len(s)-1] != '0')
}
