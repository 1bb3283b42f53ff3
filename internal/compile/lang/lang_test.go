package lang

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

const plenty = 1 << 20

func decimal(t testing.TB, s string) *text.Decimal {
	t.Helper()
	d, ok := text.ParseDecimal(s)
	if !ok {
		t.Fatalf("%q is no decimal", s)
	}
	return &d
}

// TestSets has sets, texts that are in them and their nearest misses. What the
// judge says of the same texts is asked by the fuzz targets.
func TestSets(t *testing.T) {
	w := NewWork(plenty)
	for name, test := range map[string]struct {
		set     *Set
		in, out []string
	}{
		"words":            {w.Words("a", "ab", "é", "", "a"), []string{"a", "ab", "é", ""}, []string{"b", "abc", "e", "\u00e8"}},
		"no words":         {w.Words(), nil, []string{"", "a"}},
		"not UTF-8":        {w.Words("\xff"), nil, []string{"\xff", "\ufffd"}},
		"lengths":          {w.Repeat([]Span{{'a', 'b'}}, 2, 3), []string{"ab", "bab"}, []string{"", "a", "abab", "ac"}},
		"no such length":   {w.Repeat([]Span{{'a', 'b'}}, 3, 2), nil, []string{"", "aa", "aaa"}},
		"glob":             {w.Glob("agent/**"), []string{"agent/a", "agent/a/b"}, []string{"agent", "agent/", "agent//a", "agent/..", "agent/a/.", "x/agent/a"}},
		"glob in a word":   {w.Glob("*:x"), []string{"a:x", ":x", "a:x:x"}, []string{"a/b:x", "x", "a:y"}},
		"glob literal":     {w.Glob("file:///**"), []string{"file:///a"}, []string{"file:////a", "file://a"}},
		"glob of dots":     {w.Glob(".*"), []string{".a", "..."}, []string{".", "..", ""}},
		"pattern":          {w.Pattern("[a-c]+x?|d"), []string{"a", "abcx", "d"}, []string{"", "x", "dx", "axx"}},
		"pattern dot":      {w.Pattern("a.c"), []string{"abc", "aéc"}, []string{"a\nc", "ac"}},
		"both cases":       {w.Pattern("[Aa]|(?:K|k)x"), []string{"a", "A", "kx", "Kx"}, []string{"\u212ax", "k"}},
		"optional":         {w.Pattern("a{0,3}"), []string{"", "aaa"}, []string{"aaaa"}},
		"integers":         {w.Integers(Bounds{}), []string{"0", "-1", "9223372036854775807", "-9223372036854775808"}, []string{"", "-", "-0", "01", "1.0", "9223372036854775808", "-9223372036854775809", "+1"}},
		"from to":          {w.Integers(Bounds{decimal(t, "-3"), decimal(t, "120")}), []string{"-3", "0", "99", "120"}, []string{"-4", "121", "1000", "-10"}},
		"decimals":         {w.Decimals(Bounds{decimal(t, "-0.25"), decimal(t, "1.5")}), []string{"-0.25", "-0.250", "0", "0.0", "1", "1.5", "1.50"}, []string{"-0.26", "-0.251", "-0", "-0.0", "1.51", "1.501", "2", "10", ".5", "1."}},
		"same decimals":    {w.SameDecimals("1", "2.5", "-3"), []string{"1", "1.0", "1.00", "2.5", "2.50", "-3", "-3.0"}, []string{"1.", "10", "2.05", "2.51", "3"}},
		"joined":           {w.Join(w.Words("a"), Segments(), w.Glob("x/**")), []string{"a/b/x/y", "a/x/x/y/z"}, []string{"a/b/x", "a//x/y", "a/b/c/y"}},
		"slash at the end": {w.Slash(w.Glob("**")), []string{"a/", "a/b/"}, []string{"a", "/", "a//", "a/b"}},
		"any case":         {w.AnyCase(w.Words("ab-c")), []string{"ab-c", "AB-C", "aB-c"}, []string{"ab_c"}},
		"segments":         {Segments(), []string{"a", "...", "100%", "%4", "a b", "é"}, []string{"", ".", "..", "a/b", "%41", "a;b", "a\\b", "a?", "a#", "a\u0085", "\x00"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range test.in {
				if !test.set.HasText(s) {
					t.Errorf("%q is not in it", s)
				}
			}
			for _, s := range test.out {
				if test.set.HasText(s) {
					t.Errorf("%q is in it", s)
				}
			}
		})
	}
	if w.Exceeded() {
		t.Error("all of this is little work")
	}
}

