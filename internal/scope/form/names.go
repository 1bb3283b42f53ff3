package form

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Names are listed names, with the spellings of each that some reader takes
// for the same name: letter case aside, with what it reads as an index, such
// as ids[] for ids, and with the characters that PHP replaces. The zero Names
// has none. It is safe for concurrent use.
type Names struct {
	whole map[string]struct{}
	// bases are the listed names up to each of their brackets.
	bases map[string]struct{}
}

// NewNames returns the Names of a list.
func NewNames(list []string) Names {
	n := Names{whole: map[string]struct{}{}, bases: map[string]struct{}{}}
	for _, name := range list {
		spelled := string(appendName(nil, name))
		n.whole[spelled] = struct{}{}
		if list, ok := strings.CutSuffix(spelled, "[]"); ok {
			n.whole[list] = struct{}{} // whose other elements are ids[0] and so on
		}
		for i := range len(spelled) {
			if i > 0 && spelled[i] == '[' {
				n.bases[spelled[:i]] = struct{}{}
			}
		}
	}
	return n
}

// maxBrackets bounds the work on one name.
const maxBrackets = 8

// HasSpelling reports whether name is a spelling of a listed name; a listed
// name is one of itself. It uses scratch for memory alone.
func (n *Names) HasSpelling(name string, scratch *[]byte) bool {
	*scratch = appendName((*scratch)[:0], name)
	spelled := text.View(*scratch)
	if has(n.whole, spelled) || has(n.bases, spelled) {
		return true
	}
	brackets := 0
	for i := 1; i < len(spelled); i++ {
		if spelled[i] != '[' {
			continue
		}
		if brackets++; brackets > maxBrackets || has(n.whole, spelled[:i]) {
			return true // no name has that many: what it is a spelling of is not worth finding out
		}
	}
	return false
}

func has(set map[string]struct{}, name string) bool { _, ok := set[name]; return ok }

// appendName appends the one spelling of a name that all have that are taken
// for the same.
func appendName(dst []byte, name string) []byte {
	from := len(dst)
	dst = text.AppendKey(dst, strings.TrimLeft(name, " "))
	for i, c := range dst[from:] {
		if c == '.' || c == ' ' {
			dst[from+i] = '_'
		}
	}
	return dst
}
