package lang

import (
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// FuzzSets: the sets have the members that the judge lets pass. For texts of
// every kind, and for globs, patterns and bounds that are chosen by chance.
func FuzzSets(f *testing.F) {
	for _, seed := range [][4]string{
		{"agent/**", "agent/a/b", "1", "2"}, {"**/a/**", "x/a/../y", "-1.5", "0.25"}, {"*:x", "y:x", "0", "0"},
		{"[a-f0-9]{2,4}", "00ff", "-10", "100"}, {"(?:a|b)*abb", "ababb", "1.0", "1.50"}, {"a**", "refs/heads/a.lock", "", ""},
		{"\\pL+", "éa", "9223372036854775807", "9223372036854775808"}, {".*", "a\nb", "x", "y"}, {"%41", "a%41", "7", "70"},
		{"2024-02-29T00:00:00Z", "2024-02-29T23:59:59.5+14:00", "1", "1"}, {"a/*/b", "a/./b", "0.1", "0.1000"},
		{"123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000", "3", "2"}, {"é|\\x{10ffff}", "\U0010ffff", "1", "9"}, {"[Kk]|[Aa]+", "aA", "1", "9"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, pattern, s, low, high string) {
		if len(pattern) > 64 || len(s) > 128 || len(low)+len(high) > 64 || !utf8.ValidString(s) {
			return
		}
		w := NewWork(1 << 18)
		check := func(what string, set *Set, judge func(string) bool) {
			t.Helper()
			if w.Exceeded() {
				return
			}
			if got := set.HasText(s); got != judge(s) {
				t.Errorf("%s: %q is in it: %t, the judge says otherwise", what, s, got)
			}
			for _, shown := range []*Set{set, w.Minus(set, w.Words(s)), w.Minus(Scalars(), set)} {
				word, found := w.Shortest(shown)
				if found && utf8.ValidString(word.String()) && judge(word.String()) != set.Has(word) {
					t.Errorf("%s: %q is in it: %t, the judge says otherwise", what, word.String(), set.Has(word))
				}
			}
		}
		check("Path", Paths(), text.IsPath)
		check("Ref", Refs(), text.IsRef)
		check("GitOID", GitOIDs(), text.IsGitOID)
		check("UUID", UUIDs(), text.IsUUID)
		check("DateTime", DateTimes(), text.IsDateTime)
		if glob, err := text.CompileGlob(pattern); err == nil {
			check("glob "+pattern, w.Glob(pattern), glob.Match)
			lower := mustGlob(t, text.Lower(pattern))
			check("folded glob "+pattern, w.AnyCase(w.Glob(text.Lower(pattern))), func(s string) bool { return lower.Match(text.Lower(s)) })
		}
		if re, err := text.CompilePattern(pattern, false); err == nil {
			check("pattern "+pattern, w.Pattern(pattern), re.MatchString)
		}
		checkNumbers(check, w, low, high)
	})
}

func mustGlob(t *testing.T, pattern string) *text.Glob {
	t.Helper()
	g, err := text.CompileGlob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func checkNumbers(check func(string, *Set, func(string) bool), w *Work, low, high string) {
	var b Bounds
	if d, ok := text.ParseDecimal(low); ok {
		b.Least = &d
	}
	if d, ok := text.ParseDecimal(high); ok {
		b.Greatest = &d
	}
	within := func(d text.Decimal, ok bool) bool {
		return ok && (b.Least == nil || d.Compare(*b.Least) >= 0) && (b.Greatest == nil || d.Compare(*b.Greatest) <= 0)
	}
	check("Integer", w.Integers(b), func(s string) bool { return within(text.ParseInteger(s)) })
	check("Number", w.Decimals(b), func(s string) bool { return within(text.ParseDecimal(s)) })
	if d, ok := text.ParseDecimal(low); ok {
		check("equal to "+low, w.SameDecimals(d.String()), func(s string) bool {
			e, isNumber := text.ParseDecimal(s)
			return isNumber && d.Compare(e) == 0
		})
	}
}
