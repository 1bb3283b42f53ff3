package text

import (
	"encoding/json"
	"testing"
)

func TestAppendKey(t *testing.T) {
	for key, want := range map[string]string{
		"model": "model", "MoDeL": "model", "max_to\u212aens": "max_tokens", "doc\u017f": "docs", "model\x00x": "model", "": "",
		"\u0131d": "id", "\u0130D": "id", "stra\u00dfe": "strasse", "STRA\u1e9eE": "strasse", "\ufb01le": "file", "o\ufb03ce": "office", "be\ufb06": "best",
	} {
		if got := string(AppendKey(nil, key)); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
	for _, pair := range [][2]string{{"\u00e4", "\u00c4"}, {"\u03c3", "\u03c2"}, {"\u03a3", "\u03c2"}, {"\u01c5", "\u01c6"}, {"\u00e5", "\u212b"}} {
		if a, b := string(AppendKey(nil, pair[0])), string(AppendKey(nil, pair[1])); a != b {
			t.Errorf("%q is %q and %q is %q", pair[0], a, pair[1], b)
		}
	}
	for _, pair := range [][2]string{{"a", "b"}, {"a", "\u0430"}, {"a", "aa"}, {"\u00e4", "a"}} {
		if a, b := string(AppendKey(nil, pair[0])), string(AppendKey(nil, pair[1])); a == b {
			t.Errorf("%q and %q are both %q", pair[0], pair[1], a)
		}
	}
}

// FuzzAppendKey: a key that encoding/json takes for a field of another name
// has the same spelling.
func FuzzAppendKey(f *testing.F) {
	for _, seed := range []string{"token", "TO\u212aEN", "to\u017fen", "tokens", "\u017ftream", "STREAM"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		object, err := json.Marshal(map[string]int{key: 1})
		if err != nil {
			return
		}
		var fields struct{ Token, Stream, Docs, K, S int }
		if err := json.Unmarshal(object, &fields); err != nil {
			t.Fatal(err)
		}
		for name, found := range map[string]int{"token": fields.Token, "stream": fields.Stream, "docs": fields.Docs, "k": fields.K, "s": fields.S} {
			if found > 0 && string(AppendKey(nil, key)) != name {
				t.Errorf("%q is %s to encoding/json and %q here", key, name, AppendKey(nil, key))
			}
		}
	})
}
