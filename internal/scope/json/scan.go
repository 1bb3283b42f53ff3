package json

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"unicode/utf8"
)

// What is wrong with a text.
var (
	errLarge        = errors.New("the JSON text is too large")
	errEmpty        = errors.New("the JSON text is empty")
	errMark         = errors.New("the JSON text begins with a byte order mark")
	errSyntax       = errors.New("the JSON text is malformed")
	errEnd          = errors.New("the JSON text breaks off")
	errBehind       = errors.New("something follows the JSON text")
	errDeep         = errors.New("the JSON text is nested too deeply")
	errNumber       = errors.New("a number is not written as JSON has it")
	errControl      = errors.New("a string holds a control character without escape")
	errEscape       = errors.New("a string holds an escape that JSON does not have")
	errSurrogate    = errors.New("a string holds half a surrogate pair")
	errUTF8         = errors.New("the JSON text is not UTF-8")
	errNoncharacter = errors.New("a string holds a code point that is no character")
	errTwice        = errors.New("an object has a key twice")
)

// The functions below are small so that the compiler puts them into their few
// callers, and carry the place along instead of keeping it in d: a call for each
// token, and memory written for each byte, were most of what reading cost.

// scan reads the text of d.
func (d *Document) scan() error {
	if len(d.src) >= 3 && string(d.src[:3]) == "\xef\xbb\xbf" {
		return errMark
	}
	i, c := next(d.src, 0)
	if i == len(d.src) {
		return errEmpty
	}
	i, err := d.value(i, c)
	if err != nil {
		return err
	}
	if i, _ = next(d.src, i); i < len(d.src) {
		return errBehind
	}
	return nil
}

// at returns the byte at i; where the text ends 0, which begins and continues
// nothing.
func at(src []byte, i int) byte {
	if uint(i) < uint(len(src)) {
		return src[i]
	}
	return 0
}

// next returns the first byte from i on that is no white space, with its place.
func next(src []byte, i int) (int, byte) {
	c := at(src, i)
	for isSpace(c) {
		i++
		c = at(src, i)
	}
	return i, c
}

// isSpace tells the four characters that JSON calls white space.
func isSpace(c byte) bool {
	const spaces = 1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r'
	return c <= ' ' && spaces>>c&1 != 0
}

// value reads the value that begins with c at i, and returns the place behind it,
// as all that read something do. Behind an error the place means nothing.
func (d *Document) value(i int, c byte) (int, error) {
	switch c {
	case '"':
		end := skipPlain(d.src, i+1)
		if at(d.src, end) != '"' {
			return d.special(i+1, end)
		}
		d.add(String, i+1, end)
		return end + 1, nil
	case '{':
		return d.object(i)
	case '[':
		return d.array(i)
	case 't':
		return d.literal(Boolean, "true", i)
	case 'f':
		return d.literal(Boolean, "false", i)
	case 'n':
		return d.literal(Null, "null", i)
	}
	return d.number(i, c)
}

// add adds a node for the text from start to end. A node has four fields: of more
// the compiler makes another first and copies it, which stalls who reads it next.
func (d *Document) add(kind Kind, start, end int) {
	d.nodes = append(d.nodes, node{uint32(start), uint32(end), uint32(len(d.nodes) + 1), kind})
}

func (d *Document) literal(kind Kind, word string, i int) (int, error) {
	end := i + len(word)
	if end > len(d.src) || string(d.src[i:end]) != word {
		return i, errSyntax
	}
	d.add(kind, i, end)
	return end, nil
}

// open adds the node of an array or object that begins at i.
func (d *Document) open(kind Kind, i int) (node int, err error) {
	if d.depth == maxDepth {
		return 0, errDeep
	}
	d.depth++
	d.add(kind, i, i)
	return len(d.nodes) - 1, nil
}

// shut ends what [Document.open] began, before i.
func (d *Document) shut(node, i int) {
	d.depth--
	n := &d.nodes[node]
	n.end, n.next = uint32(i), uint32(len(d.nodes))
}

// array reads the array that begins at i.
func (d *Document) array(i int) (int, error) {
	node, err := d.open(Array, i)
	if err != nil {
		return i, err
	}
	i, c := next(d.src, i+1)
	if c == ']' {
		i++
	} else if i, err = d.items(i, c); err != nil {
		return i, err
	}
	d.shut(node, i)
	return i, nil
}

// items reads the elements of an array up to its end.
func (d *Document) items(i int, c byte) (int, error) {
	for {
		var err error
		if i, err = d.value(i, c); err != nil {
			return i, err
		}
		i, c = next(d.src, i)
		switch c {
		case ',':
			i, c = next(d.src, i+1)
		case ']':
			return i + 1, nil
		default:
			return i, d.missing(i)
		}
	}
}

// object reads the object that begins at i.
func (d *Document) object(i int) (int, error) {
	node, err := d.open(Object, i)
	if err != nil {
		return i, err
	}
	i, c := next(d.src, i+1)
	if c == '}' {
		i++
	} else if i, err = d.members(node, i, c); err != nil {
		return i, err
	}
	d.shut(node, i)
	return i, nil
}

