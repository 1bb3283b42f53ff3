package token

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// maxKeys bounds the keys of a Verifier: the current one, the next, and room
// for a rotation that is pressed by hand.
const maxKeys = 8

// algorithms is all that is ever verified. The list is never taken from a
// token (RFC 8725, section 3.1).
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA}

// A Verifier verifies scoped tokens by a fixed set of public keys. The zero
// Verifier and nil refuse every token. It is safe for concurrent use.
type Verifier struct {
	keys map[string]ed25519.PublicKey
}

// NewVerifier returns a Verifier of these keys.
func NewVerifier(keys []bundle.TokenKey) (*Verifier, error) {
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("reading token keys: there are %d, more than %d", len(keys), maxKeys)
	}
	v := &Verifier{keys: make(map[string]ed25519.PublicKey, len(keys))}
	for _, k := range keys {
		if k.ID == "" || len(k.Public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("reading token keys: key %q is no Ed25519 key with an id", k.ID)
		}
		if _, ok := v.keys[k.ID]; ok {
			return nil, fmt.Errorf("reading token keys: key %q occurs twice", k.ID)
		}
		v.keys[k.ID] = bytes.Clone(k.Public)
	}
	return v, nil
}

// Verify reads a compact token and its signature. It takes only what
// [Key.Mint] makes, byte for byte, so that nothing can be said twice or in two
// ways. It looks at no clock and no pod: see [Claims.Check].
func (v *Verifier) Verify(compact string) (Claims, error) {
	header, payload, err := split(compact)
	if err != nil {
		return Claims{}, err
	}
	kid, err := keyID(header)
	if err != nil {
		return Claims{}, err
	}
	key, ok := v.key(kid)
	if !ok {
		return Claims{}, fmt.Errorf("%w: it is signed by an unknown key", ErrRefused)
	}
	jws, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: it is no JWS with EdDSA", ErrRefused)
	}
	verified, err := jws.Verify(key)
	if err != nil || !bytes.Equal(verified, payload) {
		return Claims{}, fmt.Errorf("%w: its signature does not verify", ErrRefused)
	}
	return claims(verified)
}

func (v *Verifier) key(id string) (ed25519.PublicKey, bool) {
	if v == nil {
		return nil, false
	}
	key, ok := v.keys[id]
	return key, ok
}

// split returns header and payload, decoded. A spelling that encoding does not
// produce (padding, line ends, spare bits) is refused: one token, one text.
func split(compact string) (header, payload []byte, err error) {
	if len(compact) > MaxBytes {
		return nil, nil, fmt.Errorf("%w: it is longer than %d bytes", ErrRefused, MaxBytes)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("%w: it has not three parts", ErrRefused)
	}
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(b) == 0 || base64.RawURLEncoding.EncodeToString(b) != part {
			return nil, nil, fmt.Errorf("%w: it is not base64url", ErrRefused)
		}
		decoded[i] = b
	}
	return decoded[0], decoded[1], nil
}

// protected is the whole header of a scoped token, in the order in which it is
// written.
type protected struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

func keyID(header []byte) (string, error) {
	var p protected
	if err := canonical(header, &p); err != nil {
		return "", err
	}
	if p.Algorithm != string(jose.EdDSA) || p.Type != mediaType || p.KeyID == "" {
		return "", fmt.Errorf("%w: its header is not that of a scoped token", ErrRefused)
	}
	return p.KeyID, nil
}

func claims(payload []byte) (Claims, error) {
	var c Claims
	if err := canonical(payload, &c); err != nil {
		return Claims{}, err
	}
	if err := c.validate(); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// canonical decodes text into value and refuses it unless value encodes to the
// same bytes: unknown, repeated and differently cased names do not.
func canonical[T any](text []byte, value *T) error {
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%w: it is no JSON object of the right shape", ErrRefused)
	}
	again, err := json.Marshal(value)
	if err != nil || !bytes.Equal(again, text) {
		return fmt.Errorf("%w: it holds names or spellings that are not ours", ErrRefused)
	}
	return nil
}