// TestAlgebra holds union, intersection and difference to what they say of
// sets with nothing in common, something, and everything.
func TestAlgebra(t *testing.T) {
	w := NewWork(plenty)
	all, agent, release := w.Glob("**"), w.Glob("agent/**"), w.Glob("agent/release/**")
	for name, test := range map[string]struct {
		set  *Set
		want string // a shortest word; empty: none
	}{
		"difference":          {w.Minus(agent, release), "agent/a"},
		"what was taken out":  {w.And(agent, release), "agent/release/a"},
		"nothing is left":     {w.Minus(release, agent), ""},
		"nothing in common":   {w.And(w.Glob("a/*"), w.Glob("b/*")), ""},
		"both":                {w.Minus(w.Or(w.Glob("a/*"), w.Glob("b/*")), w.Glob("a/*")), "b/a"},
		"in another spelling": {w.Minus(w.Pattern("(?:agent/)[^/]+"), w.Glob("agent/*")), "agent/."},
		"and the reverse":     {w.Minus(w.Glob("agent/*"), w.Pattern("(?:agent/)[^/]+")), ""},
		"numbers":             {w.Minus(w.Integers(Bounds{decimal(t, "1"), decimal(t, "100")}), w.Pattern("[1-9][0-9]?")), "100"},
		"numbers, reverse":    {w.Minus(w.Pattern("[1-9][0-9]?|100"), w.Integers(Bounds{decimal(t, "1"), decimal(t, "100")})), ""},
		"a minus of all":      {w.Minus(agent, all), ""},
		"GitOID in a pattern": {w.Minus(GitOIDs(), w.Pattern("[0-9a-f]{40,64}")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			word, found := w.Shortest(test.set)
			if got := word.String(); got != test.want || found != (test.want != "") {
				t.Errorf("got %q, %t, want %q", got, found, test.want)
			}
		})
	}
	if !w.Within(release, agent) || w.Within(agent, release) || !w.Meets(agent, release) || w.Meets(w.Words("a"), agent) {
		t.Error("Within and Meets differ from Minus and And")
	}
}

// TestText: lengths are exact, however large.
func TestText(t *testing.T) {
	w := NewWork(plenty)
	any := NewText(Scalars(), 0, -1)
	upTo := func(n int) Text { return NewText(Scalars(), 0, n) }
	for name, test := range map[string]struct {
		text Text
		want int // length of a shortest word; negative: none
	}{
		"longer":             {w.MinusText(upTo(67108864), upTo(65536)), 65537},
		"not longer":         {w.MinusText(upTo(65536), upTo(67108864)), -1},
		"the same":           {w.MinusText(upTo(65536), upTo(65536)), -1},
		"some of any length": {w.MinusText(any, upTo(10)), 11},
		"shorter":            {w.MinusText(any, NewText(Scalars(), 3, -1)), 0},
		"from both ends":     {w.MinusText(w.MinusText(any, upTo(4)), NewText(Scalars(), 6, -1)), 5},
		"even and five":      {w.AndText(NewText(w.Pattern("(?:ab)*"), 5, 5), any), -1},
		"even and six":       {w.AndText(NewText(w.Pattern("(?:ab)*"), 5, 6), any), 6},
		"hole":               {w.MinusText(upTo(1), NewText(w.Pattern(`(?s).`), 0, -1)), 0},
		"nothing":            {w.MinusText(upTo(1), NewText(w.Pattern(`(?s).?`), 0, -1)), -1},
		"of a few words":     {w.MinusText(NewText(w.Words("a", "abc"), 0, -1), upTo(2)), 3},
	} {
		t.Run(name, func(t *testing.T) {
			word, found := w.Show(test.text)
			if found != (test.want >= 0) || found && len(word) != test.want {
				t.Errorf("got %d characters, %t, want %d", len(word), found, test.want)
			}
			if found && !test.text.Has(word) {
				t.Error("the word shown is not in the text")
			}
		})
	}
	if w.Exceeded() {
		t.Error("lengths alone are little work")
	}
}

