// Package multipart reads multipart/form-data (RFC 7578) once, strictly: lines
// that end in CR LF, delimiters that nobody can take for content, parts with a
// name and perhaps a file name in one plain spelling.
package multipart

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/media"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// What is wrong with a body.
var (
	errBoundary    = errors.New("the boundary is not 1 to 70 of the characters that need no quotation marks")
	errStart       = errors.New("the body does not begin with its boundary")
	errDelimiter   = errors.New("a boundary is not followed by CR LF or two hyphens, or does not begin a line that CR LF ends")
	errUnclosed    = errors.New("the body has no closing boundary")
	errBehind      = errors.New("something follows the closing boundary")
	errHeader      = errors.New("a part has a header other than one Content-Disposition and one Content-Type, or a line of it is malformed")
	errDisposition = errors.New(`a part's Content-Disposition is not form-data; name="..."; filename="...", the file name where there is one`)
	errMany        = errors.New("the body has too many parts")
	errTwice       = errors.New("the body has a part twice")
)

// maxParts bounds the parts of one body.
const maxParts = 128

// Part is one part. Its texts are views of the body.
type Part struct {
	Name string
	// Filename is the file name where HasFilename says that there is one.
	Filename    string
	HasFilename bool
	// Media is the Content-Type; empty: there is none.
	Media string
	Body  []byte
}

// A Form is one body, read. The zero Form is empty and ready for [Form.Parse];
// it is meant to be used again. It is not safe for concurrent use.
type Form struct {
	Parts []Part // in their order; no two have the same name
	line  []byte // two hyphens and the boundary
}

// Reset lets go of what was read.
func (f *Form) Reset() {
	clear(f.Parts)
	f.Parts = f.Parts[:0]
}

// Parse reads src, which may not change while f is in use. The error is a
// constant that quotes nothing.
func (f *Form) Parse(src []byte, boundary string) error {
	f.Reset()
	if !isBoundary(boundary) {
		return errBoundary
	}
	f.line = append(append(f.line[:0], "--"...), boundary...)
	rest, ok := bytes.CutPrefix(src, f.line)
	if !ok {
		return errStart
	}
	for {
		// rest begins behind a boundary.
		if end, closed := bytes.CutPrefix(rest, []byte("--")); closed {
			return closing(end)
		}
		if rest, ok = bytes.CutPrefix(rest, []byte("\r\n")); !ok {
			return errDelimiter
		}
		part, behind, err := f.cutPart(rest)
		if err == nil {
			err = f.add(part)
		}
		if err != nil {
			return err
		}
		rest = behind
	}
}

func closing(end []byte) error {
	if len(end) > 0 && string(end) != "\r\n" {
		return errBehind
	}
	return nil
}

// isBoundary accepts what may stand without quotation marks, so that no reader
// needs to know what to do with them.
func isBoundary(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || '9' < c) && (c|0x20 < 'a' || 'z' < c|0x20) && strings.IndexByte("'+_-.", c) < 0 {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 70
}

// cutPart takes the part that src begins with, and leaves what is behind its
// boundary.
func (f *Form) cutPart(src []byte) (part, behind []byte, err error) {
	for at := 0; ; {
		i := bytes.Index(src[at:], f.line)
		if i < 0 {
			return nil, nil, errUnclosed
		}
		at += i
		behind := src[at+len(f.line):]
		switch before := src[:at]; {
		case bytes.HasSuffix(before, []byte("\r\n")):
			return before[:at-2], behind, nil
		case at == 0, before[at-1] == '\n', before[at-1] == '\r':
			return nil, nil, errDelimiter // to some readers it is one
		}
		at++
	}
}

// add reads a part into f.
func (f *Form) add(src []byte) error {
	if len(f.Parts) == maxParts {
		return errMany
	}
	var p Part
	for {
		end := bytes.IndexByte(src, '\n')
		if end < 1 || src[end-1] != '\r' {
			return errHeader
		}
		line := src[:end-1]
		src = src[end+1:]
		if len(line) == 0 {
			break
		}
		if err := p.header(text.View(line)); err != nil {
			return err
		}
	}
	if p.Name == "" {
		return errDisposition
	}
	for i := range f.Parts {
		if f.Parts[i].Name == p.Name {
			return errTwice
		}
	}
	p.Body = src
	f.Parts = append(f.Parts, p)
	return nil
}

// header reads one line of a part's header.
func (p *Part) header(line string) error {
	name, value, found := strings.Cut(line, ":")
	if !found || !utf8.ValidString(line) || text.HasControl(line) {
		return errHeader
	}
	value = strings.Trim(value, " ")
	switch {
	case text.EqualFold(name, "Content-Disposition") && p.Name == "":
		return p.disposition(value)
	case text.EqualFold(name, "Content-Type") && p.Media == "" && value != "":
		p.Media = value
		return nil
	}
	return errHeader
}

// disposition reads a Content-Disposition. Readers differ about escapes in its
// values, about values without quotation marks, and about name* and its like.
func (p *Part) disposition(value string) error {
	rest, ok := strings.CutPrefix(value, "form-data")
	for ok && rest != "" {
		var q media.Parameter
		if q, rest, ok = media.CutParameter(rest); ok {
			ok = q.Quoted && !text.HasTriplet(q.Value) && p.set(q)
		}
	}
	if !ok || p.Name == "" {
		return errDisposition
	}
	return nil
}

// set takes a parameter of a Content-Disposition, unless it is unknown or was
// there before.
func (p *Part) set(q media.Parameter) bool {
	switch {
	case q.Name == "name" && p.Name == "":
		p.Name = q.Value
	case q.Name == "filename" && !p.HasFilename:
		p.Filename, p.HasFilename = q.Value, true
	default:
		return false
	}
	return true
}
