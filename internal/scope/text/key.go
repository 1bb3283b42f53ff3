package text

import (
	"unicode"
	"unicode/utf8"
)

// AppendKey appends the one spelling of a key that all have that some reader
// takes for the same: readers that compare keys without letter case differ in
// what they do with letters beyond ASCII, and all of their ways count here.
// Readers of texts that end in a zero byte see nothing behind one.
func AppendKey(dst []byte, key string) []byte {
	for i := 0; i < len(key); {
		c := key[i]
		switch {
		case c == 0:
			return dst
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(key[i:])
			dst = appendFolded(dst, r)
			i += n
		}
	}
	return dst
}

// expanded are the letters whose full case folding begins with ASCII letters.
var expanded = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'ﬀ': "ff", 'ﬁ': "fi", 'ﬂ': "fl", 'ﬃ': "ffi", 'ﬄ': "ffl", 'ﬅ': "st", 'ﬆ': "st",
	'ŉ': "n", 'ǰ': "j", 'ẖ': "h", 'ẗ': "t", 'ẘ': "w", 'ẙ': "y", 'ẚ': "a", 'İ': "i",
}

func appendFolded(dst []byte, r rune) []byte {
	if letters, found := expanded[r]; found {
		return append(dst, letters...)
	}
	// The least of all that simple folding, or a change to one case or the
	// other, can make of r: the dotless i becomes an I in upper case, though it
	// folds to itself.
	least := min(leastFold(r), leastFold(unicode.ToUpper(r)), leastFold(unicode.ToLower(r)))
	return utf8.AppendRune(dst, unicode.ToLower(least))
}

// leastFold returns the least code point that is equal to r under simple
// folding.
func leastFold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}
