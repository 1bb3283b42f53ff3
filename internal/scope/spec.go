package scope

import "fmt"

// This file is the scope language in resolved form: sets are inlined, the
// profile's equivalences applied, defaults written out. It is what
// internal/compile produces, internal/bundle carries and [Compile] reads.
// The language itself is defined in the API reference; the field names here
// follow it.

// A Grant allows the requests of one endpoint that match every one of its
// fields. A field left out is never a wildcard, but for Where.
type Grant struct {
	Name     string             `json:"name"`
	Endpoint string             `json:"endpoint"`
	HTTP     *HTTP              `json:"http,omitempty"`
	Where    map[string]Matcher `json:"where,omitempty"`
	Query    Query              `json:"query"`
	Headers  map[string]Matcher `json:"headers,omitempty"` // keys in canonical MIME form
	Body     *Body              `json:"body,omitempty"`    // nil: a request with a body is refused
}

// HTTP lists methods and path templates; a request must have one of each.
type HTTP struct {
	Methods []string `json:"methods"`
	Paths   []string `json:"paths"` // templates, see [ParsePath]
}

// Query constrains the query. The zero value allows no query at all.
type Query struct {
	UnlistedAllow bool               `json:"unlistedAllow,omitempty"`
	Params        map[string]Matcher `json:"params,omitempty"`
}

// Media says how a body is read.
type Media string

// Opaque bodies are bounded and otherwise not looked at.
const Opaque Media = "Opaque"

// Body constrains the body of a request.
type Body struct {
	Media    Media `json:"media"`
	MaxBytes int64 `json:"maxBytes"`
}

// Type is the type a value must have. Text of paths, queries, headers and
// forms is read by the same rules as JSON scalars.
type Type string

// The types of values. The zero Type of a Matcher means String, or Integer or
// Number where Min or Max say so; [Compile] refuses what is not listed.
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
// matches nothing, and [Compile] refuses it.
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

// Profile is what an upstream family does with a request: equivalences that
// have one canonical spelling, refusals, and headers that go upstream. It
// never widens a scope. The zero Profile is the strict one.
type Profile struct {
	// SlashInTail lets %2F stand in the segments of a tail capture, where it
	// means and is forwarded as a slash.
	SlashInTail bool `json:"slashInTail,omitempty"`
	// FoldPaths are path prefixes such as /repos/{owner}/{repo}: what stands
	// at their captures is compared without regard to the case of ASCII
	// letters and forwarded in lower case.
	FoldPaths []string `json:"foldPaths,omitempty"`
	// RefuseHeaders are refused besides those every profile refuses.
	RefuseHeaders []string `json:"refuseHeaders,omitempty"`
	// ReserveQuery are query names refused under UnlistedAllow unless listed,
	// besides those every profile reserves.
	ReserveQuery []string `json:"reserveQuery,omitempty"`
	// ForwardHeaders are ordinary request headers of this API that go
	// upstream besides those every profile forwards.
	ForwardHeaders []string `json:"forwardHeaders,omitempty"`
}

// A SpecError says which field of a grant cannot be enforced, and what to do.
type SpecError struct {
	Field string // such as where.repo.glob
	Value string // as it was given; empty where there is none
	Msg   string // an instruction
}

// Error returns field, value and message.
func (e *SpecError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Msg)
	}
	return fmt.Sprintf("%s: %q: %s", e.Field, e.Value, e.Msg)
}

// problems collects what is wrong with a grant.
type problems struct {
	prefix string
	found  []*SpecError
}

func (p *problems) add(field, value, msg string) {
	p.found = append(p.found, &SpecError{Field: p.prefix + field, Value: value, Msg: msg})
}
