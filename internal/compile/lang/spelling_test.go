package lang

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/form"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// TestKeyImages: no character is missing of which the judge makes another.
func TestKeyImages(t *testing.T) {
	images := keyImages().list
	for r := rune(1); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		i, found := slices.BinarySearchFunc(images, r, func(a image, r rune) int { return int(a.of - r) })
		want := string(text.AppendKey(nil, string(r)))
		if found != (want != string(r)) || found && string(images[i].is) != want {
			t.Errorf("%U is taken for %q", r, want)
		}
	}
}

// FuzzSpellings: the texts that are taken for a key or a name are those of
// which the judge says so.
func FuzzSpellings(f *testing.F) {
	for _, seed := range [][2]string{
		{"action", "ACT\u0131ON"}, {"ids[]", "ids"}, {"user.name", " User_Name[0]"}, {"a[b]", "a"}, {"stra\u00dfe", "strasse"}, {"ok", "o\u212a"},
		{"id", "id\x00x"}, {"x", "x[[[[[[[[["}, {"[", "[["}, {"", ""}, {"\ufb00", "ff"}, {" ", "_"}, {" ", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, s string) {
		if len(name) > 24 || len(s) > 64 || !utf8.ValidString(name) || !utf8.ValidString(s) {
			return
		}
		w := NewWork(1 << 18)
		keys, names := w.SameKeys(name), w.Or(w.SameNames(name), w.DeepNames())
		if w.Exceeded() {
			return
		}
		folded := func(s string) string { return string(text.AppendKey(nil, s)) }
		if got := keys.HasText(s); got != (folded(s) == folded(name)) {
			t.Errorf("%q for the key %q: %t", s, name, got)
		}
		listed, scratch := form.NewNames([]string{name}), []byte(nil)
		if strings.IndexByte(name+s, 0) >= 0 {
			return // no form has such a name
		}
		if got := names.HasText(s); got != listed.HasSpelling(s, &scratch) {
			t.Errorf("%q for the name %q: %t", s, name, got)
		}
		if word, found := w.Shortest(w.Minus(names, w.Words(name, s))); found && !listed.HasSpelling(word.String(), &scratch) {
			t.Errorf("%q is no spelling of %q", word.String(), name)
		}
	})
}
