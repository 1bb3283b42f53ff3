package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// cacheSize bounds the verified tokens that are remembered. An agent has the
// newest one and perhaps one or two before it.
const cacheSize = 16

// Handle is the hash of a handle; the zero Handle is none. The text itself
// stays with the agent until that shows it: see [Tokens.Check].
type Handle [sha256.Size]byte

// HandleOf returns the hash of a handle.
func HandleOf(text string) Handle { return sha256.Sum256([]byte(text)) }

// Tokens tells the tokens of one credential from all others. It holds for one
// set of keys: with others comes another Tokens. It is safe for concurrent
// use. The zero Tokens knows none.
type Tokens struct {
	// Handle is the constant token of the pod.
	Handle Handle
	// Verifier verifies scoped tokens; nil: there are none.
	Verifier *token.Verifier
	// PodUID and CredentialUID are what a scoped token must be bound to.
	PodUID, CredentialUID string

	cache  [cacheSize]atomic.Pointer[verified]
	latest atomic.Pointer[presented]
}

// verified is a scoped token whose signature is good.
type verified struct {
	hash   [sha256.Size]byte
	claims token.Claims
}

// presented is the token that was shown last and was right. An agent shows it with
// each request, and comparing costs a twentieth of hashing.
type presented struct {
	text      []byte
	*verified // nil: text is the handle
}

// Check tells whether text is a token of this credential at now, and returns
// the jti of a scoped one. Its signature is verified once, its times and what
// it is bound to at each use. No comparison tells how much of a token was right.
func (t *Tokens) Check(text string, now time.Time) (jti string, ok bool) {
	if text == "" || len(text) > token.MaxBytes {
		return "", false
	}
	p := t.latest.Load()
	if p == nil || !same(text, p.text) {
		if p = t.find(text); p == nil {
			return "", false
		}
		t.latest.Store(p)
	}
	switch {
	case p.verified == nil:
		return "", true
	case p.claims.Check(now, t.PodUID, t.CredentialUID) != nil:
		return "", false
	}
	return p.claims.ID, true
}

// find returns the token that text is, whatever the time; nil: it is none.
func (t *Tokens) find(text string) *presented {
	hash := sha256.Sum256([]byte(text))
	if subtle.ConstantTimeCompare(hash[:], t.Handle[:]) == 1 {
		if t.Handle == (Handle{}) {
			return nil
		}
		return &presented{text: []byte(text)}
	}
	v := t.remembered(hash)
	if v == nil {
		claims, err := t.Verifier.Verify(text)
		if err != nil {
			return nil
		}
		v = &verified{hash: hash, claims: claims}
		t.slot(hash).Store(v)
	}
	return &presented{[]byte(text), v}
}

// same compares in a time that tells nothing but the length. Many bytes are compared
// together, since a token has hundreds.
func same(text string, b []byte) bool {
	if len(text) != len(b) {
		return false
	}
	a := []byte(text) // not written to: no copy is made
	var differ uint64
	for ; len(a) >= 16 && len(b) >= 16; a, b = a[16:], b[16:] {
		differ |= binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b)
		differ |= binary.LittleEndian.Uint64(a[8:]) ^ binary.LittleEndian.Uint64(b[8:])
	}
	for i := range min(len(a), len(b)) {
		differ |= uint64(a[i] ^ b[i])
	}
	return differ == 0
}

func (t *Tokens) remembered(hash [sha256.Size]byte) *verified {
	v := t.slot(hash).Load()
	if v == nil || subtle.ConstantTimeCompare(hash[:], v.hash[:]) != 1 {
		return nil
	}
	return v
}

func (t *Tokens) slot(hash [sha256.Size]byte) *atomic.Pointer[verified] {
	return &t.cache[hash[0]%cacheSize]
}

// CheckNew tells why the token that came with a document is not good: in this pod,
// at now, for that credential and that version of it.
func CheckNew(v *token.Verifier, c *bundle.Credential, now time.Time, podUID string) error {
	claims, err := v.Verify(c.Token)
	if err != nil {
		return err
	}
	if err := claims.Check(now, podUID, c.UID); err != nil {
		return err
	}
	if claims.Credential.Generation != c.Generation || claims.Scope != c.ScopeHash || claims.Upstream.UID != c.Upstream.UID {
		return errors.New("its token was minted for another version of it")
	}
	return nil
}
