package text

import (
	"regexp/syntax"
	"strconv"
	"testing"
)

// TestLooseBrace: a count that was not finished would be text to RE2, and the
// pattern would match nothing that its author meant.
func TestLooseBrace(t *testing.T) {
	for pattern, want := range map[string]bool{
		"[0-9]{1,6}": true, "a{2}": true, "a{2,}": true, `\{`: true, `\{1,6`: true, "[{]": true, "[^{]{2}": true, "[]{]x": true, "[[:alpha:]{]": true,
		`\p{Greek}+`: true, `\x{41}{2}`: true, `\Q{\E`: true, `[\]{]`: true, "a}": true,
		"[0-9]{1,6": false, "a{": false, "{a}": false, "a{,6}": false, "a{1,b}": false, "a{ 1}": false, `\\{`: false, `[a]{`: false, `\Qa\E{`: false, `\p{Greek}{`: false,
	} {
		if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
			t.Fatalf("%s is no RE2: %v", pattern, err)
		}
		if _, err := CompilePattern(pattern, false); (err == nil) != want {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

// FuzzParseSmall: what is small is read as any other integer is.
func FuzzParseSmall(f *testing.F) {
	for _, seed := range []string{"0", "-0", "00", "1", "-1", "-01", "123456789012345678", "1234567890123456789", "-", "", "+1", "1.0", "1e1", "--1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, small := ParseSmall(s)
		d, ok := ParseInteger(s)
		if small && (!ok || d.String() != strconv.FormatInt(n, 10)) {
			t.Errorf("%q is %d, and %v as an integer", s, n, d)
		}
		if !small && ok && len(s) < 18 {
			t.Errorf("%q is an integer and not small", s)
		}
	})
}
