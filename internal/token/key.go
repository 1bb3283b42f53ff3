package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// A Key signs scoped tokens. Printing it prints its id alone. The zero Key
// signs nothing. A Key is safe for concurrent use.
type Key struct {
	id     string
	header string // of every token that it signs, encoded
	// both halves, the seed first, as text behind a pointer: fmt prints the
	// address of a string, while for a verb that does not fit it follows a
	// pointer to an array. Working the public half out costs as much as signing.
	both *string
}

// GenerateKey returns a new random Key.
func GenerateKey() Key {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails: crypto/rand ends the process instead
	k, _ := NewKey(seed)
	return k
}

// NewKey returns the Key of a seed (RFC 8032) as [Key.Seed] gave it.
func NewKey(seed []byte) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("reading signing key: it has %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	both := string(ed25519.NewKeyFromSeed(seed))
	sum := sha256.Sum256([]byte(both[ed25519.SeedSize:]))
	k := Key{id: hex.EncodeToString(sum[:8]), both: &both}
	header, err := json.Marshal(protected{Algorithm: string(jose.EdDSA), KeyID: k.id, Type: mediaType})
	if err != nil {
		return Key{}, fmt.Errorf("reading signing key: %w", err)
	}
	k.header = base64.RawURLEncoding.EncodeToString(header)
	return k, nil
}

// ID names the key; it is derived from the public half.
func (k Key) ID() string { return k.id }

// IsZero reports whether k cannot sign.
func (k Key) IsZero() bool { return k.both == nil }

// Seed returns the private half, for the one place that stores it.
func (k Key) Seed() []byte { return []byte((*k.both)[:ed25519.SeedSize]) }

// Public returns the half that verifies.
func (k Key) Public() bundle.TokenKey {
	return bundle.TokenKey{ID: k.id, Public: []byte((*k.both)[ed25519.SeedSize:])}
}

// Format prints the id for every verb and flag.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "key "+k.id) }

// MarshalText returns the id, so that encoders do not print the key either.
func (k Key) MarshalText() ([]byte, error) { return []byte("key " + k.id), nil }

func (k Key) private() ed25519.PrivateKey { return ed25519.PrivateKey(*k.both) }

// Mint signs c as a compact JWS (RFC 7515, section 7.1; RFC 8037, section 3.1). It
// refuses claims that no [Verifier] would take.
func (k Key) Mint(c Claims) (string, error) {
	if k.IsZero() {
		return "", fmt.Errorf("signing token: there is no key")
	}
	if err := c.validate(); err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	text := make([]byte, 0, len(k.header)+base64.RawURLEncoding.EncodedLen(len(payload)+ed25519.SignatureSize)+len("..")+1)
	text = append(append(text, k.header...), '.')
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signature := ed25519.Sign(k.private(), text)
	text = base64.RawURLEncoding.AppendEncode(append(text, '.'), signature)
	if len(text) > MaxBytes {
		return "", fmt.Errorf("signing token: it has %d bytes, more than %d", len(text), MaxBytes)
	}
	return string(text), nil
}
