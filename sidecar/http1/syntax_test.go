package http1

import (
	"strings"
	"testing"
)

// Eight bytes are looked at together: each byte is found at each place, and
// none is found beside any other.
func TestHasControl(t *testing.T) {
	for b := range 256 {
		want := b < 0x20 && b != '\t' || b == 0x7f
		for _, others := range []string{" ", "\t", "~", "\x80", "\xff", "a"} {
			for length := 1; length <= 24; length++ {
				for at := range length {
					s := strings.Repeat(others, at) + string([]byte{byte(b)}) + strings.Repeat(others, length-at-1)
					if hasControl(s) != want || hasControl([]byte(s)) != want {
						t.Fatalf("%q: want %t", s, want)
					}
				}
			}
		}
	}
}

func TestFold(t *testing.T) {
	for name, test := range map[string]struct {
		why, a, b string
		want      bool
	}{
		"same":          {"", "Host", "hOST", true},
		"other length":  {"", "Host", "Hosts", false},
		"long s":        {"Unicode folds it to s", "ho\u017ft", "ho\u017fT", true},
		"long s, not s": {"Unicode folds it to s", "HO\u017fT", "HOST", false},
		"beside Z":      {"a bit apart, no letters", "[", "{", false},
		"beside A":      {"a bit apart, no letters", "@", "`", false},
	} {
		if got := fold(test.a, test.b); got != test.want {
			t.Errorf("%s: %s: fold(%q, %q) is %t", name, test.why, test.a, test.b, got)
		}
	}
}
