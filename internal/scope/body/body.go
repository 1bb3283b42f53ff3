// Package body judges the body of a request: JSON, forms and multipart forms,
// read once and strictly, held to what a grant lists.
//
// What is not listed is refused, down to the last key. The bytes that were
// judged are the bytes that are sent, so nothing is cleaned up here: a text
// that two readers could read differently is refused.
package body

import (
	"errors"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/form"
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
)

// Refusal says why a body does not pass. The zero Refusal says that it does.
type Refusal struct {
	Reason Reason
	Detail string // what the agent's author can act on; no value of the body
}

// Header is what the header of a request says of the body. The zero Header
// says nothing.
type Header struct {
	media   media.Type
	types   int   // fields of that name
	err     error // of one of them
	codings bool  // there is one
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
		h.codings = h.codings || !text.EqualFold(value, "identity")
	}
}

// A Reading is one body, read once however many grants judge it. It is not
// safe for concurrent use.
type Reading struct {
	data  []byte
	whole bool

	document  json.Document
	form      form.Form
	multipart multipart.Form
	read      [3]bool // of these three
	err       [3]error

	text, lower, key []byte // memory
	seen             []bool
}

var readings = sync.Pool{New: func() any { return &Reading{} }}

// Read returns a Reading of data, which may not change before
// [Reading.Release]. With whole, it is the whole body; else the beginning of
// one that is longer than any grant takes that looks into it.
func Read(data []byte, whole bool) *Reading {
	b := readings.Get().(*Reading)
	b.data, b.whole = data, whole
	return b
}

// Whole reports whether nothing follows what was read.
func (b *Reading) Whole() bool { return b.whole }

// Empty reports whether there is no byte of a body.
func (b *Reading) Empty() bool { return b.whole && len(b.data) == 0 }

// Fits reports whether the body may have at most limit bytes.
func (b *Reading) Fits(limit int64) bool { return int64(len(b.data)) <= limit }

// Release lets go of the body. b must not be used any more.
func (b *Reading) Release() {
	b.document.Reset()
	b.form.Reset()
	b.multipart.Reset()
	b.data, b.read, b.err = nil, [3]bool{}, [3]error{}
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
		return b.once(0, func() error { return b.document.Parse(b.data) })
	case Form:
		return b.once(1, func() error { return b.form.Parse(b.data) })
	}
	return b.once(2, func() error { return b.multipart.Parse(b.data, boundary) })
}

// Body is a compiled [Spec]. The zero Body lets nothing pass. It is safe for
// concurrent use.
type Body struct {
	// Spec is what was compiled.
	Spec Spec
	// suffixed says that the grant lists the Content-Type, so that other types
	// of JSON may pass.
	suffixed bool
	judge    judge
}

// judge holds a body that was read to what is listed.
type judge interface {
	judge(b *Reading) Refusal
	// missing names what a request without a body lacks; empty: nothing.
	missing() string
}

// Opaque reports whether the body is not looked at.
func (b *Body) Opaque() bool { return b.Spec.Media == Opaque }

// Absent judges a request without a body, or with an empty one.
func (b *Body) Absent() Refusal {
	if b.judge == nil {
		return Refusal{}
	}
	if name := b.judge.missing(); name != "" {
		return Refusal{Refused, "the body " + name + " is required"}
	}
	return Refusal{}
}

// Header judges what the header says of a body.
func (b *Body) Header(h *Header) Refusal {
	switch {
	case b.Opaque():
		return Refusal{}
	case errors.Is(h.err, media.ErrTwice):
		return Refusal{Malformed, h.err.Error()}
	case h.types != 1 || h.err != nil:
		return Refusal{WrongMedia, "send one Content-Type, and a well-formed one"}
	case h.codings:
		return Refusal{WrongMedia, "send the body without Content-Encoding: what cannot be read cannot be judged"}
	case !b.takes(h.media):
		return Refusal{WrongMedia, "send the body as " + mediaNames[b.Spec.Media] + " in UTF-8"}
	}
	return Refusal{}
}

// mediaNames are the media types by what they are read as.
var mediaNames = map[Media]string{
	JSON: "application/json", Form: "application/x-www-form-urlencoded", Multipart: "multipart/form-data",
}

func (b *Body) takes(t media.Type) bool {
	multipart := b.Spec.Media == Multipart
	named := t.Is(mediaNames[b.Spec.Media])
	if b.Spec.Media == JSON {
		named = t.IsJSON(b.suffixed)
	}
	return named && t.IsUTF8() && (!t.More || b.suffixed) && multipart == (t.Boundary != "")
}

// Judge judges a body whose header passes.
func (b *Body) Judge(h *Header, r *Reading) Refusal {
	switch {
	case !r.Fits(b.Spec.MaxBytes) || !r.whole && !b.Opaque():
		return Refusal{TooLarge, "the body is larger than a grant allows"}
	case b.Opaque():
		return Refusal{}
	case r.Empty():
		return b.Absent()
	case b.judge == nil:
		return Refusal{Refused, "the grant allows no body"}
	}
	if err := r.parse(b.Spec.Media, h.media.Boundary); err != nil {
		return Refusal{Malformed, err.Error()}
	}
	return b.judge.judge(r)
}
