// Package canary finds a secret in text, whatever it was encoded with. Tests
// search all that an agent can see for the real key.
package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// Renderings are the ways in which a text could hide in other text, by name.
func Renderings(secret string) map[string]string {
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

// Find names the rendering in which secret stands in text, or is empty.
func Find(secret, text string) string {
	for name, form := range Renderings(secret) {
		if strings.Contains(text, form) {
			return name
		}
	}
	return ""
}

