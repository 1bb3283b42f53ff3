package json

import (
	"errors"
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

// scan reads the text of d.
func (d *Document) scan() error {
	if len(d.src) >= 3 && string(d.src[:3]) == "\xef\xbb\xbf" {
		return errMark
	}
	d.space()
	if d.i == len(d.src) {
		return errEmpty
	}
	if err := d.value(); err != nil {
		return err
	}
	if d.space(); d.i < len(d.src) {
		return errBehind
	}
	return nil
}

// space skips the four characters that JSON calls white space.
func (d *Document) space() {
	for d.i < len(d.src) {
		if c := d.src[d.i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return
		}
		d.i++
	}
}

// value reads the value that begins here.
func (d *Document) value() error {
	if d.i == len(d.src) {
		return errEnd
	}
	switch c := d.src[d.i]; c {
	case '"':
		return d.string()
	case '{':
		return d.nested(Object)
	case '[':
		return d.nested(Array)
	case 't':
		return d.literal(Boolean, "true")
	case 'f':
		return d.literal(Boolean, "false")
	case 'n':
		return d.literal(Null, "null")
	default:
		return d.number(c)
	}
}

// add adds a node for the text from start to what is read next.
func (d *Document) add(kind Kind, start int) {
	d.nodes = append(d.nodes, node{kind: kind, start: uint32(start), end: uint32(d.i), next: uint32(len(d.nodes) + 1)})
}

func (d *Document) literal(kind Kind, word string) error {
	rest := d.src[d.i:]
	if len(rest) < len(word) || string(rest[:len(word)]) != word {
		return errSyntax
	}
	d.i += len(word)
	d.add(kind, d.i-len(word))
	return nil
}

// nested reads an array or an object.
func (d *Document) nested(kind Kind) error {
	if d.depth++; d.depth > maxDepth {
		return errDeep
	}
	at := len(d.nodes)
	d.add(kind, d.i)
	d.i++
	var err error
	if kind == Object {
		err = d.members(at)
	} else {
		err = d.items()
	}
	if err != nil {
		return err
	}
	d.depth--
	d.nodes[at].end, d.nodes[at].next = uint32(d.i), uint32(len(d.nodes))
	return nil
}

// items reads the elements of an array up to its end.
func (d *Document) items() error {
	if d.space(); d.closes(']') {
		return nil
	}
	for {
		d.space()
		if err := d.value(); err != nil {
			return err
		}
		if d.space(); d.closes(']') {
			return nil
		}
		if !d.closes(',') {
			return d.missing()
		}
	}
}

// members reads the members of the object that node at is, up to its end.
func (d *Document) members(at int) error {
	if d.space(); d.closes('}') {
		return nil
	}
	o := object{at: uint32(at)}
	for {
		if d.space(); d.i == len(d.src) || d.src[d.i] != '"' {
			return d.missing()
		}
		if err := d.readKey(&o); err != nil {
			return err
		}
		if d.space(); !d.closes(':') {
			return d.missing()
		}
		d.space()
		if err := d.value(); err != nil {
			return err
		}
		if d.space(); d.closes('}') {
			return nil
		}
		if !d.closes(',') {
			return d.missing()
		}
	}
}

// readKey reads a key, and holds it against those before it.
func (d *Document) readKey(o *object) error {
	at := len(d.nodes)
	if err := d.string(); err != nil {
		return err
	}
	if n := &d.nodes[at]; n.escaped {
		from := len(d.plain)
		d.plain = appendUnescaped(d.plain, d.src[n.start:n.end])
		n.next = uint32(len(d.decoded))
		d.decoded = append(d.decoded, span{uint32(from), uint32(len(d.plain))})
	}
	if !d.unique(o, uint32(at)) {
		return errTwice
	}
	return nil
}

// closes takes c where it stands next.
func (d *Document) closes(c byte) bool {
	if d.i == len(d.src) || d.src[d.i] != c {
		return false
	}
	d.i++
	return true
}

// missing tells a text that breaks off from one that goes on differently.
func (d *Document) missing() error {
	if d.i == len(d.src) {
		return errEnd
	}
	return errSyntax
}

// number reads the number that begins with c.
func (d *Document) number(c byte) error {
	start := d.i
	if !isDigit(c) && !d.closes('-') {
		return errSyntax
	}
	if zero := d.closes('0'); !zero && !d.digits() {
		return errNumber
	}
	if d.closes('.') && !d.digits() {
		return errNumber
	}
	if (d.closes('e') || d.closes('E')) && !d.exponent() {
		return errNumber
	}
	d.add(Number, start)
	return nil
}

func (d *Document) exponent() bool {
	if !d.closes('+') {
		d.closes('-')
	}
	return d.digits()
}

// digits takes at least one digit.
func (d *Document) digits() bool {
	start := d.i
	for d.i < len(d.src) && isDigit(d.src[d.i]) {
		d.i++
	}
	return d.i > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// plain tells the bytes of a string that need no second look.
var plain = func() (p [256]bool) {
	for c := range utf8.RuneSelf {
		p[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return p
}()

// string reads the string that begins here.
func (d *Document) string() error {
	start, escaped := d.i+1, false
	for i := start; ; {
		i = skipPlain(d.src, i)
		if i == len(d.src) {
			return errEnd
		}
		switch c := d.src[i]; {
		case c == '"':
			d.i = i
			d.add(String, start)
			d.nodes[len(d.nodes)-1].escaped = escaped
			d.i++
			return nil
		case c == '\\':
			n, err := escape(d.src[i:])
			if err != nil {
				return err
			}
			escaped = true
			i += n
		case c < ' ':
			return errControl
		default:
			n, err := character(d.src[i:])
			if err != nil {
				return err
			}
			i += n
		}
	}
}

// skipPlain returns the place of the first byte from i on that is not plain.
// Eight bytes are looked at together: most of most texts are strings.
func skipPlain(src []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(src); i += 8 {
		b := src[i : i+8 : i+8]
		v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := v^ones*'"', v^ones*'\\'
		// A borrow starts only at a byte that is itself special, so the sum is
		// zero exactly if all eight are plain.
		if (v|(v-ones*' ')&^v|(quote-ones)&^quote|(slash-ones)&^slash)&high != 0 {
			break
		}
	}
	for i < len(src) && plain[src[i]] {
		i++
	}
	return i
}

// character returns the length of the character beyond ASCII that src begins
// with.
func character(src []byte) (int, error) {
	r, n := utf8.DecodeRune(src)
	switch {
	case r == utf8.RuneError && n == 1:
		return 0, errUTF8
	case isNoncharacter(r):
		return 0, errNoncharacter
	}
	return n, nil
}

// isNoncharacter reports whether Unicode keeps r for no use in texts.
func isNoncharacter(r rune) bool {
	return r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef
}
