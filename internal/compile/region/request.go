package region

import (
	"fmt"
	"math"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/media"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Bounds of the bodies that are shown and of those that there are.
const (
	maxBody = 4 << 20
	maxSize = math.MaxInt64
)

// A Request is one that proves a point: it was found to be in some set.
type Request struct {
	Endpoint string
	Method   string
	Path     lang.Word
	Query    []Param
	Fields   []scope.Field
	// Size is the length of the body in bytes, 0 where there is none. Body is
	// empty where nobody looks into it: it may be any bytes then.
	Size int64
	Body string
	// Often and Answer say, where the request alone makes no difference, how
	// often it is sent and what is seen of the answer.
	Often, Answer string

	shown shown // what the body is made of
}

// Param is one pair of a query.
type Param struct {
	Name  string
	Value lang.Word
}

// shown is what a body is made of.
type shown struct {
	media       scope.Media // empty: there is none
	least, most int64
	document    string
	form        []Param
	parts       []shownPart
}

type shownPart struct{ name, body, filename, media string }

// add adds a name with a value.
func (r *Request) add(at value.Place, name string, v lang.Word) {
	switch at {
	case value.Form:
		r.shown.form = append(r.shown.form, Param{name, v})
	case value.Part:
		r.shown.parts = append(r.shown.parts, shownPart{name: name, body: v.String()})
	default:
		r.Query = append(r.Query, Param{name, v})
	}
}

// compose writes the body, and reports whether it has a length that it may
// have.
func (r *Request) compose() bool {
	r.Body = ""
	switch r.shown.media {
	case scope.Opaque:
		r.Size = r.shown.least // of a's, which are nothing that somebody could read
		return true
	case scope.JSON:
		r.Body = r.shown.document
		if more := r.shown.least - int64(len(r.Body)); 0 < more && more < maxBody {
			r.Body += strings.Repeat(" ", int(more))
		}
	case scope.Form:
		r.Body = r.form()
	case scope.Multipart:
		r.Body = r.multipart()
	}
	r.Size = int64(len(r.Body))
	return r.shown.least <= r.Size && r.Size <= r.shown.most
}

func (r *Request) form() string {
	var pairs []string
	for _, p := range r.shown.form {
		pairs = append(pairs, escaped(p.Name, unreserved)+"="+escaped(p.Value.String(), unreserved))
	}
	return strings.Join(pairs, "&")
}

// multipart writes the parts with the boundary that the Content-Type names.
func (r *Request) multipart() string {
	boundary := ""
	for _, f := range r.Fields {
		if t, err := media.Parse(f.Value); err == nil && text.EqualFold(f.Name, "Content-Type") {
			boundary = t.Boundary
		}
	}
	var out strings.Builder
	for _, p := range r.shown.parts {
		fmt.Fprintf(&out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, p.name)
		if p.filename != "" {
			fmt.Fprintf(&out, "; filename=\"%s\"", p.filename)
		}
		if p.media != "" {
			out.WriteString("\r\nContent-Type: " + p.media)
		}
		out.WriteString("\r\n\r\n" + p.body + "\r\n")
	}
	return out.String() + "--" + boundary + "--"
}

// Head is r as a reader would hand it over.
func (r *Request) Head() scope.Head {
	return scope.Head{Method: r.Method, Target: r.Target(), Fields: r.Fields, HasBody: r.Size > 0}
}

// Content returns up to so many bytes of the body.
func (r *Request) Content(most int64) []byte {
	if r.Body == "" {
		return []byte(strings.Repeat("a", int(min(r.Size, most))))
	}
	return []byte(r.Body[:min(int64(len(r.Body)), most)])
}

// Target is path and query of r, percent-encoded where they have to be.
func (r *Request) Target() string {
	var out strings.Builder
	for _, symbol := range r.Path {
		if symbol == lang.Glue {
			out.WriteString("%2F")
		} else {
			out.WriteString(escaped(lang.Word{symbol}.String(), unreserved+"/!$&'()*+,=:@"))
		}
	}
	separator := byte('?')
	for _, p := range r.Query {
		out.WriteByte(separator)
		out.WriteString(escaped(p.Name, unreserved) + "=" + escaped(p.Value.String(), unreserved))
		separator = '&'
	}
	return out.String()
}

const unreserved = "-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// escaped is text with its bytes percent-encoded, but for those that may
// stand as they are.
func escaped(text, plain string) string {
	var out strings.Builder
	for i := range len(text) {
		if c := text[i]; strings.IndexByte(plain, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// maxShown bounds what is shown of one text, in bytes.
const maxShown = 256

// String is r as examples of a scope are written, with headers and body behind
// it: GET /repos/acme/docs?page=1 with X-Trace: a and a body of 5 bytes. Long
// texts are cut.
func (r *Request) String() string {
	line := r.Method + " " + cut(r.Target())
	if r.Endpoint != "" {
		line = r.Endpoint + " " + line
	}
	var with []string
	for _, f := range r.Fields {
		with = append(with, f.Name+": "+cut(f.Value))
	}
	switch {
	case r.Body != "":
		with = append(with, "the body "+cut(strings.TrimRight(r.Body, " "))+r.padding())
	case r.Size == 1:
		with = append(with, "a body")
	case r.Size > 1:
		with = append(with, fmt.Sprintf("a body of %d bytes", r.Size))
	}
	if len(with) > 0 {
		line += " with " + strings.Join(with, " and ")
	}
	if r.Often != "" {
		line += ", " + r.Often
	}
	if r.Answer != "" {
		line += ", and sees " + r.Answer
	}
	return line
}

// padding tells of spaces behind a body, which make it as long as it is.
func (r *Request) padding() string {
	if len(r.Body) > 0 && r.Body[len(r.Body)-1] == ' ' {
		return fmt.Sprintf(" and spaces up to %d bytes", r.Size)
	}
	return ""
}

func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return fmt.Sprintf("%s... (%d characters)", strings.ToValidUTF8(s[:maxShown], ""), len([]rune(s)))
}

// mediaTypes are the Content-Types of bodies that are read in one way. Where
// the grant lists the header itself, other types of JSON and other parameters
// pass as well: more of them here than the judge takes, which proves less.
func (s *Space) mediaTypes(m scope.Media, listed bool) *lang.Set {
	const (
		token = "[-!#$%&'*+.^_`|~0-9A-Za-z]+"
		utf8  = `[ \t]*;[ \t]*(?i:charset)=(?:(?i:utf-8)|"(?i:utf-8)")`
		more  = `[ \t]*;[ \t]*` + token + `=(?:` + token + `|"[^"\\]+")`
		at    = `[ \t]*;[ \t]*(?i:boundary)=(?:` + token + `|"[^"\\]+")`
	)
	names := map[scope.Media]string{scope.JSON: `(?i:application/json)`, scope.Form: `(?i:application/x-www-form-urlencoded)`, scope.Multipart: `(?i:multipart/form-data)`}
	name, parameters := names[m], `(?:`+utf8+`)?`
	if m == scope.Multipart {
		parameters = `(?:` + utf8 + at + `|` + at + `(?:` + utf8 + `)?)`
	}
	if listed {
		parameters = `(?:` + more + `)*`
		if m == scope.JSON {
			name = `(?:` + name + `|` + token + `/` + token[:len(token)-1] + `*(?i:\+json)|(?i:application/x-amz-json-1\.[01]))`
		}
	}
	key := fmt.Sprintf("media %s %t", m, listed)
	return s.share(key, func(w *lang.Work) *lang.Set { return w.And(lang.ASCII(), w.Pattern(name+parameters)) })
}

// typed returns the headers of a request whose body is read in one way: one
// Content-Type, and no coding.
func (s *Space) typed(m scope.Media, fields map[string]field) map[string]field {
	const contentType, contentEncoding = "content-type", "content-encoding"
	given, listed := fields[contentType]
	if !listed {
		given = anyField("Content-Type")
	}
	coding, codingListed := fields[contentEncoding]
	if !codingListed {
		coding = anyField("Content-Encoding")
	}
	identity := s.share("identity", func(w *lang.Work) *lang.Set { return w.AnyCase(w.Words("identity")) })
	out := map[string]field{}
	for key, f := range fields {
		out[key] = f
	}
	out[contentType] = given.and(s, field{sent: lang.NewText(s.mediaTypes(m, listed), 0, -1)}).(field)
	out[contentEncoding] = coding.and(s, field{absent: true, sent: lang.NewText(identity, 0, -1), strange: true, odd: "identity"}).(field)
	return out
}
