package corpus

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// renderings are the ways in which a text could hide in other text, by name.
func renderings(secret string) map[string]string {
	escaped, _ := json.Marshal(secret)
	all := map[string]string{
		"plain":                secret,
		"percent":              url.QueryEscape(secret),
		"percent of a path":    url.PathEscape(secret),
		"JSON":                 strings.Trim(string(escaped), `"`),
		"JSON with solidus":    strings.ReplaceAll(secret, "/", `\/`),
		"hexadecimal":          hex.EncodeToString([]byte(secret)),
		"upper hexadecimal":    strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"every byte percented": "%" + strings.Join(pairs(hex.EncodeToString([]byte(secret))), "%"),
	}
	// In Base64 the text before it decides which of three forms it takes; the
	// characters at both ends also depend on its neighbours.
	for offset, name := range []string{"Base64", "Base64 after one byte", "Base64 after two bytes"} {
		for kind, encoding := range map[string]*base64.Encoding{"": base64.RawStdEncoding, " for URLs": base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
			all[name+kind] = text[(offset*8+5)/6 : (offset+len(secret))*8/6]
		}
	}
	return all
}

func pairs(digits string) []string {
	var out []string
	for i := 0; i < len(digits); i += 2 {
		out = append(out, digits[i:i+2])
	}
	return out
}

// leak names the rendering in which secret stands in text, or is empty.
func leak(secret, text string) string {
	for name, form := range renderings(secret) {
		if strings.Contains(text, form) {
			return name
		}
	}
	return ""
}

func TestLeak(t *testing.T) {
	const secret = "CANARY-7Qx/3w+Zp9="
	hidden := map[string]struct{ why, text string }{
		"plain":   {"as it is", "a " + secret + " b"},
		"Basic":   {"as a password", base64.StdEncoding.EncodeToString([]byte("x-access-token:" + secret))},
		"pair":    {"after another user", base64.StdEncoding.EncodeToString([]byte("ab:" + secret + "..."))},
		"percent": {"in a URL", "?key=CANARY-7Qx%2F3w%2BZp9%3D"},
		"JSON":    {"as PHP escapes it", `{"a":"CANARY-7Qx\/3w+Zp9="}`},
		"hex":     {"in a dump", hex.EncodeToString([]byte("...." + secret))},
	}
	for name, test := range hidden {
		t.Run(name, func(t *testing.T) {
			if leak(secret, test.text) == "" {
				t.Errorf("not found %s: %s", test.why, test.text)
			}
		})
	}
	if form := leak(secret, "CANARY-7Qx and 3w and "+base64.StdEncoding.EncodeToString([]byte("CANARY"))); form != "" {
		t.Errorf("found as %s where it is not", form)
	}
}
