package secret_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

func values(texts ...string) []secret.Value {
	var all []secret.Value
	for _, text := range texts {
		all = append(all, secret.New(text))
	}
	return all
}

// TestJoin takes apart what was joined, whatever the parts hold.
func TestJoin(t *testing.T) {
	for _, texts := range [][]string{
		{"id", "key", "session"}, {"id", "key", ""}, {""}, {"1:a,", "2:bb,"}, {"a\nb\x00", "ä,:"}, {canary},
	} {
		parts, ok := secret.Split(secret.Join(values(texts...)...), len(texts))
		if !ok || len(parts) != len(texts) {
			t.Fatalf("%q: %d parts, %v", texts, len(parts), ok)
		}
		for i, part := range parts {
			if part.Reveal() != texts[i] {
				t.Errorf("%q: part %d is another", texts, i)
			}
		}
	}
	if parts, ok := secret.Split(secret.Join(secret.Value{}, secret.New("x")), 2); !ok || !parts[0].IsZero() {
		t.Error("the zero Value does not come back")
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		why, text string
		n         int
	}{
		"a plain secret":      {"it has no parts", "ghp_0123456789", 1},
		"nothing":             {"it has no parts", "", 1},
		"no parts wanted":     {"nobody asks for none", "", 0},
		"one more":            {"which is left out?", "1:a,1:b,", 1},
		"one less":            {"what is the other?", "1:a,", 2},
		"too long":            {"the end is missing", "2:a,", 1},
		"too short":           {"the rest belongs to nobody", "1:ab,", 1},
		"cut off":             {"the end is missing", "1:a", 1},
		"below zero":          {"no such length", "-1:,", 1},
		"leading zero":        {"one spelling", "01:a,", 1},
		"sign":                {"one spelling", "+1:a,", 1},
		"more digits than 64": {"no such length", "99999999999999999999:a,", 1},
		"behind the end":      {"it is not part of it", "1:a,x", 1},
	} {
		if parts, ok := secret.Split(secret.New(test.text), test.n); ok {
			t.Errorf("%s: %d parts: %s", name, len(parts), test.why)
		}
	}
}

// FuzzSplit: what is taken apart is what was joined, to the byte.
func FuzzSplit(f *testing.F) {
	f.Add("1:a,1:b,", 2)
	f.Fuzz(func(t *testing.T, text string, n int) {
		parts, ok := secret.Split(secret.New(text), min(n, 8))
		if ok && secret.Join(parts...).Reveal() != text {
			t.Errorf("%q is not what was joined", text)
		}
	})
}
