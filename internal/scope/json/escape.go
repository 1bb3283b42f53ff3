package json

import (
	"unicode/utf16"
	"unicode/utf8"
)

// escaped are the characters that stand behind a backslash for another one.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escape returns the length of the escape that src begins with. A surrogate
// pair is one escape.
func escape(src []byte) (int, error) {
	switch {
	case len(src) < 2:
		return 0, errEnd
	case escapes[src[1]] != 0:
		return 2, nil
	case src[1] != 'u':
		return 0, errEscape
	}
	r, n, ok := codePoint(src)
	switch {
	case !ok:
		return 0, errEscape
	case utf16.IsSurrogate(r):
		return 0, errSurrogate
	case isNoncharacter(r):
		return 0, errNoncharacter
	}
	return n, nil
}

// codePoint decodes the \u that src begins with, and the one behind it where
// the two are a pair. Half a pair comes back as it is.
func codePoint(src []byte) (r rune, n int, ok bool) {
	const one = len(`\u0000`)
	first, ok := hex4(src)
	if !ok {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(first) {
		return first, one, true
	}
	second, ok := hex4(src[one:])
	if r = utf16.DecodeRune(first, second); !ok || r == utf8.RuneError {
		return first, one, true
	}
	return r, 2 * one, true
}

// hex4 reads the \u that src begins with.
func hex4(src []byte) (r rune, ok bool) {
	if len(src) < 6 || src[0] != '\\' || src[1] != 'u' {
		return 0, false
	}
	for _, c := range src[2:6] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends what stands in a string that was read.
func appendUnescaped(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c != '\\':
			from := i
			for i < len(src) && src[i] != '\\' {
				i++
			}
			dst = append(dst, src[from:i]...)
		case src[i+1] == 'u':
			r, n, _ := codePoint(src[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		default:
			dst = append(dst, escapes[src[i+1]])
			i += 2
		}
	}
	return dst
}