// TestForwarded: what came in upper case and goes in lower case is neither the
// one nor the other.
func TestForwarded(t *testing.T) {
	w := NewWork(plenty)
	fold := w.FoldCase(w.Words("ab", "Cd"))
	came, ok := w.Shortest(w.Minus(fold, w.Words("ab")))
	if !ok || strings.ToLower(came.String()) != "ab" || came.String() == "ab" {
		t.Errorf("came as %q", came.String())
	}
	if fold.HasText("AB") {
		t.Error("what is forwarded in upper case did not come folded")
	}
	glued := w.GlueSlashes(w.Glob("a/**"))
	if !glued.Has(Word{'a', Glue, 'b'}) || !glued.HasText("a/b") {
		t.Error("a slash may be glued, and need not")
	}
	for _, s := range []*Set{fold, glued} {
		plain := w.Forwarded(s)
		if !w.Within(plain, w.Everything()) || plain.Empty() {
			t.Error("what is forwarded is plain text")
		}
	}
	if !w.Within(w.Forwarded(glued), w.Glob("a/**")) || !w.Within(w.Forwarded(fold), w.Words("ab")) {
		t.Error("more is forwarded than was there")
	}
	if got := w.NoUpper(w.Or(fold, w.Words("aB", "x"))); !got.HasText("x") || got.HasText("aB") || got.Has(Word{folded, 'b'}) {
		t.Error("NoUpper leaves upper case")
	}
}

// TestCanonical: one text for one set, however it was made.
func TestCanonical(t *testing.T) {
	w := NewWork(plenty)
	same := [][]*Set{
		{w.Words("a", "b"), w.Pattern("a|b"), w.Pattern("[ab]"), w.Or(w.Words("b"), w.Glob("a")), w.Minus(w.Pattern("[a-c]"), w.Words("c"))},
		{w.Glob("x/**"), w.Pattern("(?s)x(?:/(?:[^/.]|\\.[^/.]|\\.\\.[^/])[^/]*)+"), w.Or(w.Glob("x/*"), w.Glob("x/*/**"))},
		{w.Words(), w.And(w.Words("a"), w.Words("b")), &Set{}},
		{w.Integers(Bounds{decimal(t, "0"), decimal(t, "12")}), w.Pattern("[0-9]|1[0-2]"), w.Integers(Bounds{decimal(t, "-0.5"), decimal(t, "12.7")})},
	}
	var canonical [][]byte
	for i, list := range same {
		canonical = append(canonical, w.Canonical(list[0]))
		for j, s := range list {
			if !bytes.Equal(w.Canonical(s), canonical[i]) {
				t.Errorf("set %d, spelling %d: another text", i, j)
			}
		}
		for j := range i {
			if bytes.Equal(canonical[i], canonical[j]) {
				t.Errorf("sets %d and %d share a text", i, j)
			}
		}
	}
}

// TestWork: nothing runs on, and nothing that was not worked out passes for a
// proof.
func TestWork(t *testing.T) {
	for name, use := range map[string]func(w *Work) bool{
		"a pattern that doubles": func(w *Work) bool { return w.Within(w.Pattern("(?:a|b)*a(?:a|b){40}"), w.Words("a")) },
		"a pattern of megabytes": func(w *Work) bool { return w.Within(w.Pattern("(?:[ab]{1000}){1000}"), w.Words("a")) },
		"a length of millions":   func(w *Work) bool { return w.Within(w.Repeat(printable, 0, 1<<26), w.Words("a")) },
		"an anchor":              func(w *Work) bool { return w.Within(w.Pattern("^a"), w.Words("a")) },
		"no pattern":             func(w *Work) bool { return w.Within(w.Pattern("("), w.Words("a")) },
		"a word over a slash":    func(w *Work) bool { return w.Within(w.Join(w.Glob("a/**"), w.Words("b")), w.Words("a")) },
		"used up before":         func(w *Work) bool { w.Spend(plenty); return w.Within(w.Words("a"), w.Words("a", "b")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWork(20000)
			if use(w); !w.Exceeded() {
				t.Error("it is worked out")
			}
		})
	}
}

// TestRenew: a proof that took too much leaves what it did not use to the next
// ones, and no more.
func TestRenew(t *testing.T) {
	w := NewWork(100)
	for i, want := range []bool{true, false, true, false, false} {
		w.Renew(40)
		w.Spend(30 + 20*(i%2))
		if i == 4 {
			w.Spend(1000)
		}
		if got := !w.Exceeded(); got != want {
			t.Errorf("proof %d was within its work: %t", i, got)
		}
	}
	w.Renew(40)
	if w.Spend(1) {
		t.Error("more was spent than there was")
	}
}
