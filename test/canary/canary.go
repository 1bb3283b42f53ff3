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

// Scanner looks for secrets in all that is written to it. It is not safe for
// concurrent use.
type Scanner struct {
	Secrets map[string]string // by name

	kept  []byte // what was written last: a rendering may lie across two writes
	size  int
	found map[string]string
}

const (
	scanAt = 1 << 20
	// longest is above the length of any rendering of a key.
	longest = 32 << 10
)

// Write scans p. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	s.size += len(p)
	s.kept = append(s.kept, p...)
	if len(s.kept) >= scanAt {
		s.scan()
		s.kept = append(s.kept[:0], s.kept[len(s.kept)-longest:]...)
	}
	return len(p), nil
}

func (s *Scanner) scan() {
	if s.found == nil {
		s.found = map[string]string{}
	}
	text := string(s.kept)
	for name, secret := range s.Secrets {
		if form := Find(secret, text); form != "" {
			s.found[name] = form
		}
	}
}

// Found returns the renderings that were found, by the secrets' names.
func (s *Scanner) Found() map[string]string {
	s.scan()
	return s.found
}

// Size is how many bytes were written.
func (s *Scanner) Size() int { return s.size }
