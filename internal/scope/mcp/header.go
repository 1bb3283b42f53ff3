package mcp

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Headers of the protocol.
const (
	VersionHeader = "Mcp-Protocol-Version"
	SessionHeader = "Mcp-Session-Id"
	EventHeader   = "Last-Event-Id"
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
	paramHeader   = "Mcp-Param-"
)

// Owns reports whether a header of this name is one of the protocol's, or is
// taken for one by some readers.
func Owns(name string) bool {
	const begins = "Mcp-"
	return text.EqualName(name, EventHeader) || len(name) >= len(begins) && text.EqualName(name[:len(begins)], begins)
}

// Header is what the headers of a request say of the protocol. The zero Header
// says nothing. It is valid as long as the fields that it was read from.
type Header struct {
	Version, Session, Event string

	method, name       string
	hasMethod, hasName bool
	params             []body.Field // names without what they begin with
	wrong              string       // why they cannot be read, if so
}

// Read reads the fields of a request.
func (h *Header) Read(fields []body.Field) {
	*h = Header{params: h.params[:0]}
	for i := range fields {
		h.add(&fields[i])
	}
}

func (h *Header) add(f *body.Field) {
	n := len(f.Name)
	if n < len(nameHeader) || f.Name[0]|0x20 != 'm' && f.Name[0]|0x20 != 'l' {
		return // most fields
	}
	switch {
	case n > len(paramHeader) && text.EqualName(f.Name[:len(paramHeader)], paramHeader):
		h.exact(f.Name[:len(paramHeader)], paramHeader)
		h.params = append(h.params, body.Field{Name: f.Name[len(paramHeader):], Value: f.Value})
	case text.EqualName(f.Name, VersionHeader):
		h.once(f, VersionHeader, &h.Version)
	case text.EqualName(f.Name, SessionHeader):
		h.once(f, SessionHeader, &h.Session)
	case text.EqualName(f.Name, EventHeader):
		h.once(f, EventHeader, &h.Event)
	default:
		h.mirrored(f)
	}
}

// mirrored reads a field that says what the message says.
func (h *Header) mirrored(f *body.Field) {
	switch {
	case text.EqualName(f.Name, methodHeader):
		h.hasMethod = true
		h.once(f, methodHeader, &h.method)
	case text.EqualName(f.Name, nameHeader):
		h.hasName = true
		h.once(f, nameHeader, &h.name)
	}
}

// Stateless reports whether the revision has neither handshake nor sessions.
func (h *Header) Stateless() bool { return eraOf(h.Version) == stateless }

// IsSession reports whether a server may call a session so: visible ASCII,
// within a bound.
func IsSession(id string) bool {
	return id != "" && len(id) <= 512 && isPlain(id) && strings.IndexByte(id, ' ') < 0
}

// exact takes note of a name that only some readers take for want.
func (h *Header) exact(name, want string) {
	if !text.EqualFold(name, want) {
		h.wrong = "the header " + want + " is spelled a second way"
	}
}

func (h *Header) once(f *body.Field, name string, into *string) {
	h.exact(f.Name, name)
	switch {
	case f.Value == "":
		h.wrong = "the header " + name + " is empty"
	case *into != "":
		h.wrong = "the header " + name + " occurs more than once"
	}
	*into = f.Value
}

// disagrees returns why the headers do not say the same as the message, or not
// what they have to; empty: they do.
func (h *Header) disagrees(m *Message, era eras) string {
	is := methods[m.Method]
	switch {
	case h.wrong != "":
		return h.wrong
	case era == stateless && m.Kind == Response:
		return "clients send no responses in this revision of the protocol: repeat the request with what was asked for"
	case h.hasMethod && h.method != m.Method:
		return "the header " + methodHeader + " and the message disagree: the message counts"
	case h.hasName && !h.names(is, m):
		return "the header " + nameHeader + " and the message disagree: the message counts"
	}
	if missing := h.lacks(is, m, era); missing != "" {
		return "send the header " + missing + ": this revision of the protocol requires it"
	}
	return h.contradicts(m)
}

