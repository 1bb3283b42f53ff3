package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/token"
)

// cacheSize bounds the verified tokens that are remembered. An agent has the
// newest one and perhaps one or two before it.
const cacheSize = 16

// Handle is the hash of a handle; the zero Handle is none. The text itself
// stays with the agent.
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

	cache [cacheSize]atomic.Pointer[verified]
}

// verified is a scoped token whose signature is good.
type verified struct {
	hash   [sha256.Size]byte
	claims token.Claims
}

// Check tells whether text is a token of this credential at now, and returns
// the jti of a scoped one. Its signature is verified once, its times and what
// it is bound to at each use.
func (t *Tokens) Check(text string, now time.Time) (jti string, ok bool) {
	if text == "" || len(text) > token.MaxBytes {
		return "", false
	}
	// Hashes are compared, so that no comparison tells how much was right.
	hash := sha256.Sum256([]byte(text))
	if subtle.ConstantTimeCompare(hash[:], t.Handle[:]) == 1 {
		return "", t.Handle != Handle{}
	}
	v := t.remembered(hash)
	if v == nil {
		claims, err := t.Verifier.Verify(text)
		if err != nil {
			return "", false
		}
		v = &verified{hash: hash, claims: claims}
		t.slot(hash).Store(v)
	}
	if v.claims.Check(now, t.PodUID, t.CredentialUID) != nil {
		return "", false
	}
	return v.claims.ID, true
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
