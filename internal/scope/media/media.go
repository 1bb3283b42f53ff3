// Package media reads what the header of a request says of its body, strictly:
// one media type with its parameters, and whether there is a coding.
package media

import (
	"errors"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A Type is a media type as a Content-Type has it. The zero Type is none.
type Type struct {
	// Name is type/subtype in the letter case that it came with.
	Name string
	// Charset and Boundary are the parameters of these names, without
	// quotation marks; empty where there is none.
	Charset, Boundary string
	// More says that there are other parameters.
	More bool
}

// Is reports whether t is of this name, letter case aside.
func (t Type) Is(name string) bool { return text.EqualFold(t.Name, name) }

// IsJSON reports whether t is a type of JSON texts: application/json, and with
// suffixed any that ends in +json, or is one of those of AWS.
func (t Type) IsJSON(suffixed bool) bool {
	const suffix = "+json"
	n := len(t.Name) - len(suffix)
	return t.Is("application/json") || suffixed && (n > 0 && text.EqualFold(t.Name[n:], suffix) || t.isAmazon())
}

// isAmazon tells the types that AWS's services give JSON texts ("AWS JSON 1.0
// and 1.1 protocols" of Smithy).
func (t Type) isAmazon() bool {
	return t.Is("application/x-amz-json-1.0") || t.Is("application/x-amz-json-1.1")
}

// IsUTF8 reports whether t names no other character set than UTF-8.
func (t Type) IsUTF8() bool { return t.Charset == "" || text.EqualFold(t.Charset, "utf-8") }

// Errors of [Parse].
var (
	ErrSyntax = errors.New("the Content-Type is not one media type with its parameters")
	ErrTwice  = errors.New("the Content-Type has a parameter twice")
)

// Parse reads the value of a Content-Type. It refuses what readers could
// differ about: lists, anything beyond the grammar, escapes in quoted strings,
// a parameter twice.
func Parse(value string) (Type, error) {
	name, rest := cutToken(value)
	slash, rest, found := cutByte(rest, '/')
	sub, rest := cutToken(rest)
	if name == "" || !found || slash != "" || sub == "" {
		return Type{}, ErrSyntax
	}
	t := Type{Name: value[:len(name)+1+len(sub)]}
	var seen parameters
	for rest != "" {
		var p Parameter
		var ok bool
		if p, rest, ok = CutParameter(rest); !ok {
			return Type{}, ErrSyntax
		}
		if !seen.add(p.Name) {
			return Type{}, ErrTwice
		}
		t.set(p)
	}
	return t, nil
}

func (t *Type) set(p Parameter) {
	switch {
	case text.EqualFold(p.Name, "charset"):
		t.Charset = p.Value
	case text.EqualFold(p.Name, "boundary"):
		t.Boundary = p.Value
	default:
		t.More = true
	}
}

// parameters are the names that were seen: few, or the value is refused.
type parameters struct {
	names [4]string
	n     int
}

func (s *parameters) add(name string) bool {
	for _, other := range s.names[:s.n] {
		if text.EqualFold(other, name) {
			return false
		}
	}
	if s.n == len(s.names) {
		return false
	}
	s.names[s.n] = name
	s.n++
	return true
}

// Parameter is a parameter of a header's value. Quoted says that its value
// stood in quotation marks, which are not part of it.
type Parameter struct {
	Name, Value string
	Quoted      bool
}

// CutParameter takes the parameter that s begins with, its semicolon and the
// white space around that included. Values are not empty and hold no escapes:
// readers differ about both.
func CutParameter(s string) (p Parameter, rest string, ok bool) {
	space, rest, found := cutByte(s, ';')
	if !found || strings.Trim(space, " \t") != "" {
		return Parameter{}, "", false
	}
	p.Name, rest = cutToken(strings.TrimLeft(rest, " \t"))
	none, rest, found := cutByte(rest, '=')
	if p.Name == "" || !found || none != "" {
		return Parameter{}, "", false
	}
	if p.Quoted = strings.HasPrefix(rest, `"`); !p.Quoted {
		p.Value, rest = cutToken(rest)
		return p, rest, p.Value != ""
	}
	p.Value, rest, found = cutByte(rest[1:], '"')
	return p, rest, found && p.Value != "" && strings.IndexByte(p.Value, '\\') < 0 && !text.HasControl(p.Value)
}

func cutByte(s string, c byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// cutToken takes the token that s begins with, perhaps an empty one.
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// isTokenByte is tchar of RFC 9110.
func isTokenByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