// contradicts returns why the headers that mirror arguments do not say the same.
func (h *Header) contradicts(m *Message) string {
	for i := range h.params {
		if _, ok := h.argument(i, m); !ok {
			return "the headers " + paramHeader + "* and the arguments disagree: the arguments count"
		}
	}
	return ""
}

// names reports whether the header with a name says what the message is about.
func (h *Header) names(is *method, m *Message) bool {
	name, ok := decode(h.name)
	return ok && is.mirrored() && name == m.Target()
}

// lacks returns the header that has to be there and is not, if there is one.
func (h *Header) lacks(is *method, m *Message, era eras) string {
	switch {
	case era != stateless:
		return ""
	case !h.hasMethod && m.Kind == Request:
		return methodHeader
	case !h.hasName && is.mirrored():
		return nameHeader
	}
	return ""
}

// argument returns the argument that a header mirrors. It is not ok where
// there is not one that is equal.
func (h *Header) argument(i int, m *Message) (value string, ok bool) {
	p := &h.params[i]
	for _, earlier := range h.params[:i] {
		if text.EqualFold(earlier.Name, p.Name) {
			return "", false
		}
	}
	found := m.named(p.Name)
	said, ok := decode(p.Value)
	if !ok || methods[m.Method] == nil || methods[m.Method].about != tool {
		return "", false
	}
	switch found.Kind() {
	case json.String, json.Boolean:
		value = found.Text(&m.key)
		return value, value == said
	case json.Number:
		value = string(found.Raw())
		return value, sameNumber(value, said)
	}
	return "", false
}

// named returns the argument of a name, letter case aside; none, where there is
// not one alone.
func (m *Message) named(name string) json.Value {
	found := json.Value{}
	for key, v := range m.arguments.Members {
		if !text.EqualFold(key, name) {
			continue
		}
		if found.Kind() != json.None {
			return json.Value{} // which of them is not said
		}
		found = v
	}
	return found
}

func sameNumber(a, b string) bool {
	x, ok := text.ParseDecimal(a)
	y, also := text.ParseDecimal(b)
	return ok && also && x.Compare(y) == 0
}

// Mirror calls yield for each header that goes upstream with a message that
// passes: made of the message, not of what the agent sent.
func (h *Header) Mirror(m *Message, yield func(name, value string)) {
	if h.Version != "" {
		yield(VersionHeader, h.Version)
	}
	if h.hasMethod {
		yield(methodHeader, m.Method)
	}
	if h.hasName {
		yield(nameHeader, encode(m.Target()))
	}
	for i := range h.params {
		if value, ok := h.argument(i, m); ok {
			yield(paramHeader+h.params[i].Name, encode(value))
		}
	}
}

// The form of a value that is no plain text.
const (
	coded    = "=?base64?"
	codedEnd = "?="
)

func isCoded(s string) bool {
	return len(s) >= len(coded)+len(codedEnd) && strings.HasPrefix(s, coded) && strings.HasSuffix(s, codedEnd)
}

// decode returns what the value of a header stands for.
func decode(s string) (string, bool) {
	if !isCoded(s) {
		return s, isPlain(s)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s[len(coded) : len(s)-len(codedEnd)])
	if err != nil || strings.ContainsAny(s, "\r\n") || !utf8.Valid(b) {
		return "", false
	}
	return string(b), true
}

// encode returns the one form that a value has in a header.
func encode(s string) string {
	if isPlain(s) && !isCoded(s) {
		return s
	}
	return coded + base64.StdEncoding.EncodeToString([]byte(s)) + codedEnd
}

// isPlain reports whether s can stand in a header as it is.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == "" || s[0] != ' ' && s[len(s)-1] != ' '
}
