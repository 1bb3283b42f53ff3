package region

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// A Request is one that proves a point: it was found to be in some set.
type Request struct {
	Endpoint string
	Method   string
	Path     lang.Word
	Query    []Param
	Fields   []scope.Field
	Body     int64 // bytes; 0: none
}

// Param is one pair of a query.
type Param struct {
	Name  string
	Value lang.Word
}

// Head is r as a reader would hand it over.
func (r *Request) Head() scope.Head {
	return scope.Head{Method: r.Method, Target: r.Target(), Fields: r.Fields, HasBody: r.Body > 0}
}

// Target is path and query of r, percent-encoded where they have to be.
func (r *Request) Target() string {
	var out strings.Builder
	for _, symbol := range r.Path {
		if symbol == lang.Glue {
			out.WriteString("%2F")
		} else {
			escape(&out, lang.Word{symbol}.String(), "/!$&'()*+,=:@")
		}
	}
	separator := byte('?')
	for _, p := range r.Query {
		out.WriteByte(separator)
		escape(&out, p.Name, "")
		out.WriteByte('=')
		escape(&out, p.Value.String(), "")
		separator = '&'
	}
	return out.String()
}

// escape writes text with its bytes percent-encoded, but for unreserved
// characters and those that may stand as well.
func escape(out *strings.Builder, text, may string) {
	const unreserved = "-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := range len(text) {
		if c := text[i]; strings.IndexByte(unreserved, c) >= 0 || strings.IndexByte(may, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(out, "%%%02X", c)
		}
	}
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
	case r.Body == 1:
		with = append(with, "a body")
	case r.Body > 1:
		with = append(with, fmt.Sprintf("a body of %d bytes", r.Body))
	}
	if len(with) > 0 {
		line += " with " + strings.Join(with, " and ")
	}
	return line
}

func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return fmt.Sprintf("%s... (%d characters)", strings.ToValidUTF8(s[:maxShown], ""), len([]rune(s)))
}
