// Package form reads application/x-www-form-urlencoded once, strictly: pairs of
// one name and one value, in which only what cannot be taken for syntax stands
// as it is.
package form

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// What is wrong with a form.
var (
	errRaw     = errors.New("the form holds a character that must be percent-encoded")
	errTriplet = errors.New("in the form a percent sign is not followed by two hexadecimal digits")
	errEmpty   = errors.New("the form has an empty pair")
	errEquals  = errors.New("the form has a name without an equals sign")
	errName    = errors.New("the form has a value without a name")
	errUTF8    = errors.New("the form is not UTF-8 behind its percent-encoding")
	errControl = errors.New("the form holds a control character")
)

// Pair is one name with its value, decoded.
type Pair struct{ Name, Value string }

// A Form is one form, read. The zero Form is empty and ready for [Form.Parse];
// it is meant to be used again. It is not safe for concurrent use.
type Form struct {
	Pairs []Pair // in their order
	buf   []byte // what the pairs are views of
}

// keptBytes and keptPairs bound the memory that is kept for the next form.
const (
	keptBytes = 16 << 10
	keptPairs = 256
)

// Reset lets go of what was read.
func (f *Form) Reset() {
	clear(f.Pairs)
	f.Pairs, f.buf = f.Pairs[:0], f.buf[:0]
	if cap(f.Pairs) > keptPairs || cap(f.buf) > keptBytes {
		f.Pairs, f.buf = nil, nil
	}
}

// Parse reads src. What it makes of it is valid until the next Parse or Reset.
// The error is a constant that quotes nothing.
func (f *Form) Parse(src []byte) error {
	f.Reset()
	if cap(f.buf) < len(src) { // nothing is longer decoded than encoded
		f.buf = make([]byte, 0, len(src))
	}
	for at := 0; at <= len(src); at++ {
		var err error
		if at, err = f.pair(src, at); err != nil {
			return err
		}
	}
	return nil
}

// pair reads the pair that begins at src[at], and returns where it ends.
func (f *Form) pair(src []byte, at int) (end int, err error) {
	name, next, err := f.word(src, at, '=')
	switch {
	case err != nil:
		return 0, err
	case next == len(src) || src[next] != '=':
		if next == at {
			return 0, errEmpty
		}
		return 0, errEquals
	case name == "":
		return 0, errName
	case text.HasControl(name):
		return 0, errControl
	}
	value, end, err := f.word(src, next+1, '&')
	if err != nil {
		return 0, err
	}
	f.Pairs = append(f.Pairs, Pair{name, value})
	return end, nil
}

// word decodes a name or a value that begins at src[at] and ends before end or
// `&`, and returns where that is.
func (f *Form) word(src []byte, at int, end byte) (word string, next int, err error) {
	start, escaped := len(f.buf), false
	for ; at < len(src) && src[at] != end && src[at] != '&'; at++ {
		c := src[at]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			var ok bool
			if c, ok = triplet(src[at+1:]); !ok {
				return "", 0, errTriplet
			}
			at += 2
			escaped = true
		case !raw[c]:
			return "", 0, errRaw
		}
		f.buf = append(f.buf, c)
	}
	word = text.View(f.buf[start:])
	if escaped {
		err = check(word)
	}
	return word, at, err
}

// triplet decodes the two digits behind a percent sign.
func triplet(src []byte) (c byte, ok bool) {
	if len(src) < 2 {
		return 0, false
	}
	high, low := hexDigit(src[0]), hexDigit(src[1])
	return high<<4 | low, high < 16 && low < 16
}

// raw are the bytes that stand as they are: what browsers and libraries leave
// alone, but for the semicolon, at which some readers separate pairs.
var raw = func() (r [256]bool) {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$'()*,:@/?="
	for i := range len(plain) {
		r[plain[i]] = true
	}
	return r
}()

// check refuses text that is none, or that one reader would cut short and
// another would not. Lines and tabs are what text of several lines has.
func check(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	if text.HasControl(s) && strings.ContainsFunc(s, isControl) {
		return errControl
	}
	return nil
}

func isControl(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && (r < 0x20 || 0x7f <= r && r < 0xa0)
}

// hexDigit returns the value of c, or a number above 15.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// SameName reports whether some reader takes both names for the same: letter
// case aside, with what it reads as an index, such as ids[] for ids, and with
// the characters that PHP replaces in names.
func SameName(a, b string) bool {
	a, b = base(a), base(b)
	if len(a) != len(b) || a == "" {
		return false
	}
	for i := 0; i < len(a); i++ {
		if nameByte(a[i]) != nameByte(b[i]) {
			return false
		}
	}
	return true
}

// base returns a name without leading spaces and without an index.
func base(name string) string {
	name = strings.TrimLeft(name, " ")
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	return name
}

func nameByte(c byte) byte {
	switch {
	case c == '.' || c == ' ':
		return '_'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}
