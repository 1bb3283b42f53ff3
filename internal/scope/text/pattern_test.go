package text

import (
	"regexp/syntax"
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