// members reads the members of the object that a node is, up to its end. Most keys
// are plain and seen to be new at once; [Document.readKey] has the others.
func (d *Document) members(node, i int, c byte) (int, error) {
	o := object{at: uint32(node), unhashed: uint32(node + 1)}
	for {
		var err error
		if c != '"' {
			return i, d.missing(i)
		}
		if end := skipPlain(d.src, i+1); at(d.src, end) == '"' && o.fresh(d.src, i, end) {
			d.add(String, i+1, end)
			i = end + 1
		} else if i, err = d.readKey(&o, i+1, end); err != nil {
			return i, err
		}
		if i, c = next(d.src, i); c != ':' {
			return i, d.missing(i)
		}
		if i, err = d.value(next(d.src, i+1)); err != nil {
			return i, err
		}
		i, c = next(d.src, i)
		switch c {
		case ',':
			i, c = next(d.src, i+1)
		case '}':
			return i + 1, nil
		default:
			return i, d.missing(i)
		}
	}
}

// readKey reads the key whose text begins at start, and is plain up to i, and
// holds it against those before it.
func (d *Document) readKey(o *object, start, i int) (int, error) {
	key := len(d.nodes)
	i, err := d.special(start, i)
	if err != nil {
		return i, err
	}
	if n := &d.nodes[key]; n.kind&escaped != 0 {
		from := len(d.plain)
		d.plain = appendUnescaped(d.plain, d.src[n.start:n.end])
		n.next = uint32(len(d.decoded))
		d.decoded = append(d.decoded, span{uint32(from), uint32(len(d.plain))})
		o.seen = math.MaxUint64 // its bit as well: what follows may be the same without escapes
	}
	if !d.unique(o, uint32(key)) {
		return i, errTwice
	}
	return i, nil
}

// missing tells a text that breaks off at i from one that goes on differently.
func (d *Document) missing(i int) error {
	if i == len(d.src) {
		return errEnd
	}
	return errSyntax
}

// number reads the number that begins with c at start.
func (d *Document) number(start int, c byte) (int, error) {
	i := start
	if c == '-' {
		i++
		c = at(d.src, i)
	} else if !isDigit(c) {
		return i, d.missing(i)
	}
	end := skipDigits(d.src, i)
	if end == i || c == '0' && end > i+1 {
		return i, errNumber
	}
	if c = at(d.src, end); c == '.' || c|0x20 == 'e' {
		var ok bool
		if end, ok = fraction(d.src, end); !ok {
			return i, errNumber
		}
	}
	d.add(Number, start, end)
	return end, nil
}

// fraction skips the fraction and the exponent that begin at i, of which one may
// be missing, and reports whether they are well-formed.
func fraction(src []byte, i int) (end int, ok bool) {
	if at(src, i) == '.' {
		from := i + 1
		if i = skipDigits(src, from); i == from {
			return i, false
		}
	}
	if at(src, i)|0x20 != 'e' {
		return i, true
	}
	if i++; at(src, i) == '+' || at(src, i) == '-' {
		i++
	}
	end = skipDigits(src, i)
	return end, end > i
}

func skipDigits(src []byte, i int) int {
	for isDigit(at(src, i)) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// special reads the string whose text begins at start, and is plain up to i.
func (d *Document) special(start, i int) (int, error) {
	for kind := String; i < len(d.src); i = skipPlain(d.src, i) {
		var n int
		var err error
		switch c := d.src[i]; {
		case c == '"':
			d.add(kind, start, i)
			return i + 1, nil
		case c == '\\':
			n, err = escape(d.src[i:])
			kind = String | escaped
		case c < ' ':
			err = errControl
		default:
			n, err = characters(d.src[i:])
		}
		if err != nil {
			return i, err
		}
		i += n
	}
	return i, errEnd
}

// plain tells the bytes of a string that need no second look.
var plain = func() (p [256]bool) {
	for c := range utf8.RuneSelf {
		p[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return p
}()

// skipPlain returns the place of the first byte from i on that is not plain.
// Eight bytes are looked at together: most of most texts are strings. The first
// byte of a text is the lowest of the word, which [marks] is right about.
func skipPlain(src []byte, i int) int {
	for ; i+8 <= len(src); i += 8 {
		if special := marks(binary.LittleEndian.Uint64(src[i : i+8 : i+8])); special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(src) && plain[src[i]] {
		i++
	}
	return i
}

// marks is 0 where all eight bytes of v are plain. Else the lowest byte that has
// its high bit set is the lowest one that is not plain, and what is above it means
// nothing. A byte that is at least 0x80 is marked as it is. Another is by a
// subtraction where it is less than what is taken from it, which borrows from
// those above alone. With the second bit flipped, the quotation mark is less than
// 0x21, as the control characters are and nothing else.
func marks(v uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (v | ((v ^ ones*2) - ones*0x21) | ((v ^ ones*'\\') - ones)) & high
}

// characters returns the length of the characters beyond ASCII that src begins
// with.
func characters(src []byte) (length int, err error) {
	for at(src, length) >= utf8.RuneSelf {
		r, n := utf8.DecodeRune(src[length:])
		switch {
		case r == utf8.RuneError && n == 1:
			return 0, errUTF8
		case isNoncharacter(r):
			return 0, errNoncharacter
		}
		length += n
	}
	return length, nil
}

// isNoncharacter reports whether Unicode keeps r for no use in texts.
func isNoncharacter(r rune) bool {
	return r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef
}
