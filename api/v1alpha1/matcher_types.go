package v1alpha1

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Matcher bounds one value. Every key given must hold, and at least one must
// bound the value: {} and {required: true} are refused, any text is
// {type: String}. Without type, min, max or maxItems the value is text.
type Matcher struct {
	// Name of an entry of sets whose matcher must hold as well.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Set string `json:"set,omitempty"`

	Constraint `json:",inline"`

	// The value must be present.
	// +optional
	Required bool `json:"required,omitempty"`

	// The value must be absent. May stand alone.
	// +optional
	Forbidden bool `json:"forbidden,omitempty"`

	// The query name or form field may occur more than once; every value must match.
	// +optional
	Repeated bool `json:"repeated,omitempty"`
}

// Constraint is the part of a Matcher that speaks of the value alone.
type Constraint struct {
	// The exact value. Numbers and booleans by their canonical spelling, with type.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Equals *string `json:"equals,omitempty"`

	// One of these exact values. Spelling as for equals.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=1024
	In []string `json:"in,omitempty"`

	// * is any run of characters but /, ** as a whole segment is one or more segments. Anchored.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Glob string `json:"glob,omitempty"`

	// RE2 without flags, anchors or \b. Always anchored.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Pattern string `json:"pattern,omitempty"`

	// Least number, inclusive: a plain integer, or any decimal as a string. Implies Integer or Number.
	// +optional
	Min Decimal `json:"min,omitempty"`

	// Greatest number, inclusive: a plain integer, or any decimal as a string. Implies Integer or Number.
	// +optional
	Max Decimal `json:"max,omitempty"`

	// Least length in characters.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=67108864
	MinLength *int32 `json:"minLength,omitempty"`

	// Greatest length in characters.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=67108864
	MaxLength *int32 `json:"maxLength,omitempty"`

	// Greatest number of items. Implies Array.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1048576
	MaxItems *int32 `json:"maxItems,omitempty"`

	// The type the value must have. Object and Array without listed children are empty; null passes under Any alone.
	// +optional
	Type ValueType `json:"type,omitempty"`

	// Globs that are cut out of this matcher, and of nothing else.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Except []string `json:"except,omitempty"`

	// A shape of text: relative Path, git Ref, GitOID, DateTime (RFC 3339), UUID (lower case).
	// +optional
	Kind ValueKind `json:"kind,omitempty"`

	// With kind Path: the folder the path must lie under, such as docs/.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Under string `json:"under,omitempty"`

	// ASCII compares the letters a to z without case. Never Unicode.
	// +optional
	Fold Fold `json:"fold,omitempty"`
}

// NamedSet is an entry of sets: a matcher that others name.
type NamedSet struct {
	// Name by which a matcher's set names this entry.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Name string `json:"name"`

	Constraint `json:",inline"`
}

// ValueType is the type of a value. Text of paths, queries, headers and forms
// is read by the rules of JSON scalars. The zero value leaves the type to the
// other keys of the matcher.
// +kubebuilder:validation:Enum=String;Integer;Number;Boolean;Object;Array;Any
type ValueType string

// The types of values.
const (
	TypeString  ValueType = "String"
	TypeInteger ValueType = "Integer" // within 64 bits, no leading zero, no exponent
	TypeNumber  ValueType = "Number"  // a decimal, no exponent
	TypeBoolean ValueType = "Boolean"
	TypeObject  ValueType = "Object" // empty, unless children are listed
	TypeArray   ValueType = "Array"  // empty, unless children are listed
	TypeAny     ValueType = "Any"    // the only one that null passes
)

// ValueKind is a shape of text that a pattern would express badly.
// +kubebuilder:validation:Enum=Path;Ref;GitOID;DateTime;UUID
type ValueKind string

// The kinds of text.
const (
	KindPath     ValueKind = "Path"     // relative, no empty, dot or dot-dot segment
	KindRef      ValueKind = "Ref"      // as git check-ref-format takes it
	KindGitOID   ValueKind = "GitOID"   // 40 or 64 of 0-9a-f
	KindDateTime ValueKind = "DateTime" // RFC 3339
	KindUUID     ValueKind = "UUID"     // lower case, with dashes
)

// Fold says how letter case is compared. The zero value compares exactly.
// +kubebuilder:validation:Enum=ASCII
type Fold string

// FoldASCII compares the letters a to z without case.
const FoldASCII Fold = "ASCII"

// Decimal is a decimal number as the text that it was written in, of any size
// and precision; the zero value means that none was given. In JSON it is a
// plain integer or a string, so that neither 9007199254740993 nor "0.1" is
// rounded on its way.
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^-?(0|[1-9][0-9]*)([.][0-9]+)?$`
type Decimal string

// plainInteger is what the API server stores without loss as a JSON number.
var plainInteger = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})$`)

// UnmarshalJSON keeps the text of an integer or of a string. It refuses any
// other number, as the schema does: a fraction or an exponent would have been
// rounded by somebody before.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	text := string(data)
	switch {
	case text == "null":
		return nil
	case strings.HasPrefix(text, `"`):
		return json.Unmarshal(data, (*string)(d))
	case strings.Trim(text, "-0123456789") == "":
		*d = Decimal(text)
		return nil
	}
	return fmt.Errorf("reading number %.64s: write a plain integer, or any decimal as a string", text)
}

// MarshalJSON writes an integer of at most 18 digits as a number, all else as
// a string.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if plainInteger.MatchString(string(d)) {
		return []byte(d), nil
	}
	return json.Marshal(string(d))
}
