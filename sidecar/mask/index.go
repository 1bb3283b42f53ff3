package mask

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// window is how much of the beginning of a rendering is indexed, at most.
const window = 32

// pairs is a set of pairs of bytes.
type pairs [1 << 16 / 64]uint64

func (s *pairs) has(a, b byte) bool {
	i := uint(a)<<8 | uint(b)
	return s[i/64]>>(i%64)&1 != 0
}

func (s *pairs) add(as, bs []byte) {
	for _, a := range as {
		for _, b := range bs {
			i := uint(a)<<8 | uint(b)
			s[i/64] |= 1 << (i % 64)
		}
	}
}

// index has the pairs of bytes that renderings consist of, perhaps with some
// more.
type index struct {
	within pairs // of their first bytes, [window] or fewer
	start  pairs // they begin with
	first  [256]bool
}

// piece is one way in which the units from one on up to another can be
// written: for each place the bytes that may stand there.
type piece struct {
	from, to int
	text     [][]byte
}

// add indexes the renderings of p.
func (x *index) add(p *pattern) {
	n := min(window, len(p.units))
	firsts, lasts := make([][]byte, n+1), make([][]byte, n+1+utf8.UTFMax)
	pieces := p.pieces(n)
	for _, piece := range pieces {
		firsts[piece.from] = with(firsts[piece.from], piece.text[0])
		lasts[piece.to] = with(lasts[piece.to], piece.text[len(piece.text)-1])
		for i := range piece.text[1:] {
			x.within.add(piece.text[i], piece.text[i+1])
		}
	}
	for at := range n {
		x.within.add(lasts[at], firsts[at])
	}
	for _, c := range firsts[0] {
		x.first[c] = true
	}
	for _, piece := range pieces {
		switch {
		case piece.from > 0:
		case len(piece.text) > 1:
			x.start.add(piece.text[0], piece.text[1])
		default:
			x.start.add(piece.text[0], firsts[1])
		}
	}
}

// pieces returns those that begin before the unit n.
func (p *pattern) pieces(n int) []piece {
	var all []piece
	for i, u := range p.units[:n] {
		for c := range 256 {
			if u.is(p, byte(c)) {
				all = append(all, p.spellings(i, i+1, byte(c))...)
			}
		}
		if p.wraps && i > 0 {
			all = append(all, p.spellings(i, i, '\n')...)
			all = append(all, p.spellings(i, i, '\r')...)
		}
	}
	if p.json && p.values == &itself {
		all = append(all, p.runes(n)...)
	}
	return all
}

// spellings are the ways to write one byte.
func (p *pattern) spellings(from, to int, c byte) []piece {
	var all []piece
	if !(c == '%' && p.percent || c == '\\' && p.json) {
		all = append(all, piece{from, to, [][]byte{only(c)}})
	}
	if p.percent {
		all = append(all, piece{from, to, [][]byte{only('%'), digit(c >> 4), digit(c)}})
	}
	if !p.json {
		return all
	}
	all = append(all, piece{from, to, escaped(rune(c))})
	short := c
	switch c {
	case '\n':
		short = 'n'
	case '\r':
		short = 'r'
	}
	return append(all, piece{from, to, [][]byte{only('\\'), only(short)}})
}

// runes are the escapes of characters that are longer than a byte.
func (p *pattern) runes(n int) []piece {
	var all []piece
	secret := make([]byte, len(p.units))
	for i, u := range p.units {
		secret[i] = u.want
	}
	for i := 0; i < n; {
		r, size := utf8.DecodeRune(secret[i:])
		switch high, low := utf16.EncodeRune(r); {
		case size == 1:
		case high == utf8.RuneError:
			all = append(all, piece{i, i + size, escaped(r)})
		default:
			all = append(all, piece{i, i + size, append(escaped(high), escaped(low)...)})
		}
		i += size
	}
	return all
}

// escaped is how JSON escapes a UTF-16 code unit.
func escaped(v rune) [][]byte {
	return [][]byte{only('\\'), only('u'), digit(byte(v >> 12)), digit(byte(v >> 8)), digit(byte(v >> 4)), digit(byte(v))}
}

// only and digit are the bytes that may stand in one place: one, or the
// hexadecimal digits of the four lower bits.
func only(c byte) []byte { return itself[c : int(c)+1 : int(c)+1] }

func digit(v byte) []byte {
	if v &= 0xf; v < 10 {
		return only('0' + v)
	}
	return letterDigits[v-10][:]
}

var letterDigits = [6][2]byte{{'a', 'A'}, {'b', 'B'}, {'c', 'C'}, {'d', 'D'}, {'e', 'E'}, {'f', 'F'}}

// with adds what is not in a set yet.
func with(set, more []byte) []byte {
	for _, c := range more {
		if bytes.IndexByte(set, c) < 0 {
			set = append(set, c)
		}
	}
	return set
}
