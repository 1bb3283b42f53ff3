// Package body judges the body of a request: JSON, forms and multipart forms,
// read once and strictly, held to what a grant lists.
//
// What is not listed is refused, down to the last key. The bytes that were
// judged are the bytes that are sent, so nothing is cleaned up here: a text
// that two readers could read differently is refused.
package body

import (
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/form"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/media"
	"github.com/sallyport-dev/sallyport/internal/scope/multipart"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Media says how a body is read.
type Media string

// The ways to read a body. Opaque bodies are bounded and otherwise not looked
// at.
const (
	JSON      Media = "JSON"
	Form      Media = "Form"
	Multipart Media = "Multipart"
	Opaque    Media = "Opaque"
)

// Spec constrains the body of a request. The zero Spec is refused when it is
// compiled.
type Spec struct {
	Media    Media `json:"media"`
	MaxBytes int64 `json:"maxBytes"`
	// UnlistedAllow admits fields or parts that are not listed, but for second
	// spellings of listed ones.
	UnlistedAllow bool                     `json:"unlistedAllow,omitempty"`
	Fields        map[string]match.Matcher `json:"fields,omitempty"` // by path, see package field; of a Form by name
	Parts         map[string]Part          `json:"parts,omitempty"`  // of Multipart, by name
}

// Part constrains one part. The zero Part may hold any bytes, and has neither
// file name nor Content-Type.
type Part struct {
	Required bool           `json:"required,omitempty"`
	Value    *match.Matcher `json:"value,omitempty"`
	Filename *match.Matcher `json:"filename,omitempty"`
	Media    []string       `json:"media,omitempty"`
	MaxBytes int64          `json:"maxBytes,omitempty"` // 0: as the body
}

// Reason is why a body does not pass. The zero Reason is none.
type Reason uint8

// The reasons, by how far the judge got.
const (
	Passes     Reason = iota
	WrongMedia        // of another media type or character set, or with a coding
	TooLarge
	Malformed
	Refused // read, and not allowed
	More    // not read far enough to tell
)

// Refusal says why a body does not pass. The zero Refusal says that it does.
type Refusal struct {
	Reason Reason
	Detail string // what the agent's author can act on; no value of the body
	Read   int64  // with More: how many bytes of the body to judge it by
}

// Header is what the header of a request says of the body. The zero Header
// says nothing.
type Header struct {
	media   media.Type
	types   int   // fields of that name
	err     error // of one of them
	codings int   // that are not identity
	gzip    bool  // the last of them
}

// Add takes note of a header field, if it is about the body.
func (h *Header) Add(name, value string) {
	switch {
	case text.EqualFold(name, "Content-Type"):
		var err error
		if h.media, err = media.Parse(value); err != nil {
			h.err = err
		}
		h.types++
	case text.EqualFold(name, "Content-Encoding"):
		h.gzip = text.EqualFold(value, "gzip")
		if !text.EqualFold(value, "identity") {
			h.codings++
		}
	}
}

// Field is one header field as it was read. Names are compared without regard
// to case.
type Field struct{ Name, Value string }

// Content is the body of a request, as far as it was read.
type Content struct {
	Data []byte
	// Whole says that Data is all of it; else it is the beginning.
	Whole bool
	// Binary says that it is a message that does not call itself text.
	Binary bool
	// GraphQL reads the text of a GraphQL document, of which it keeps no view.
	// Nil: such documents are not read, and refused.
	GraphQL func(text string) (*syntax.Document, error)
}

// A Reading is one body, read once however many grants judge it. It is not
// safe for concurrent use.
type Reading struct {
	content Content
	fields  []Field
	message bool

	document  json.Document
	form      form.Form
	multipart multipart.Form
	read      [3]bool // of these three
	err       [3]error

	text, lower, key []byte // memory
	seen             []bool
}

var readings = sync.Pool{New: func() any { return &Reading{} }}

// Read returns a Reading of c, with the header fields of its request. None of
// them may change before [Reading.Release].
func Read(c Content, fields []Field) *Reading {
	b := readings.Get().(*Reading)
	b.content, b.fields = c, fields
	return b
}

// ReadMessage is [Read] for a message that follows a request.
func ReadMessage(c Content) *Reading {
	b := Read(c, nil)
	b.message = true
	return b
}

// IsMessage reports whether this is a message that follows a request.
func (b *Reading) IsMessage() bool { return b.message }

// Content returns what was read.
func (b *Reading) Content() Content { return b.content }

// Fields returns the header fields of the request.
func (b *Reading) Fields() []Field { return b.fields }

// Document returns the body as JSON. A [Judge] of JSON bodies is asked about
// those alone that are well-formed.
func (b *Reading) Document() *json.Document { return &b.document }

// Whole reports whether nothing follows what was read.
func (b *Reading) Whole() bool { return b.content.Whole }

// Empty reports whether there is no byte of a body.
func (b *Reading) Empty() bool { return b.content.Whole && len(b.content.Data) == 0 }

// Fits reports whether the body may have at most limit bytes.
func (b *Reading) Fits(limit int64) bool { return int64(len(b.content.Data)) <= limit }

// Release lets go of the body. b must not be used any more.
func (b *Reading) Release() {
	b.document.Reset()
	b.form.Reset()
	b.multipart.Reset()
	b.content, b.fields, b.message, b.read, b.err = Content{}, nil, false, [3]bool{}, [3]error{}
	readings.Put(b)
}

// once reads the body in one of the three ways, the first time that it is
// asked for.
func (b *Reading) once(way int, read func() error) error {
	if !b.read[way] {
		b.read[way], b.err[way] = true, read()
	}
	return b.err[way]
}

func (b *Reading) parse(as Media, boundary string) error {
	switch as {
	case JSON:
		return b.once(0, func() error { return b.document.Parse(b.content.Data) })
	case Form:
		return b.once(1, func() error { return b.form.Parse(b.content.Data) })
	}
	return b.once(2, func() error { return b.multipart.Parse(b.content.Data, boundary) })
}

// Body is a compiled [Spec]. The zero Body lets nothing pass. It is safe for
// concurrent use.
type Body struct {
	// Spec is what was compiled.
	Spec Spec
	// suffixed says that the grant lists the Content-Type, so that other types
	// of JSON may pass.
	suffixed bool
	judge    Judge
	raw      *raw // nil: of a Media
}

// Opaque reports whether the body is not looked at.
func (b *Body) Opaque() bool { return b.Spec.Media == Opaque }

// Absent judges a request without a body, or with an empty one.
func (b *Body) Absent() Refusal {
	if b.judge == nil {
		return Refusal{}
	}
	if name := b.judge.Missing(); name != "" {
		return refused("the body " + name + " is required")
	}
	return Refusal{}
}
