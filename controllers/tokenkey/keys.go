// Package tokenkey keeps the keys that scoped tokens are signed with. They are
// in one Secret of the manager's namespace, which the leader makes and rotates
// and every replica reads.
package tokenkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// SecretName is the Secret that holds the keys.
const SecretName = "sallyport-token-key"

// Lifetime is how long a key signs. Tokens live an hour at most, so the key
// before the current one verifies all that are still good.
const Lifetime = 24 * time.Hour

// The keys of the Secret's data.
const (
	currentKey  = "current"
	previousKey = "previous"
	rotatedKey  = "rotated"
	versionKey  = "version-key"
)

// versionKeySize is that of the hash (RFC 2104, section 3).
const versionKeySize = sha256.Size

// ErrMissing says that there are no keys yet: the leader is about to make them.
var ErrMissing = errors.New("no token keys yet")

// Keys is one version of the keys. Printing it prints the ids alone. The zero
// Keys signs nothing.
type Keys struct {
	Current  token.Key // signs
	Previous token.Key // verifies what it signed before; zero in the first 24 h
	Rotated  time.Time // when Current began to sign
	version  secret.Value
}

// Generate returns keys that were never used.
func Generate(now time.Time) Keys {
	version := make([]byte, versionKeySize)
	_, _ = rand.Read(version) // never fails: crypto/rand ends the process instead
	return Keys{Current: token.GenerateKey(), Rotated: now.UTC().Truncate(time.Second), version: secret.New(string(version))}
}

// Rotate returns the keys that follow k. The key of versions stays, since
// versions are compared over longer times than tokens live.
func (k Keys) Rotate(now time.Time) Keys {
	next := Generate(now)
	next.Previous, next.version = k.Current, k.version
	return next
}

// Due is when k is to be rotated.
func (k Keys) Due() time.Time { return k.Rotated.Add(Lifetime) }

// Public returns the public keys, the current one first.
func (k Keys) Public() []bundle.TokenKey {
	keys := []bundle.TokenKey{k.Current.Public()}
	if !k.Previous.IsZero() {
		keys = append(keys, k.Previous.Public())
	}
	return keys
}

// SecretVersion tells versions of an upstream's key apart. It is keyed, so that
// nobody can try guesses against it, and it says nothing across UpstreamSecrets.
func (k Keys) SecretVersion(upstreamUID string, value secret.Value) string {
	mac := hmac.New(sha256.New, []byte(k.version.Reveal()))
	fmt.Fprintf(mac, "%d:%s:", len(upstreamUID), upstreamUID)
	mac.Write([]byte(value.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Encode returns the data of the Secret.
func (k Keys) Encode() map[string][]byte {
	data := map[string][]byte{
		currentKey: k.Current.Seed(),
		rotatedKey: []byte(k.Rotated.Format(time.RFC3339)),
		versionKey: []byte(k.version.Reveal()),
	}
	if !k.Previous.IsZero() {
		data[previousKey] = k.Previous.Seed()
	}
	return data
}

// Decode reads the data of the Secret. No error holds anything of it.
func Decode(data func(key string) ([]byte, bool)) (Keys, error) {
	var k Keys
	var err error
	seed, _ := data(currentKey)
	if k.Current, err = token.NewKey(seed); err != nil {
		return Keys{}, fmt.Errorf("reading key %q: %w", currentKey, err)
	}
	if seed, ok := data(previousKey); ok {
		if k.Previous, err = token.NewKey(seed); err != nil {
			return Keys{}, fmt.Errorf("reading key %q: %w", previousKey, err)
		}
	}
	rotated, _ := data(rotatedKey)
	if k.Rotated, err = time.Parse(time.RFC3339, string(rotated)); err != nil {
		return Keys{}, fmt.Errorf("reading key %q: no time in RFC 3339", rotatedKey)
	}
	version, _ := data(versionKey)
	if len(version) != versionKeySize {
		return Keys{}, fmt.Errorf("reading key %q: it has %d bytes, want %d", versionKey, len(version), versionKeySize)
	}
	k.version = secret.New(string(version))
	return k, nil
}
