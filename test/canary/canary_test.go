package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

func TestFind(t *testing.T) {
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
			if Find(secret, test.text) == "" {
				t.Errorf("not found %s: %s", test.why, test.text)
			}
		})
	}
	if form := Find(secret, "CANARY-7Qx and 3w and "+base64.StdEncoding.EncodeToString([]byte("CANARY"))); form != "" {
		t.Errorf("found as %s where it is not", form)
	}
}

// TestScanner finds what lies across two writes, and behind much else.
func TestScanner(t *testing.T) {
	s := &Scanner{Secrets: map[string]string{"there": "CANARY-7Qx/3w+Zp9=", "absent": "another-secret-text"}}
	filler := bytes.Repeat([]byte("x"), scanAt-9)
	for _, part := range [][]byte{filler, []byte("CANARY-7Q"), []byte("x/3w+Zp9="), filler, filler} {
		if n, err := s.Write(part); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	found := s.Found()
	if found["there"] == "" || found["absent"] != "" || s.Size() != 3*len(filler)+18 {
		t.Errorf("found %v in %d bytes", found, s.Size())
	}
}
