package text_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// TestKinds has values and their nearest misses.
func TestKinds(t *testing.T) {
	oid := strings.Repeat("0123456789abcdef", 4)
	for name, test := range map[string]struct {
		is  func(string) bool
		yes []string
		no  []string
	}{
		"Path": {text.IsPath,
			[]string{"a", "a/b.md", ".github/x", "a..b", "a b/é", "100%", "a%2"},
			[]string{"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", `a\b`, "a%2eb", "a%2Fb", "a\x00", "a\n", "a\x7f", "a\u0085"}},
		"Ref": {text.IsRef,
			[]string{"refs/heads/main", "heads/a", "a/b@c", "a/@", "a/-b", "a/b.locks", "a/é"},
			[]string{"", "main", "@", "/a/b", "a/b/", "a//b", "a/.b", ".a/b", "a/b.lock", "a.lock/b", "a/b..c", "a/b.", "a/b@{1}", "a/b c",
				"a/b~1", "a/b^", "a/b:c", "a/b?", "a/b*", "a/[b", `a/b\c`, "a/\x7f", "a/b\tc"}},
		"GitOID": {text.IsGitOID,
			[]string{oid[:40], oid},
			[]string{"", oid[:39], oid[:41], oid + "0", strings.ToUpper(oid[:40]), oid[:39] + "g", oid[:39] + " "}},
		"UUID": {text.IsUUID,
			[]string{"123e4567-e89b-12d3-a456-426614174000"},
			[]string{"", "123E4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}",
				"123e4567-e89b-12d3-a456-42661417400", "123e4567-e89b-12d3-a456-42661417400g", "123e4567-e89b-12d3-a456-4266141740000", "123e4567-e89b-12d3-a45-6426614174000"}},
		"DateTime": {text.IsDateTime,
			[]string{"2026-02-28T23:59:59Z", "2024-02-29T00:00:00.5+14:00", "2000-02-29T12:00:00.123456789-00:00", "0000-01-01T00:00:00Z"},
			[]string{"", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
				"2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z",
				"2026-01-01t00:00:00z", "2026-01-01 00:00:00Z", "2026-01-01T0:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+0100",
				"2026-01-01T00:00:00+01:60", "26-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00ZZ", "+026-01-01T00:00:00Z", "2026-01-01T00:00:00.5"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range test.yes {
				if !test.is(s) {
					t.Errorf("%q is none", s)
				}
			}
			for _, s := range test.no {
				if test.is(s) {
					t.Errorf("%q is one", s)
				}
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]struct{ integer, decimal bool }{
		"0": {true, true}, "7": {true, true}, "-7": {true, true}, "9223372036854775807": {true, true}, "-9223372036854775808": {true, true},
		"9223372036854775808": {false, true}, "-9223372036854775809": {false, true}, "18446744073709551617": {false, true},
		"1.0": {false, true}, "0.5": {false, true}, "-0.5": {false, true}, "1.50": {false, true}, strings.Repeat("9", 400): {false, true},
		"": {}, "-": {}, ".": {}, "00": {}, "01": {}, "-01": {}, "+1": {}, "1.": {}, ".5": {}, "-.5": {}, "1e3": {}, "1E3": {}, "0x1": {}, "1_000": {},
		" 1": {}, "1 ": {}, "--1": {}, "1.2.3": {}, "NaN": {}, "Infinity": {}, "-0": {}, "-0.0": {}, "٣": {}, "１": {}, "1,5": {}, "1\n": {},
	} {
		if _, ok := text.ParseInteger(s); ok != want.integer {
			t.Errorf("%q is an integer: %t", s, ok)
		}
		if _, ok := text.ParseDecimal(s); ok != want.decimal {
			t.Errorf("%q is a decimal: %t", s, ok)
		}
	}
}

// FuzzDecimal compares numbers as big.Rat does.
func FuzzDecimal(f *testing.F) {
	for _, seed := range [][2]string{{"1", "1.0"}, {"-1.5", "-1.25"}, {"10", "9"}, {"0.1", "0.10000000000000000000001"}, {"-3", "2"}, {"0", "-0.1"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		da, aok := text.ParseDecimal(a)
		db, bok := text.ParseDecimal(b)
		if !aok || !bok {
			return
		}
		ra, _ := new(big.Rat).SetString(a)
		rb, _ := new(big.Rat).SetString(b)
		if ra == nil || rb == nil {
			t.Fatalf("%q or %q is no number", a, b)
		}
		if got, want := da.Compare(db), ra.Cmp(rb); got != want {
			t.Errorf("%s against %s: got %d, want %d", a, b, got, want)
		}
		if again, ok := text.ParseDecimal(da.String()); !ok || again != da {
			t.Errorf("%s is spelled %s", a, da)
		}
	})
}

func TestFold(t *testing.T) {
	for name, test := range map[string]struct {
		why, a, b string
		want      bool
	}{
		"letters":     {"only letter case differs", "Acme", "aCME", true},
		"long s":      {"it folds to s in Unicode", "do\u017f", "dos", false},
		"Kelvin":      {"it folds to k in Unicode", "\u212a8s", "k8s", false},
		"umlaut":      {"beyond ASCII nothing folds", "Ü", "ü", false},
		"at and tick": {"they are 32 apart, and no letters", "@", "`", false},
		"brackets":    {"as above", "[", "{", false},
		"length":      {"a prefix is another name", "acm", "acme", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := text.EqualFold(test.a, test.b); got != test.want {
				t.Errorf("EqualFold: got %t: %s", got, test.why)
			}
			if got := text.Lower(test.a) == text.Lower(test.b); got != test.want {
				t.Errorf("Lower: got %t: %s", got, test.why)
			}
		})
	}
	if !text.EqualName("X_Tenant-ID", "x-tenant_id") || text.EqualName("X-Tenant", "XTenant") {
		t.Error("EqualName takes _ for -, and nothing else")
	}
}

func TestCompilePattern(t *testing.T) {
	for pattern, test := range map[string]struct {
		match, not []string
	}{
		"[0-9a-f]{4}": {[]string{"00ff"}, []string{"00f", "00fff", "00FF", "00ff\n", "x00ff"}},
		"a|b":         {[]string{"a", "b"}, []string{"ab", "ax", "xb", ""}},
		"(?:a|b)c":    {[]string{"ac", "bc"}, []string{"a", "c"}},
		"a.c":         {[]string{"abc", "aéc"}, []string{"a\nc", "ac"}},
		`\(?a\)?`:     {[]string{"(a)", "a"}, []string{"()"}},
		`\Qa.b\E+`:    {[]string{"a.b", "a.bb"}, []string{"axb"}},
		"":            {[]string{""}, []string{"a"}},
	} {
		re, err := text.CompilePattern(pattern, false)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for _, s := range test.match {
			if !re.MatchString(s) {
				t.Errorf("%s does not match %q", pattern, s)
			}
		}
		for _, s := range test.not {
			if re.MatchString(s) {
				t.Errorf("%s matches %q", pattern, s)
			}
		}
	}
}

func TestCompilePatternRefuses(t *testing.T) {
	for pattern, test := range map[string]struct {
		why  string
		fold bool
	}{
		"(?i)a":                   {why: "it folds Unicode"},
		"a(?i:b)":                 {why: "as above"},
		`\\(?i)k`:                 {why: "the backslash is escaped, the flag is not"},
		`\Q\E(?i)k`:               {why: "behind a quotation"},
		"(?s).":                   {why: "a dot is no line end"},
		"(?P<x>a)":                {why: "groups have no names"},
		"(?<x>a)":                 {why: "as above"},
		"^a":                      {why: "anchors are implied"},
		"a$":                      {why: "as above"},
		`\Aa`:                     {why: "as above"},
		`a\z`:                     {why: "as above"},
		`a\b`:                     {why: "it knows ASCII words alone"},
		`a\B`:                     {why: "as above"},
		"a)|(b":                   {why: "it would end our own group"},
		"(a":                      {why: "no RE2"},
		`(a)\1`:                   {why: "no RE2"},
		"(?=a)":                   {why: "no RE2"},
		"a{1001}":                 {why: "no RE2: too large"},
		strings.Repeat("a", 2049): {why: "longer than 2 KiB"},
		"Acme":                    {why: "the lower-case spelling is matched", fold: true},
		"[A-F0-9]+":               {why: "as above", fold: true},
		`\x41`:                    {why: "as above", fold: true},
		"[[:upper:]]":             {why: "as above", fold: true},
	} {
		if _, err := text.CompilePattern(pattern, test.fold); err == nil {
			t.Errorf("%s is compiled: %s", pattern, test.why)
		}
	}
	for _, pattern := range []string{"acme", "[0-9a-f]+", ".*", "[^/]+", `\w+`, `\S`, "[A-Za-z]"} {
		if _, err := text.CompilePattern(pattern, true); err != nil {
			t.Errorf("%s with fold: %v", pattern, err)
		}
	}
}
