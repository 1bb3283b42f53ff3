package json_test

import (
	stdjson "encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
)

// agrees holds a text to the standard library, where nothing is in it that this
// refuses and the standard library does not but bytes that are not UTF-8.
func agrees(t *testing.T, d *json.Document, text []byte) {
	t.Helper()
	want := stdjson.Valid(text) && utf8.Valid(text)
	if err := d.Parse(text); (err == nil) != want {
		t.Fatalf("%q: %v, want it read: %t", text, err, want)
	}
}

// TestBorders has every byte at every place of strings and keys that end at and
// around the borders of the eight bytes that are looked at together, with more of
// the text behind them and without.
func TestBorders(t *testing.T) {
	var d json.Document
	for length := range 18 {
		for place := range length {
			text := []byte(strings.Repeat("a", length))
			for c := range 256 {
				text[place] = byte(c)
				for _, behind := range []int{0, 6, 8} {
					agrees(t, &d, fmt.Appendf(nil, `"%s"%*s`, text, behind, ""))
				}
				agrees(t, &d, fmt.Appendf(nil, `{"%s":""}`, text))
			}
		}
	}
}

// edges are the bytes that the arithmetic of eight bytes could take for others:
// special ones and their neighbours.
var edges = []byte{0, 1, 2, 0x1f, ' ', '!', '"', '#', '$', '[', '\\', ']', '^', 0x7f, 0x80, 0x81, 0xa2, 0xdc, 0xfe, 0xff}

// TestNeighbours has two such bytes at any two places of eight, since what one
// borrows is taken from the next.
func TestNeighbours(t *testing.T) {
	var d json.Document
	for i := range 8 {
		for k := range 8 {
			text := []byte(`["aaaaaaaa","b","c"]`)
			for _, first := range edges {
				for _, second := range edges {
					text[2+i], text[2+k] = first, second
					agrees(t, &d, text)
				}
			}
		}
	}
}

// TestCharacters has characters of every length at every place around the borders,
// whole and cut.
func TestCharacters(t *testing.T) {
	var d json.Document
	for _, c := range []string{"\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010fffd", "é字😀é"} {
		for before := range 18 {
			text := `"` + strings.Repeat("a", before) + c + `bc"`
			agrees(t, &d, []byte(text))
			for cut := range len(c) {
				agrees(t, &d, []byte(`"`+strings.Repeat("a", before)+c[:cut]+`bc"`))
			}
			for cut := range text {
				agrees(t, &d, []byte(text[:cut]))
			}
		}
	}
}

// TestTokens has every text of up to five tokens. Keys that are there twice are
// those of the tests below.
func TestTokens(t *testing.T) {
	var d json.Document
	every([]string{"{", "}", "[", "]", ",", ":", `"`, `"a"`, "1", " "}, 5, func(text []byte) {
		if strings.Count(string(text), `"a":`)+strings.Count(string(text), `"a" :`) < 2 {
			agrees(t, &d, text)
		}
	})
}

// TestNumbers has every text of up to five characters that numbers are made of.
func TestNumbers(t *testing.T) {
	var d json.Document
	every([]string{"0", "1", "9", "-", "+", ".", "e", "E", " "}, 5, func(text []byte) { agrees(t, &d, text) })
}

// TestLiterals has the three words with every byte changed, and cut anywhere.
func TestLiterals(t *testing.T) {
	var d json.Document
	for _, word := range []string{"true", "false", "null"} {
		for i := range word {
			agrees(t, &d, []byte(word[:i]))
			agrees(t, &d, []byte("["+word[:i]+"]"))
			for c := range 256 {
				text := []byte("[" + word + "]")
				text[1+i] = byte(c)
				agrees(t, &d, text)
			}
		}
	}
}

// every calls do with each text of up to n parts.
func every(parts []string, n int, do func(text []byte)) {
	var more func(text []byte, n int)
	more = func(text []byte, n int) {
		do(text)
		for _, part := range parts {
			if n > 0 {
				more(append(slices.Clip(text), part...), n-1)
			}
		}
	}
	more(nil, n)
}

// TestTwice has objects in which any two of many keys are the same, however the
// two are written, and whatever else is known of those between them.
func TestTwice(t *testing.T) {
	spellings := map[string]func(i int) [2]string{
		"plain":           func(i int) [2]string { return [2]string{fmt.Sprint("key-", i), fmt.Sprint("key-", i)} },
		"escaped":         func(i int) [2]string { return [2]string{fmt.Sprint(`\u006bey-`, i), fmt.Sprint(`k\u0065y-`, i)} },
		"escaped later":   func(i int) [2]string { return [2]string{fmt.Sprint("key-", i), fmt.Sprint(`\u006bey-`, i)} },
		"escaped earlier": func(i int) [2]string { return [2]string{fmt.Sprint(`\u006bey-`, i), fmt.Sprint("key-", i)} },
		"beyond ASCII":    func(i int) [2]string { return [2]string{fmt.Sprint("ключ-", i), fmt.Sprint("ключ-", i)} },
		"escapes beyond":  func(i int) [2]string { return [2]string{fmt.Sprint(`\u043aлюч-`, i), fmt.Sprint("ключ-", i)} },
		"empty":           func(i int) [2]string { return [2]string{strings.Repeat("k", i), strings.Repeat("k", i)} },
	}
	var d json.Document
	for name, spelling := range spellings {
		for last := range 80 {
			n := last + 2
			if err := d.Parse(object(n, spelling, last, last)); err != nil {
				t.Fatalf("%s: %d keys, each there once: %v", name, n, err)
			}
			for first := 0; first < last; first += 1 + last/10 {
				if err := d.Parse(object(n, spelling, first, last)); err == nil {
					t.Fatalf("%s: key %d of %d is there again as key %d, and read", name, first, n, last)
				}
			}
		}
	}
}

// object has n keys in their first spelling, of which the last given is the first
// given in its other one. Below each of them stands one of the same name.
func object(n int, spelling func(i int) [2]string, first, last int) []byte {
	text := []byte{'{'}
	for i := range n {
		key := spelling(i)[0]
		if i == last && first < last {
			key = spelling(first)[1]
		}
		text = fmt.Appendf(text, `"%s":{"%s":[]},`, key, key)
	}
	text[len(text)-1] = '}'
	return text
}
