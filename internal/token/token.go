// Package token makes and verifies what an agent shows to its sidecar: the
// scoped token, a short-lived JWS (RFC 7515) that is bound to one pod and one
// credential, and the handle, a constant of the pod. Neither holds the key of
// the upstream.
package token

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of a scoped token.
const (
	// MaxBytes is the length of the longest compact token that is looked at.
	MaxBytes = 4096
	// MaxLifetime is the longest time between issue and expiry.
	MaxLifetime = time.Hour
	// Leeway is how far two clocks may differ.
	Leeway = 30 * time.Second
)

// Audience is the only audience of scoped tokens.
const Audience = "sidecar.sallyport.dev"

// mediaType stands in the header of scoped tokens, so that no other JWS passes
// for one (RFC 8725, section 3.11).
const mediaType = "scoped+jwt"

// ErrRefused is what every refusal of a token is. Its text says why and holds
// nothing of the token.
var ErrRefused = errors.New("token refused")

// Claims are what a scoped token says. Every one is required.
type Claims struct {
	Issuer     string     `json:"iss"` // "sallyport:" and the UID of the namespace kube-system
	Subject    string     `json:"sub"` // system:serviceaccount:NAMESPACE:NAME
	Audience   string     `json:"aud"`
	IssuedAt   int64      `json:"iat"` // seconds since 1970, as all times here (RFC 7519)
	NotBefore  int64      `json:"nbf"`
	Expires    int64      `json:"exp"`
	ID         string     `json:"jti"`
	Pod        Pod        `json:"pod"`
	Credential Credential `json:"cred"`
	Scope      string     `json:"scope"` // digest of the compiled scope
	Upstream   Upstream   `json:"upstream"`
}

// Pod is the pod that a token is bound to.
type Pod struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
}

// Credential is the ScopedCredential that a token speaks of.
type Credential struct {
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Generation int64  `json:"gen"`
}

// Upstream is the UpstreamSecret, and which version of its key is used.
type Upstream struct {
	UID           string `json:"uid"`
	SecretVersion string `json:"secretVersion"`
}

// Check reports whether the token may be used at now, in the pod and for the
// credential with these UIDs. Clocks may differ by [Leeway]. It is to be asked
// at each use; [Verifier.Verify] looks at no clock.
func (c *Claims) Check(now time.Time, podUID, credentialUID string) error {
	switch {
	case podUID == "" || c.Pod.UID != podUID:
		return fmt.Errorf("%w: it is bound to another pod", ErrRefused)
	case credentialUID == "" || c.Credential.UID != credentialUID:
		return fmt.Errorf("%w: it is for another credential", ErrRefused)
	case now.Before(time.Unix(c.NotBefore, 0).Add(-Leeway)):
		return fmt.Errorf("%w: it is not valid yet", ErrRefused)
	case !now.Before(time.Unix(c.Expires, 0).Add(Leeway)):
		return fmt.Errorf("%w: it has expired: read the token file again", ErrRefused)
	}
	return nil
}

// validate refuses claims that leave anything out or contradict themselves.
func (c Claims) validate() error {
	for _, required := range [...]struct{ name, value string }{
		{"iss", c.Issuer},
		{"sub", c.Subject},
		{"jti", c.ID},
		{"scope", c.Scope},
		{"pod.uid", c.Pod.UID},
		{"pod.name", c.Pod.Name},
		{"cred.name", c.Credential.Name},
		{"cred.uid", c.Credential.UID},
		{"upstream.uid", c.Upstream.UID},
		{"upstream.secretVersion", c.Upstream.SecretVersion},
	} {
		if required.value == "" {
			return fmt.Errorf("%w: claim %s is missing", ErrRefused, required.name)
		}
	}
	lifetime := c.Expires - c.IssuedAt
	switch {
	case c.Audience != Audience:
		return fmt.Errorf("%w: it is for another audience", ErrRefused)
	case c.Credential.Generation < 1:
		return fmt.Errorf("%w: claim cred.gen is missing", ErrRefused)
	case c.IssuedAt <= 0 || c.NotBefore <= 0 || c.NotBefore > c.IssuedAt:
		return fmt.Errorf("%w: its times contradict each other", ErrRefused)
	case lifetime <= 0 || lifetime > int64(MaxLifetime/time.Second):
		return fmt.Errorf("%w: its lifetime is not within %s", ErrRefused, MaxLifetime)
	}
	return nil
}
