package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
)

// readTexts reads a file of testdata.
func readTexts(tb testing.TB, file string) (texts [][2]string) {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		name, text, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if quoted, coded := strings.CutPrefix(text, "go:"); coded {
			quoted, times, repeated := strings.Cut(quoted, "\"*")
			if repeated {
				quoted += "\""
			}
			if text, err = strconv.Unquote(quoted); err != nil {
				tb.Fatalf("%s: %s: %v", file, line, err)
			}
			if n, err := strconv.Atoi(times); err == nil {
				text = strings.Repeat(text, n)
			}
		}
		if !ok {
			tb.Fatalf("%s: %s: write a name, a tab and a text", file, line)
		}
		texts = append(texts, [2]string{name, text})
	}
	return texts
}

// TestTexts holds the reader to what the files under testdata say, with one
// document for all: none may leave anything behind.
func TestTexts(t *testing.T) {
	var d json.Document
	for _, text := range readTexts(t, "testdata/accepted.txt") {
		if err := d.Parse([]byte(text[1])); err != nil {
			t.Errorf("%s: %q: %v", text[0], text[1], err)
		}
	}
	for _, text := range readTexts(t, "testdata/refused.txt") {
		if err := d.Parse([]byte(text[1])); err == nil {
			t.Errorf("%s: %.80q is read", text[0], text[1])
		}
		if d.Root().Kind() != json.None {
			t.Errorf("%s: something is left of a refused text", text[0])
		}
	}
}

func TestDepth(t *testing.T) {
	var d json.Document
	for depth, want := range map[int]bool{128: true, 129: false} {
		for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
			inner := "1"
			text := strings.Repeat(pair[0], depth) + inner + strings.Repeat(pair[1], depth)
			if err := d.Parse([]byte(text)); (err == nil) != want {
				t.Errorf("%s at depth %d: %v", pair[0], depth, err)
			}
		}
	}
}

// decode returns a value as encoding/json would, but for numbers, which stay
// text.
func decode(v json.Value) any {
	var scratch []byte
	switch v.Kind() {
	case json.Null:
		return nil
	case json.Boolean:
		return v.Text(&scratch) == "true"
	case json.Number:
		return stdjson.Number(v.Text(&scratch))
	case json.String:
		return strings.Clone(v.Text(&scratch))
	case json.Array:
		items := []any{}
		for item := range v.Items {
			items = append(items, decode(item))
		}
		return items
	case json.Object:
		members := map[string]any{}
		for key, member := range v.Members {
			members[strings.Clone(key)] = decode(member)
		}
		return members
	}
	return errors.New("no value")
}

// FuzzJSON: whatever is read, encoding/json reads to the same values; every
// part of a text stands where it says; and no key was there twice.
func FuzzJSON(f *testing.F) {
	for _, file := range []string{"testdata/accepted.txt", "testdata/refused.txt"} {
		for _, text := range readTexts(f, file) {
			if len(text[1]) < 1000 {
				f.Add([]byte(text[1]))
			}
		}
	}
	var d json.Document
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := d.Parse(text); err != nil {
			return
		}
		decoder := stdjson.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q is read here and not by encoding/json: %v", text, err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("%q: something follows", text)
		}
		got := decode(d.Root())
		a, _ := stdjson.Marshal(got)
		b, _ := stdjson.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Fatalf("%q is read as %s, by encoding/json as %s", text, a, b)
		}
		if !utf8.Valid(text) || bytes.HasPrefix(text, []byte("\ufeff")) {
			t.Fatalf("%q is read", text)
		}
		checkKeys(t, text)
		checkRaw(t, d.Root())
	})
}

// checkKeys reads the tokens of a text and counts the keys of each object.
func checkKeys(t *testing.T, text []byte) {
	t.Helper()
	decoder := stdjson.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var walk func(stdjson.Token)
	next := func() stdjson.Token {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	walk = func(token stdjson.Token) {
		switch token {
		case stdjson.Delim('['):
			for decoder.More() {
				walk(next())
			}
			next()
		case stdjson.Delim('{'):
			var keys []string
			for decoder.More() {
				key := next().(string)
				if slices.Contains(keys, key) {
					t.Fatalf("%q is read, in which %q occurs twice", text, key)
				}
				keys = append(keys, key)
				walk(next())
			}
			next()
		}
	}
	walk(next())
}

// checkRaw holds what Raw and RawKey return against the values.
func checkRaw(t *testing.T, v json.Value) {
	t.Helper()
	var again json.Document
	if err := again.Parse(v.Raw()); err != nil {
		t.Fatalf("%q is part of a text and none by itself: %v", v.Raw(), err)
	}
	for item := range v.Items {
		checkRaw(t, item)
	}
	for key, member := range v.Members {
		var got string
		if err := stdjson.Unmarshal(member.RawKey(), &got); err != nil || got != key {
			t.Fatalf("the key %q stands as %s", key, member.RawKey())
		}
		if v.Member(key) != member {
			t.Fatalf("the member %q is not found", key)
		}
		checkRaw(t, member)
	}
}

// TestManyKeys: looking for keys that occur twice takes time that the keys
// set, and finds them wherever they stand.
func TestManyKeys(t *testing.T) {
	object := func(n int, last string) []byte {
		var b bytes.Buffer
		b.WriteByte('{')
		for i := range n {
			b.WriteString(`"key-` + strconv.Itoa(i) + `":{"key-1":1},`)
		}
		return append(b.Bytes(), last+`:0}`...)
	}
	var d json.Document
	for _, n := range []int{7, 8, 9, 31, 32, 33, 1000, 60000} {
		if err := d.Parse(object(n, `"other"`)); err != nil {
			t.Errorf("%d keys: %v", n, err)
		}
		for _, twice := range []string{`"key-0"`, `"key-` + strconv.Itoa(n-1) + `"`, `"\u006bey-` + strconv.Itoa(n/2) + `"`} {
			if err := d.Parse(object(n, twice)); err == nil {
				t.Errorf("%d keys and %s again: read", n, twice)
			}
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for name, text := range texts {
		var d json.Document
		if n := testing.AllocsPerRun(100, func() {
			if err := d.Parse(text); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestZeroValues(t *testing.T) {
	var d json.Document
	var scratch []byte
	for name, v := range map[string]json.Value{"value": {}, "document": d.Root(), "member": d.Root().Member("a")} {
		if v.Kind() != json.None || v.Raw() != nil || v.Text(&scratch) != "" || decode(v) == nil {
			t.Errorf("the zero %s has something", name)
		}
	}
}

// TestKeyTwice has objects with more keys than can be told apart at a glance, of
// which one is there twice, or twice but for an escape, or not.
func TestKeyTwice(t *testing.T) {
	var d json.Document
	for n := 1; n < 200; n++ {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d": {"k%d": 1}, `, i, i)
		}
		for last, want := range map[string]bool{
			`"other"`: true, `"k0"`: false, `"\u006b0"`: false, `"\u006b-"`: true, `""`: true, fmt.Sprintf(`"k%d"`, n-1): false,
		} {
			for _, text := range []string{
				`{` + b.String() + last + `: 0}`,
				`{` + last + `: 0, ` + strings.TrimSuffix(b.String(), ", ") + `}`,
				`[{"a": 1}, {` + b.String() + last + `: {` + last + `: 0}}]`,
			} {
				if err := d.Parse([]byte(text)); (err == nil) != want {
					t.Fatalf("%s: %v", text, err)
				}
			}
		}
	}
}
