// Package text tells what a piece of text is: a glob's match, a decimal, a
// git ref. Its functions are pure, allocate nothing and take time linear in
// the text. None of them folds letter case beyond ASCII.
package text

import "strings"

// HasUpper reports whether s holds an ASCII letter in upper case.
func HasUpper[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// Lower returns s with its ASCII letters in lower case. Unlike
// [strings.ToLower] it leaves every other letter alone, so that no letter
// outside ASCII becomes one inside.
func Lower(s string) string {
	if !HasUpper(s) {
		return s
	}
	return string(AppendLower(nil, s))
}

// AppendLower appends s to dst with its ASCII letters in lower case.
func AppendLower(dst []byte, s string) []byte {
	n := len(dst)
	dst = append(dst, s...)
	LowerBytes(dst[n:])
	return dst
}

// LowerBytes puts the ASCII letters of b in lower case.
func LowerBytes(b []byte) {
	for i, c := range b {
		b[i] = lowerByte(c)
	}
}

// EqualFold reports whether s and t are equal but for the case of ASCII
// letters.
func EqualFold(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] != t[i] && lowerByte(s[i]) != lowerByte(t[i]) {
			return false
		}
	}
	return true
}

// EqualName reports whether two header names are the same to a reader that
// takes `_` for `-`, as CGI and its heirs do, letter case aside.
func EqualName(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if nameByte(s[i]) != nameByte(t[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) byte {
	if c == '_' {
		return '-'
	}
	return lowerByte(c)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// HasControl reports whether s holds a control character: C0, DEL or C1.
func HasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
			return true // in UTF-8 only U+0080 to U+009F begin with C2 80 to C2 9F
		}
	}
	return false
}

// HasTriplet reports whether s holds a percent sign with two hexadecimal
// digits behind it, which a second decoding would change.
func HasTriplet(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return false
		}
		s = s[i+1:]
		if len(s) >= 2 && isHex(s[0]) && isHex(s[1]) {
			return true
		}
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= lowerByte(c) && lowerByte(c) <= 'f'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
