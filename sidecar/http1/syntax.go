package http1

import (
	"encoding/binary"
	"strings"
)

// Classes of bytes.
const (
	tokenByte  = 1 << iota // tchar, RFC 9110 section 5.6.2
	targetByte             // visible ASCII; which of them a target may hold is judged later
	hostByte               // of a name, an address and a port, without userinfo, escapes or lists
)

var class = func() (c [256]byte) {
	for b := byte(0x21); b < 0x7f; b++ {
		c[b] = targetByte
		switch {
		case 'a' <= b|0x20 && b|0x20 <= 'z', '0' <= b && b <= '9':
			c[b] |= tokenByte | hostByte
		case strings.IndexByte("-._", b) >= 0:
			c[b] |= tokenByte | hostByte
		case strings.IndexByte("!#$%&'*+^`|~", b) >= 0:
			c[b] |= tokenByte
		case strings.IndexByte(":[]", b) >= 0:
			c[b] |= hostByte
		}
	}
	return c
}()

// text is either form of bytes, so that the writer, which is given strings,
// refuses by the very rule that the reader does.
type text interface{ ~string | ~[]byte }

// only tells whether s is not empty and has bytes of one class alone.
func only[T text](s T, mask byte) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&mask == 0 {
			return false
		}
	}
	return len(s) > 0
}

// hasControl tells whether s holds a control character other than HTAB. Eight
// bytes are looked at together: each message is read through here once.
func hasControl[T text](s T) bool {
	const ones = 0x0101010101010101
	b := []byte(s) // not written to: no copy is made
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		del := v ^ ones*0x7f
		// A borrow starts only at a byte that is itself below 0x20 (or DEL), so
		// the sum is zero exactly if no byte is a control.
		if ((v-ones*0x20)&^v|(del-ones)&^del)&(ones*0x80) != 0 && anyControl(b[:8]) {
			return true
		}
	}
	return anyControl(b)
}

func anyControl(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// fold tells whether a and b are the same but for the case of ASCII letters.
func fold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// trimSpace cuts optional white space (SP and HTAB, RFC 9110 section 5.6.3).
func trimSpace(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// parseLength reads a Content-Length. A length has one spelling: signs, lists
// and leading zeros (octal to some) are refused. 18 digits fit into 63 bits.
func parseLength(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// checkCoding accepts the value `chunked`. A proper list that could be meant
// well is an unknown coding (501); one that has chunked anywhere but at its
// end, or is no list of tokens, is malformed.
func checkCoding(value string) *Error {
	known := true
	for more := true; more; {
		var coding string
		coding, value, more = strings.Cut(value, ",")
		coding = trimSpace(coding)
		isChunked := fold(coding, "chunked")
		if !only(coding, tokenByte) || isChunked && more {
			return errCoding
		}
		known = known && isChunked
	}
	if !known {
		return errCodingUnknown
	}
	return nil
}

// hexDigit returns the value of c, or a number above 15.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		return c&^0x20 - 'A' + 10
	}
	return 0xff
}

// IsToken tells whether s can be a method or the name of a field (RFC 9110,
// section 5.6.2).
func IsToken(s string) bool { return only(s, tokenByte) }

// IsHopByHop tells whether a field of this name is one of those that
// [RequestHead] keeps out of its Fields.
func IsHopByHop(name string) bool { return whichOwn(name) != notOwn }
