package mask

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// pattern is one kind of rendering: units, each of which is a character or an
// escape that stands for one.
type pattern struct {
	units []unit
	// values tells what a character says: itself, a digit, or six bits.
	values *[256]byte
	// percent and json say that a percent sign and a backslash begin an escape
	// and nothing else.
	percent, json bool
	latin         bool // \u0080 to \u00ff stand for one byte, not for UTF-8
	wraps         bool // line ends may stand between the units
	edge          bool // the character before it holds some of its bits, too
}

// equal tells whether o finds what p finds.
func (p *pattern) equal(o pattern) bool {
	return slices.Equal(p.units, o.units) && p.values == o.values && p.percent == o.percent && p.json == o.json &&
		p.latin == o.latin && p.wraps == o.wraps && p.edge == o.edge
}

// unit is what a character has to say: want, of the bits in mask.
type unit struct{ want, mask byte }

const noValue = 0xff // has bits that every mask has, and no digit

var itself, digits, sixBits = func() (text, digit, six [256]byte) {
	for i := range 256 {
		text[i], digit[i], six[i] = byte(i), noValue, noValue
	}
	for i := range 16 {
		digit["0123456789abcdef"[i]], digit["0123456789ABCDEF"[i]] = byte(i), byte(i)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := range 64 {
		six[(letters + "+/")[i]], six[(letters + "-_")[i]] = byte(i), byte(i)
	}
	return text, digit, six
}()

// patternsOf returns the patterns of a secret.
func patternsOf(secret string) []pattern {
	var all []pattern
	units := exactly([]byte(secret))
	// A sign that begins escapes may also stand for itself: both are looked for.
	for _, percent := range either(strings.Contains(secret, "%")) {
		for _, json := range either(strings.Contains(secret, `\`)) {
			all = append(all, pattern{units: units, values: &itself, percent: percent, json: json, latin: !utf8.ValidString(secret)})
		}
	}
	nibbles := []byte(hex.EncodeToString([]byte(secret)))
	for i, c := range nibbles {
		nibbles[i] = digits[c]
	}
	all = append(all, pattern{units: exactly(nibbles), values: &digits, percent: true, json: true})
	for before := range 3 {
		all = append(all, base64Of(secret, before))
	}
	return all
}

func either(both bool) []bool {
	if both {
		return []bool{true, false}
	}
	return []bool{true}
}

func exactly(values []byte) []unit {
	units := make([]unit, len(values))
	for i, v := range values {
		units[i] = unit{v, 0xff}
	}
	return units
}

// base64Of returns the pattern of a secret that stands so many bytes behind a
// group of three. It begins with the first character that is the secret's
// alone, and ends with the last that has a bit of it.
func base64Of(secret string, before int) pattern {
	first, end := (before*8+5)/6, (before+len(secret))*8
	text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
	p := pattern{values: &sixBits, percent: true, json: true, wraps: true, edge: before > 0}
	for _, c := range []byte(text[first:]) {
		p.units = append(p.units, unit{sixBits[c], 0xff})
	}
	if over := end % 6; over > 0 {
		last := &p.units[len(p.units)-1]
		last.mask = ^byte(1<<(6-over) - 1)
		last.want &= last.mask
	}
	return p
}

// sure is how many characters have to fit before a line end at the end of what
// has arrived is held back: nearly every line ends like some rendering begins.
const sure = 4

// walk reads a rendering at the beginning of text. It returns its length, which
// is 0 where there is none, and whether that depends on what follows text.
func (p *pattern) walk(text []byte) (n int, more bool) {
	var line lineEnd
	for k := 0; k < len(p.units); {
		if n == len(text) {
			return 0, !line.open || k >= sure
		}
		c := p.read(text[n:])
		if c.size == 0 {
			return 0, c.more
		}
		n += c.size
		if p.wraps && k > 0 && line.next(c) {
			continue
		}
		if !p.fits(k, c) {
			return 0, false
		}
		k, line = k+c.count, lineEnd{}
	}
	return n, false
}

// fits reports whether c stands for the units from k on.
func (p *pattern) fits(k int, c character) bool {
	for i, b := range c.bytes[:c.count] {
		if k+i == len(p.units) || !p.units[k+i].is(p, b) {
			return false
		}
	}
	return true
}

func (u unit) is(p *pattern, c byte) bool {
	return p.values[c]&u.mask == u.want || c == '+' && u.want == ' ' && p.values == &itself && p.percent // as in queries
}

// lineEnd is a line end within Base64: LF, or CR LF.
type lineEnd struct {
	cr, lf bool
	open   bool // written as it is
}

func (l *lineEnd) next(c character) bool {
	switch {
	case c.count != 1 || l.lf:
		return false
	case c.bytes[0] == '\n':
		l.lf = true
	case c.bytes[0] == '\r' && !l.cr:
		l.cr = true
	default:
		return false
	}
	l.open = c.size == 1
	return true
}

// character is one character of text, escaped or not: what it stands for, and
// how long it is written. Where its size is 0, it cannot be read; more: yet.
type character struct {
	bytes [utf8.UTFMax]byte
	count int
	size  int
	more  bool
}

func single(c byte, size int) character {
	return character{bytes: [utf8.UTFMax]byte{c}, count: 1, size: size}
}

func (p *pattern) read(text []byte) character {
	switch c := text[0]; {
	case c == '%' && p.percent:
		v, ok := hexOf(text[1:], 2)
		if !ok || len(text) < 3 {
			return character{more: ok}
		}
		return single(byte(v), 3)
	case c == '\\' && p.json:
		return p.escape(text)
	default:
		return single(c, 1)
	}
}

// escape reads an escape of JSON.
func (p *pattern) escape(text []byte) character {
	if len(text) < 2 {
		return character{more: true}
	}
	if text[1] != 'u' {
		c := text[1]
		if i := strings.IndexByte("bfnrt", c); i >= 0 {
			c = "\b\f\n\r\t"[i]
		}
		return single(c, 2)
	}
	v, ok := hexOf(text[2:], 4)
	if !ok || len(text) < 6 {
		return character{more: ok}
	}
	switch {
	case v < utf8.RuneSelf || p.latin && v <= 0xff:
		return single(byte(v), 6)
	case utf16.IsSurrogate(v):
		return surrogates(v, text)
	}
	return runeOf(v, 6)
}

// surrogates reads the second half of a pair, and returns the pair.
func surrogates(high rune, text []byte) character {
	const second = 6
	rest := text[second:]
	if len(rest) == 1 && rest[0] == '\\' || len(rest) == 0 {
		return character{more: true}
	}
	if rest[0] != '\\' || rest[1] != 'u' {
		return character{}
	}
	low, ok := hexOf(rest[2:], 4)
	if !ok || len(rest) < 6 {
		return character{more: ok}
	}
	return runeOf(utf16.DecodeRune(high, low), 2*second)
}

func runeOf(r rune, size int) character {
	c := character{size: size}
	c.count = utf8.EncodeRune(c.bytes[:], r)
	return c
}

// hexOf reads up to n hexadecimal digits, and reports whether there is nothing
// else among the first n characters.
func hexOf(text []byte, n int) (v rune, ok bool) {
	for _, c := range text[:min(n, len(text))] {
		if digits[c] == noValue {
			return 0, false
		}
		v = v<<4 | rune(digits[c])
	}
	return v, true
}
