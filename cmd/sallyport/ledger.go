package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// ledger holds what is served, from one reading of the manifests to the next.
// In a cluster the broker does that; identities that an API server would give
// are random here, so that no token is good in another process.
type ledger struct {
	key    token.Key
	pod    token.Pod
	issuer string
	salt   []byte // of secret versions
	held   map[string]*held
	order  []string // of the keys of held: as they were first read
}

// held is a credential that was served once. It is kept when it goes away: its
// listeners stay, and refuse.
type held struct {
	handle   string // for clients that read their token once
	upstream string // UID
	accepted bundle.Credential
	lifetime time.Duration
	denied   scope.Reason // empty: it is served
	token    string
}

func newLedger() *ledger {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process instead
	return &ledger{
		key:    token.GenerateKey(),
		pod:    token.Pod{UID: newUID(), Name: "sallyport-run"},
		issuer: "sallyport:" + newUID(),
		salt:   salt,
		held:   map[string]*held{},
	}
}

// newUID is as unlikely to occur twice as an API server's.
func newUID() string { return rand.Text() }

// take enters a reading of the manifests. What takes access away counts at
// once, even where the rest of an object is refused; anything else of such an
// object waits, and the last accepted scope stays in force.
func (l *ledger) take(all []loaded) {
	present := map[string]bool{}
	for i := range all {
		c := &all[i]
		present[c.key] = true
		h := l.held[c.key]
		if h == nil {
			if c.refused {
				continue // it has no listener yet
			}
			h = &held{handle: token.NewHandle(), upstream: newUID()}
			l.held[c.key] = h
			l.order = append(l.order, c.key)
		}
		h.take(c, l.salt)
	}
	for key, h := range l.held {
		if !present[key] {
			h.withdraw()
		}
	}
}

func (h *held) take(c *loaded, salt []byte) {
	if c.withdrawn {
		h.withdraw()
		return
	}
	if !c.refused {
		h.accept(c, salt)
	} else if at := c.object.Spec.ExpiresAt; at != nil && (h.accepted.ExpiresAt.IsZero() || at.UTC().Before(h.accepted.ExpiresAt)) {
		h.accepted.ExpiresAt = at.UTC() // sooner takes away, later would give
	}
	switch {
	case c.object.Spec.Suspend:
		h.denied = scope.Suspended
	case h.accepted.UID == "":
		h.denied = scope.Revoked // withdrawn before, and not acceptable since
	default:
		h.denied = ""
	}
}

// withdraw forgets the identity: what comes back under the same name is
// another object, and tokens of the old one stay refused.
func (h *held) withdraw() {
	h.accepted.UID, h.denied = "", scope.Revoked
}

func (h *held) accept(c *loaded, salt []byte) {
	last := h.accepted
	h.accepted, h.lifetime = c.compiled, compile.Lifetime(c.object)
	h.accepted.UID, h.accepted.Generation = last.UID, last.Generation+1
	if h.accepted.UID == "" {
		h.accepted.UID = newUID()
	}
	h.accepted.Upstream = bundle.Object{UID: h.upstream, Generation: h.accepted.Generation}
	h.accepted.SecretVersion = secretVersion(salt, c.compiled.Secret)
}

// secretVersion tells keys apart and nothing else about them.
func secretVersion(salt []byte, key secret.Value) string {
	sum := hmac.New(sha256.New, salt)
	sum.Write([]byte(key.Reveal()))
	return hex.EncodeToString(sum.Sum(nil))
}

// state is what the data plane is to serve from now on, with new tokens.
// There are no leases: nobody else could take something away.
func (l *ledger) state(now time.Time) (*bundle.State, error) {
	state := &bundle.State{Version: bundle.Version, TokenKeys: []bundle.TokenKey{l.key.Public()}}
	for _, key := range l.order {
		h := l.held[key]
		c := h.accepted
		if c.UID != "" {
			var err error
			if h.token, err = l.key.Mint(l.claims(h, now)); err != nil {
				return nil, fmt.Errorf("minting the token of %s: %w", key, err)
			}
		}
		if h.denied != "" {
			state.Denied = append(state.Denied, bundle.Denial{Namespace: c.Namespace, Name: c.Name, Reason: h.denied})
			continue
		}
		c.Token = h.token
		state.Credentials = append(state.Credentials, c)
	}
	return state, nil
}

func (l *ledger) claims(h *held, now time.Time) token.Claims {
	c := &h.accepted
	return token.Claims{
		Issuer:     l.issuer,
		Subject:    "sallyport:run", // no account is checked here
		Audience:   token.Audience,
		IssuedAt:   now.Unix(),
		NotBefore:  now.Add(-token.Leeway).Unix(),
		Expires:    now.Add(h.lifetime).Unix(),
		ID:         newUID(),
		Pod:        l.pod,
		Credential: token.Credential{Name: c.Name, UID: c.UID, Generation: c.Generation},
		Scope:      c.ScopeHash,
		Upstream:   token.Upstream{UID: c.Upstream.UID, SecretVersion: c.SecretVersion},
	}
}

// renewIn is when tokens are to be minted again: at one third of the shortest
// lifetime, so that two attempts may fail.
func (l *ledger) renewIn() time.Duration {
	shortest := token.MaxLifetime
	for _, h := range l.held {
		if h.denied == "" {
			shortest = min(shortest, h.lifetime)
		}
	}
	return shortest / 3
}
