package text_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

func TestGlob(t *testing.T) {
	for name, test := range map[string]struct {
		why     string
		pattern string
		match   []string
		not     []string
	}{
		"literal":     {"anchored at both ends", "main", []string{"main"}, []string{"", "mai", "main2", "xmain", "Main", "main/"}},
		"star":        {"any run of characters but a slash", "report-*", []string{"report-", "report-1", "report-*", "report-é", "report-..", "report- "}, []string{"report", "report-1/2", "xreport-1"}},
		"lone star":   {"a name, not nothing", "*", []string{"a", "...", "*"}, []string{"", ".", "..", "a/b", "/"}},
		"dotted":      {"a wildcard never makes a dot segment", ".*", []string{".a", "..."}, []string{".", "..", "a"}},
		"dots around": {"nor with literals on both sides", ".*.", []string{".a.", "..."}, []string{"..", "."}},
		"literal dot": {"literal text matches itself", "a/../b", []string{"a/../b"}, []string{"a/x/b", "b"}},
		"two stars":   {"runs are independent", "*-*", []string{"a-b", "-", "a-b-c"}, []string{"ab", "a/-b"}},
		"middle":      {"the literals do not overlap", "ab*ba", []string{"abba", "abxba"}, []string{"aba", "ab/ba"}},
		"middles":     {"the first one that fits is as good as any", "*ab*ab*", []string{"abab", "xabxabx"}, []string{"ab", "aba"}},
		"model":       {"a part of a segment", "*:generateContent", []string{"gemini:generateContent", ":generateContent"}, []string{"gemini:generateContent2", "a/b:generateContent"}},
		"deep":        {"one or more segments", "agent/**", []string{"agent/a", "agent/a/b/c", "agent/**"}, []string{"agent", "agent/", "agent//a", "agent/a/", "agent/./a", "agent/..", "agent/a/..", "Agent/a", "xagent/a"}},
		"deep first":  {"wherever it stands", "**/x", []string{"a/x", "a/b/x", "x/x", "a/x/x"}, []string{"x", "/x", "a/x/", "../x"}},
		"deep middle": {"with something on each side", "a/**/b", []string{"a/x/b", "a/b/b", "a/x/y/b", "a/b/x/b"}, []string{"a/b", "a//b", "a/x/b/c", "a/../b"}},
		"two deep":    {"the last one gives way", "**/a/**", []string{"x/a/y", "x/y/a/z", "a/a/a", "x/a/a/a"}, []string{"a/x", "x/a", "a", "a/a", "x/a/../y"}},
		"three deep":  {"and again", "**/a/**/b/**", []string{"x/a/y/b/z", "x/a/a/b/b/z", "x/a/y/b/b/b"}, []string{"x/a/b/z", "x/b/y/a/z", "x/a/y/b"}},
		"all":         {"anything that names something", "**", []string{"a", "a/b"}, []string{"", "/", "a/", "/a", "a//b", ".", "a/./b"}},
		"with stars":  {"each segment by itself", "v*/**/*.md", []string{"v1/a/b.md", "v/a/b/.md"}, []string{"v1/b.md", "v1/a/bmd", "v1/a/b.md/c"}},
		"address":     {"empty literal segments match themselves", "file:///docs/**", []string{"file:///docs/a", "file:///docs/a/b"}, []string{"file://docs/a", "file:///docs/", "file:///docs/../etc", "file:////docs/a"}},
		"rooted":      {"a slash in front is an empty segment", "/a/*", []string{"/a/b"}, []string{"a/b", "//a/b", "/a/"}},
		"not special": {"nothing else is", `[a]?{b,c}\*(d|e)+`, []string{`[a]?{b,c}\x(d|e)+`, `[a]?{b,c}\(d|e)+`}, []string{`axbx`, `[a]x{b,c}\x(d|e)+`}},
		"not regular": {"nor by accident", "a.b", []string{"a.b"}, []string{"axb"}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := text.CompileGlob(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range test.match {
				if !g.Match(s) {
					t.Errorf("%s does not match %q: %s", test.pattern, s, test.why)
				}
			}
			for _, s := range test.not {
				if g.Match(s) {
					t.Errorf("%s matches %q: %s", test.pattern, s, test.why)
				}
			}
		})
	}
}

func TestGlobRefuses(t *testing.T) {
	for pattern, why := range map[string]string{
		"":        "it matches nothing",
		"a**":     "some tools read it as any number of segments",
		"**.md":   "as above",
		"a/**b/c": "as above",
		"***":     "as above",
		"\xff*":   "no value is anything but UTF-8",
	} {
		if _, err := text.CompileGlob(pattern); err == nil {
			t.Errorf("%q is compiled: %s", pattern, why)
		}
	}
	if (&text.Glob{}).Match("") {
		t.Error("the zero Glob matches")
	}
}

// TestGlobTakesLinearTime matches what makes a matcher with naive backtracking
// run for ages.
func TestGlobTakesLinearTime(t *testing.T) {
	for pattern, s := range map[string]string{
		strings.Repeat("*a", 100) + "*b":      strings.Repeat("a", 32000),
		strings.Repeat("**/a/", 100) + "b":    strings.Repeat("a/", 16000) + "a",
		strings.Repeat("**/*a*/", 100) + "*b": strings.Repeat("aa/", 10000) + "a",
	} {
		g, err := text.CompileGlob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if g.Match(s) {
			t.Errorf("%.20s... matches", pattern)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%.20s... took %v", pattern, took)
		}
	}
}

// slowGlob is the definition, spelled out: it tries everything.
func slowGlob(pattern, s string) bool {
	return slowSegments(strings.Split(pattern, "/"), strings.Split(s, "/"))
}

func slowSegments(pattern, s []string) bool {
	if len(pattern) == 0 || len(s) == 0 {
		return len(pattern) == len(s)
	}
	if pattern[0] != "**" {
		return slowSegment(pattern[0], s[0]) && slowSegments(pattern[1:], s[1:])
	}
	for n := 1; n <= len(s) && isName(s[n-1]); n++ {
		if slowSegments(pattern[1:], s[n:]) {
			return true
		}
	}
	return false
}

func slowSegment(pattern, s string) bool {
	if strings.Contains(pattern, "*") && !isName(s) {
		return false
	}
	return slowRun(pattern, s)
}

func slowRun(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return slowRun(pattern[1:], s) || s != "" && slowRun(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && slowRun(pattern[1:], s[1:])
}

func isName(s string) bool { return s != "" && s != "." && s != ".." }

// FuzzGlob: a glob matches what a slow and obviously right reader says it does.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"agent/**", "agent/a/b"}, {"**/a/**", "x/a/../y"}, {"*:x", "y:x"}, {"a*a*a", "aaaa"}, {"file:///**", "file:///a"},
		{"**/a/*/**/b", "a/a/a/b/b/b"}, {".*", ".."}, {"/", "/"}, {"**/./**", "a/././a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 24 || len(s) > 24 {
			return // the oracle takes exponential time
		}
		g, err := text.CompileGlob(pattern)
		if err != nil {
			return
		}
		if got, want := g.Match(s), slowGlob(pattern, s); got != want {
			t.Errorf("%q on %q: got %t, want %t", pattern, s, got, want)
		}
	})
}
