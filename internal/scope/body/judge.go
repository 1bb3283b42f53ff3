package body

import (
	"errors"

	"github.com/sallyport-dev/sallyport/internal/scope/media"
)

// A Judge holds a body that was read to what is listed.
type Judge interface {
	// Judge is asked about a body of the right media type that is not too
	// large. A refusal with reason [More] asks for more of it to be read.
	Judge(b *Reading) Refusal
	// Missing names what a request without a body lacks; empty: nothing.
	Missing() string
}

// raw is a body that no [Media] describes.
type raw struct {
	mediaType string
	gzip      bool
	read      int64
}

// OfJSON returns the Body of JSON documents of at most maxBytes that j lets
// pass.
func OfJSON(maxBytes int64, j Judge) *Body {
	return &Body{Spec: Spec{Media: JSON, MaxBytes: maxBytes}, judge: j}
}

// OfType returns the Body of at most maxBytes of one media type that j lets
// pass, by read bytes of its beginning or by more. With gzip it may have that
// coding, which is for j to read.
func OfType(mediaType string, gzip bool, read, maxBytes int64, j Judge) *Body {
	return &Body{Spec: Spec{MaxBytes: maxBytes}, judge: j, raw: &raw{mediaType, gzip, read}}
}

// Needs is how many bytes of a body are to be read to begin with.
func (b *Body) Needs() int64 {
	if b.raw != nil {
		return min(b.raw.read, b.Spec.MaxBytes)
	}
	return b.Spec.MaxBytes
}

func refused(detail string) Refusal { return Refusal{Reason: Refused, Detail: detail} }

// Header judges what the header says of a body.
func (b *Body) Header(h *Header) Refusal {
	wrong := func(detail string) Refusal { return Refusal{Reason: WrongMedia, Detail: detail} }
	switch {
	case b.Opaque():
		return Refusal{}
	case errors.Is(h.err, media.ErrTwice):
		return Refusal{Reason: Malformed, Detail: h.err.Error()}
	case h.types != 1 || h.err != nil:
		return wrong("send one Content-Type, and a well-formed one")
	case !b.reads(h):
		return wrong("send the body without Content-Encoding: what cannot be read cannot be judged")
	case !b.takes(h.media):
		return wrong("send the body as " + b.mediaName())
	}
	return Refusal{}
}

// reads tells whether a body with these codings can be read.
func (b *Body) reads(h *Header) bool {
	return h.codings == 0 || h.codings == 1 && h.gzip && b.raw != nil && b.raw.gzip
}

// mediaNames are the media types by what they are read as.
var mediaNames = map[Media]string{
	JSON: "application/json", Form: "application/x-www-form-urlencoded", Multipart: "multipart/form-data",
}

func (b *Body) mediaName() string {
	if b.raw != nil {
		return b.raw.mediaType
	}
	return mediaNames[b.Spec.Media] + " in UTF-8"
}

func (b *Body) takes(t media.Type) bool {
	if b.raw != nil {
		return t.Is(b.raw.mediaType) && t.IsUTF8() && !t.More && t.Boundary == ""
	}
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
	case !r.Fits(b.Spec.MaxBytes) || !r.Whole() && !b.Opaque() && b.raw == nil:
		return Refusal{Reason: TooLarge, Detail: "the body is larger than a grant allows"}
	case b.Opaque():
		return Refusal{}
	case r.Empty():
		return b.Absent()
	case b.judge == nil:
		return refused("the grant allows no body")
	case b.raw != nil:
		return b.judge.Judge(r)
	}
	if err := r.parse(b.Spec.Media, h.media.Boundary); err != nil {
		return Refusal{Reason: Malformed, Detail: err.Error()}
	}
	return b.judge.Judge(r)
}

// Message judges a message that follows a request. A nil Body allows none.
func (b *Body) Message(r *Reading) Refusal {
	switch {
	case b == nil:
		return refused("the grant allows no message")
	case r.content.Binary && !b.Opaque():
		return refused("send the message as text: a binary one is not read as JSON")
	case r.Empty() && !b.Opaque():
		return refused("an empty message is none that the grant lists")
	}
	return b.Judge(&Header{}, r)
}
