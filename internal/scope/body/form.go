package body

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/form"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/media"
	"github.com/sallyport-dev/sallyport/internal/scope/multipart"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// fields are the listed names of a form.
type fields struct {
	named            []named
	at               map[string]int // in named
	unlisted         bool
	listed, reserved form.Names
}

type named struct {
	name string
	is   *match.Text
}

func (f *fields) Missing() string {
	for i := range f.named {
		if f.named[i].is.Required {
			return "field " + f.named[i].name
		}
	}
	return ""
}

func (f *fields) Judge(b *Reading) Refusal {
	b.seen = append(b.seen[:0], make([]bool, len(f.named))...)
	for i := range b.form.Pairs {
		if why := f.pair(&b.form.Pairs[i], b); why.Reason != Passes {
			return why
		}
	}
	for i := range f.named {
		if f.named[i].is.Required && !b.seen[i] {
			return refused("the body field " + shown(f.named[i].name) + " is required")
		}
	}
	return Refusal{}
}

// pair judges one pair, behind those before it.
func (f *fields) pair(pair *form.Pair, b *Reading) Refusal {
	at, found := f.at[pair.Name]
	if !found {
		return unlisted("field", pair.Name, f.unlisted, &f.listed, &f.reserved, b)
	}
	is, again := f.named[at].is, b.seen[at]
	b.seen[at] = true
	switch {
	case is.Forbidden || !is.Match(pair.Value, &b.lower):
		return refused("the value of the body field " + shown(pair.Name) + " is not allowed")
	case again && !is.Repeated:
		return refused("the body field " + shown(pair.Name) + " occurs more than once")
	}
	return Refusal{}
}

// unlisted judges a name that is not listed.
func unlisted(what, name string, allowed bool, listed, reserved *form.Names, b *Reading) Refusal {
	switch {
	case !allowed:
		return refused("the body " + what + " " + shown(name) + " is not listed")
	case reserved.HasSpelling(name, &b.key):
		return refused("the body " + what + " " + shown(name) + " is reserved")
	case listed.HasSpelling(name, &b.key):
		return refused("the body " + what + " " + shown(name) + " is another spelling of a listed one")
	}
	return Refusal{}
}

// shown returns a name cut to what fits into a message.
func shown(name string) string {
	const most = 64
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "..."
	}
	return strings.Clone(name) // it may be a view, which a message outlives
}

// parts are the listed parts of a multipart form.
type parts struct {
	named            map[string]*part
	required         []string
	unlisted         bool
	listed, reserved form.Names
}

// part is a compiled [Part].
type part struct {
	value, filename *match.Text // nil: any value; no file name
	media           []string
	maxBytes        int64 // 0: none of its own
}

func (p *parts) Missing() string {
	if len(p.required) == 0 {
		return ""
	}
	return "part " + p.required[0]
}

func (p *parts) Judge(b *Reading) Refusal {
	for i := range b.multipart.Parts {
		got := &b.multipart.Parts[i]
		listed := p.named[got.Name]
		if listed == nil {
			if why := unlisted("part", got.Name, p.unlisted, &p.listed, &p.reserved, b); why.Reason != Passes {
				return why
			}
			continue
		}
		if what := listed.refuses(got, b); what != "" {
			return refused("the " + what + " of the body part " + shown(got.Name) + " is not allowed")
		}
	}
	for _, name := range p.required {
		if !slices.ContainsFunc(b.multipart.Parts, func(got multipart.Part) bool { return got.Name == name }) {
			return refused("the body part " + shown(name) + " is required")
		}
	}
	return Refusal{}
}

// refuses names what of a part does not pass; empty: nothing.
func (p *part) refuses(got *multipart.Part, b *Reading) string {
	value := text.View(got.Body)
	switch {
	case !p.named(got, b):
		return "file name"
	case !p.takes(got.Media):
		return "Content-Type"
	case p.maxBytes > 0 && int64(len(got.Body)) > p.maxBytes:
		return "size"
	case p.value != nil && (!utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 || !p.value.Match(value, &b.lower)):
		return "value"
	}
	return ""
}

// named judges the file name of a part.
func (p *part) named(got *multipart.Part, b *Reading) bool {
	if !got.HasFilename {
		return p.filename == nil || !p.filename.Required
	}
	return p.filename != nil && !p.filename.Forbidden && p.filename.Match(got.Filename, &b.lower)
}

// takes judges the Content-Type of a part. Without one it is text/plain to
// every reader (RFC 7578, 4.4).
func (p *part) takes(contentType string) bool {
	switch {
	case len(p.media) == 0:
		return contentType == ""
	case contentType == "":
		contentType = "text/plain"
	}
	t, err := media.Parse(contentType)
	return err == nil && t.IsUTF8() && t.Boundary == "" && !t.More && slices.ContainsFunc(p.media, t.Is)
}
