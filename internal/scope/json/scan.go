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

// scanner reads a text into a document.
type scanner struct {
	d   *Document
	src []byte
	i   int // what is read next
	// depth counts the arrays and objects that are open.
	depth int
}

func (s *scanner) document() error {
	if len(s.src) >= 3 && string(s.src[:3]) == "\xef\xbb\xbf" {
		return errMark
	}
	s.space()
	if s.i == len(s.src) {
		return errEmpty
	}
	if err := s.value(); err != nil {
		return err
	}
	if s.space(); s.i < len(s.src) {
		return errBehind
	}
	return nil
}

// space skips the four characters that JSON calls white space.
func (s *scanner) space() {
	for s.i < len(s.src) {
		if c := s.src[s.i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return
		}
		s.i++
	}
}

// value reads the value that begins here.
func (s *scanner) value() error {
	if s.i == len(s.src) {
		return errEnd
	}
	switch c := s.src[s.i]; c {
	case '"':
		return s.string()
	case '{':
		return s.nested(Object, s.members)
	case '[':
		return s.nested(Array, s.items)
	case 't':
		return s.literal(Boolean, "true")
	case 'f':
		return s.literal(Boolean, "false")
	case 'n':
		return s.literal(Null, "null")
	default:
		return s.number(c)
	}
}

// add adds a node for the text from start to what is read next.
func (s *scanner) add(kind Kind, start int) {
	s.d.nodes = append(s.d.nodes, node{kind: kind, start: uint32(start), end: uint32(s.i), next: uint32(len(s.d.nodes) + 1)})
}

func (s *scanner) literal(kind Kind, word string) error {
	rest := s.src[s.i:]
	if len(rest) < len(word) || string(rest[:len(word)]) != word {
		return errSyntax
	}
	s.i += len(word)
	s.add(kind, s.i-len(word))
	return nil
}

// nested reads an array or an object, whose inside is read by inner.
func (s *scanner) nested(kind Kind, inner func(at int) error) error {
	if s.depth++; s.depth > maxDepth {
		return errDeep
	}
	at := len(s.d.nodes)
	s.add(kind, s.i)
	s.i++
	if err := inner(at); err != nil {
		return err
	}
	s.depth--
	s.d.nodes[at].end, s.d.nodes[at].next = uint32(s.i), uint32(len(s.d.nodes))
	return nil
}

// items reads the elements of an array up to its end.
func (s *scanner) items(int) error {
	if s.space(); s.closes(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		if s.space(); s.closes(']') {
			return nil
		}
		if !s.closes(',') {
			return s.missing()
		}
	}
}

// members reads the members of the object that node at is, up to its end.
func (s *scanner) members(at int) error {
	if s.space(); s.closes('}') {
		return nil
	}
	o := object{at: uint32(at)}
	for {
		if s.space(); s.i == len(s.src) || s.src[s.i] != '"' {
			return s.missing()
		}
		if err := s.key(&o); err != nil {
			return err
		}
		if s.space(); !s.closes(':') {
			return s.missing()
		}
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		if s.space(); s.closes('}') {
			return nil
		}
		if !s.closes(',') {
			return s.missing()
		}
	}
}

// key reads a key, and holds it against those before it.
func (s *scanner) key(o *object) error {
	at := len(s.d.nodes)
	if err := s.string(); err != nil {
		return err
	}
	if n := &s.d.nodes[at]; n.escaped {
		from := len(s.d.plain)
		s.d.plain = appendUnescaped(s.d.plain, s.src[n.start:n.end])
		n.next = uint32(len(s.d.decoded))
		s.d.decoded = append(s.d.decoded, span{uint32(from), uint32(len(s.d.plain))})
	}
	if !s.d.unique(o, uint32(at)) {
		return errTwice
	}
	return nil
}

// closes takes c where it stands next.
func (s *scanner) closes(c byte) bool {
	if s.i == len(s.src) || s.src[s.i] != c {
		return false
	}
	s.i++
	return true
}

// missing tells a text that breaks off from one that goes on differently.
func (s *scanner) missing() error {
	if s.i == len(s.src) {
		return errEnd
	}
	return errSyntax
}

// number reads the number that begins with c.
func (s *scanner) number(c byte) error {
	start := s.i
	if !isDigit(c) && !s.closes('-') {
		return errSyntax
	}
	if zero := s.closes('0'); !zero && !s.digits() {
		return errNumber
	}
	if s.closes('.') && !s.digits() {
		return errNumber
	}
	if (s.closes('e') || s.closes('E')) && !s.exponent() {
		return errNumber
	}
	s.add(Number, start)
	return nil
}

func (s *scanner) exponent() bool {
	if !s.closes('+') {
		s.closes('-')
	}
	return s.digits()
}

// digits takes at least one digit.
func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.src) && isDigit(s.src[s.i]) {
		s.i++
	}
	return s.i > start
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
func (s *scanner) string() error {
	start, escaped := s.i+1, false
	for i := start; ; {
		i = skipPlain(s.src, i)
		if i == len(s.src) {
			return errEnd
		}
		switch c := s.src[i]; {
		case c == '"':
			s.i = i
			s.add(String, start)
			s.d.nodes[len(s.d.nodes)-1].escaped = escaped
			s.i++
			return nil
		case c == '\\':
			n, err := escape(s.src[i:])
			if err != nil {
				return err
			}
			escaped = true
			i += n
		case c < ' ':
			return errControl
		default:
			n, err := character(s.src[i:])
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
