package scope

import (
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Classes of bytes, RFC 3986 and RFC 9110.
const (
	unreserved = 1 << iota // forwarded as it is, in path and query
	pathByte               // pchar: may stand raw in a segment, and is forwarded so
	queryByte              // may stand raw in a query name or value
	tokenByte              // tchar, of methods and header names
)

var class = func() (c [256]uint8) {
	set := func(bytes string, bits uint8) {
		for i := range len(bytes) {
			c[bytes[i]] |= bits
		}
	}
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	set(alphanumeric+"-._~", unreserved|pathByte|queryByte)
	set("!$'()*,:@;", pathByte|queryByte) // ; is refused behind its decoding
	set("&=+", pathByte)                  // in a query they are syntax
	set("=/?", queryByte)                 // = behind the first one of a pair
	set(alphanumeric+"!#$%&'*+-.^_`|~", tokenByte)
	return c
}()

// only tells whether s is not empty and has bytes of one class alone.
func only(s string, bits uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&bits == 0 {
			return false
		}
	}
	return s != ""
}

// A Refusal says why a request could not be read. It quotes nothing of it.
type Refusal struct {
	Reason Reason // Malformed or TooLarge
	Status int    // 400 or 414: the connection is closed with it
	Detail string // what the agent's author can act on
}

// Error returns the detail.
func (r *Refusal) Error() string { return r.Detail }

// What a target may consist of: each part costs several times the bytes that it
// came as, for as long as the request lasts.
const (
	maxSegments = 256
	maxPairs    = 1024
)

var (
	errSegments = tooLarge("the path has too many segments")
	errPairs    = tooLarge("the query has too many pairs: send them in several requests")
)

func tooLarge(detail string) *Refusal {
	return &Refusal{Reason: TooLarge, Status: 414, Detail: detail}
}

func malformed(detail string) *Refusal {
	return &Refusal{Reason: Malformed, Status: 400, Detail: detail}
}

// Refusals of [Request.Parse]. Each is made once, so that a flood of bad
// requests costs no memory.
var (
	errMethod       = malformed("the method is not a token")
	errOrigin       = malformed("the request target does not begin with a slash")
	errRawPath      = malformed("the path holds a character that must be percent-encoded")
	errTriplet      = malformed("a percent sign is not followed by two hexadecimal digits")
	errEncodedSlash = malformed("the path holds an encoded slash")
	errHidden       = malformed("the path holds a backslash, question mark, hash or semicolon")
	errControl      = malformed("the request target holds an encoded control character")
	errUTF8         = malformed("the request target is not UTF-8 behind its percent-encoding")
	errTwice        = malformed("the path is percent-encoded twice")
	errEmptySegment = malformed("the path has an empty segment")
	errDotSegment   = malformed("the path has a dot segment")
	errRawQuery     = malformed("the query holds a character that must be percent-encoded")
	errEmptyPair    = malformed("the query has an empty pair")
	errNoEquals     = malformed("the query has a name without an equals sign")
	errEmptyName    = malformed("the query has a value without a name")
)

// triplet decodes the percent triplet at s[i].
func triplet(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
	return high<<4 | low, high < 16 && low < 16
}

// hexDigit returns the value of c, or a number above 15.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// checkText refuses decoded text that is no text, or that one reader would cut
// short and another would not.
func checkText(s string) *Refusal {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	if text.HasControl(s) {
		return errControl
	}
	return nil
}

// readPath reads the path of an origin-form target into r: segments behind
// one decoding, in their order. With slashes, %2F separates segments as `/`
// does, and the one behind it is glued.
func (r *Request) readPath(raw string, slashes bool) *Refusal {
	if raw == "" || raw[0] != '/' {
		return errOrigin
	}
	r.buf = append(r.buf, '/')
	open := openSegment{start: 1}
	for i := 1; i < len(raw); {
		c, width, err := pathByteAt(raw, i, slashes)
		if err != nil {
			return err
		}
		open.escaped = open.escaped || width > 1
		if c == '/' {
			if err := r.endSegment(open); err != nil {
				return err
			}
			open = openSegment{start: len(r.buf) + 1, glued: width > 1}
		}
		r.buf = append(r.buf, c)
		i += width
	}
	return r.endPath(open)
}

// pathByteAt decodes the byte at raw[i] and returns how many bytes of raw
// stand for it.
func pathByteAt(raw string, i int, slashes bool) (c byte, width int, err *Refusal) {
	c, width = raw[i], 1
	if c == '%' {
		var ok bool
		if c, ok = triplet(raw, i); !ok {
			return 0, 0, errTriplet
		}
		width = 3
	} else if c != '/' && class[c]&pathByte == 0 {
		return 0, 0, errRawPath
	}
	switch c {
	case '\\', '?', '#', ';':
		return 0, 0, errHidden
	case '/':
		if width > 1 && !slashes {
			return 0, 0, errEncodedSlash
		}
	}
	return c, width, nil
}

// openSegment is the segment of a path whose end was not read yet.
type openSegment struct {
	start   int // in Request.buf
	glued   bool
	escaped bool
}

// endPath ends the path, in a slash or in the segment s.
func (r *Request) endPath(s openSegment) *Refusal {
	if r.slash = s.start == len(r.buf) && !s.glued; r.slash {
		return nil
	}
	return r.endSegment(s)
}

// endSegment adds the segment that begins at s.start of r.buf.
func (r *Request) endSegment(s openSegment) *Refusal {
	word := text.View(r.buf[s.start:])
	switch {
	case word == "":
		return errEmptySegment
	case word == "." || word == "..":
		return errDotSegment
	case s.escaped && text.HasTriplet(word):
		return errTwice
	case len(r.segments) == maxSegments:
		return errSegments
	}
	r.segments = append(r.segments, segment{start: s.start, end: len(r.buf), glued: s.glued})
	if !s.escaped {
		return nil // raw bytes are printable ASCII
	}
	return checkText(word)
}

// readQuery reads the pairs of a query into r.
func (r *Request) readQuery(raw string) *Refusal {
	for at := 0; at <= len(raw); {
		if at == len(raw) || raw[at] == '&' {
			return errEmptyPair
		}
		name, next, err := r.readWord(raw, at, '=')
		switch {
		case err != nil:
			return err
		case next == len(raw) || raw[next] != '=':
			return errNoEquals
		case name == "":
			return errEmptyName
		case len(r.query) == maxPairs:
			return errPairs
		}
		value, next, err := r.readWord(raw, next+1, '&')
		if err != nil {
			return err
		}
		r.query = append(r.query, Param{name, value})
		at = next + 1
	}
	return nil
}

// readWord decodes a name or a value that begins at raw[at] and ends before
// end or `&`, and returns where that is.
func (r *Request) readWord(raw string, at int, end byte) (word string, next int, err *Refusal) {
	start, escaped := len(r.buf), false
	for ; at < len(raw) && raw[at] != end && raw[at] != '&'; at++ {
		c := raw[at]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			var ok bool
			if c, ok = triplet(raw, at); !ok {
				return "", 0, errTriplet
			}
			at += 2
			escaped = true
		case class[c]&queryByte == 0:
			return "", 0, errRawQuery
		}
		r.buf = append(r.buf, c)
	}
	word = text.View(r.buf[start:])
	if !escaped {
		return word, at, nil // raw bytes are printable ASCII
	}
	return word, at, checkText(word)
}

// appendEscaped appends s to dst, with the bytes that stand as they are in the
// class and all others as triplets in upper case. With fold, the ASCII letters
// of s are put into lower case first.
func appendEscaped(dst []byte, s string, bits uint8, fold bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if fold && 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if class[c]&bits != 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
