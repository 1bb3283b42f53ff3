// Package secret holds values that must never be printed.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// placeholder is what every way of printing a Value prints.
const placeholder = "[redacted]"

// Value holds an upstream credential. Every way of printing it prints a
// placeholder; the text sits behind a pointer so that fmt's walk over an
// enclosing struct's unexported fields reaches an address, not the text.
// The zero Value is empty. A Value may be copied and used concurrently.
type Value struct{ text *string }

// New returns a Value that holds text.
func New(text string) Value { return Value{text: &text} }

// Reveal returns the text. It is for the places where the credential leaves
// the process on purpose; a test lists them.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether v holds no text at all.
func (v Value) IsZero() bool { return v.text == nil || *v.text == "" }

// Equal reports whether both hold the same text, in time that depends on
// their lengths alone.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// Format prints the placeholder for every verb and flag.
func (v Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, placeholder) }

// String returns the placeholder.
func (v Value) String() string { return placeholder }

// GoString returns the placeholder.
func (v Value) GoString() string { return placeholder }

// LogValue returns the placeholder.
func (v Value) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText returns the placeholder, so that encoders of JSON, XML and
// YAML print it too.
func (v Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
