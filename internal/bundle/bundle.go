// Package bundle is the sidecar's document: what the broker streams to it and
// what `sallyport run` hands to the data plane directly.
package bundle

import (
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Version is the newest version of the document that this code reads.
const Version = 1

// State is the whole truth for one pod. A credential that is absent is
// revoked. It is swapped in whole and never changed afterwards.
type State struct {
	Version     int
	Digest      string    // of the canonical encoding without lease and tokens
	LeaseEnds   time.Time // the latest instant at which any credential may be served without news
	TokenKeys   []TokenKey
	Roots       string // PEM: the authorities of the broker
	Credentials []Credential
	Denied      []Denial
}

// TokenKey is a public Ed25519 key that scoped tokens are verified with.
type TokenKey struct {
	ID     string
	Public []byte
}

// Denial names a credential that the pod asks for and does not get, and why.
type Denial struct {
	Namespace, Name string
	Reason          scope.Reason
}

// Object identifies one version of an API object.
type Object struct {
	UID        string
	Generation int64
}

// Credential is one ScopedCredential with its UpstreamSecret, compiled.
type Credential struct {
	Namespace, Name string
	Object
	Upstream Object

	Endpoints []Endpoint
	Grants    []scope.Grant
	Ceiling   *Ceiling // nil: the UpstreamSecret sets none
	ScopeHash string

	Secret        secret.Value
	SecretVersion string
	Token         string // compact JWS for the agent
	MaxOffline    time.Duration
	LeaseEnds     time.Time
	ExpiresAt     time.Time // zero: never

	Limits   Limits
	Response Response
	Env      []EnvVar // client variables; {url:ENDPOINT} and {token} not yet filled in
}

// Ceiling bounds what the grants may allow: a request must pass both. A
// Ceiling without grants allows nothing.
type Ceiling struct{ Grants []scope.Grant }

// EnvVar is a client variable.
type EnvVar struct{ Name, Value string }

// Endpoint is a place that the secret may be sent to.
type Endpoint struct {
	Name     string
	URL      string // scheme, host, optional port and base path
	Profile  scope.Profile
	Inject   Inject
	Headers  map[string]string // fixed, set over the agent's
	CABundle string            // PEM; empty: the roots of the image
	MinTLS   string            // "1.2" or "1.3"
	Private  bool              // private addresses are allowed
	// Plaintext lets an http:// URL be served.
	Plaintext bool
}

// Inject says where the credential goes, and where the agent's token is taken
// from. Exactly one field is set.
type Inject struct {
	Bearer *struct{}
	Header *HeaderInjection
	Basic  *BasicInjection
	Query  *QueryInjection
}

// HeaderInjection puts the credential into a header by a template that holds
// {secret} once.
type HeaderInjection struct{ Name, Template string }

// BasicInjection puts the credential into the password of HTTP Basic.
type BasicInjection struct{ Username string }

// QueryInjection puts the credential into a query parameter.
type QueryInjection struct{ Name string }

// Limits are the bounds of one exchange; every one is set.
type Limits struct {
	HeaderBytes    int
	BodyBytes      int64
	RequestTimeout time.Duration // reading the request
	AnswerTimeout  time.Duration // from there to the answer's header
	StreamTimeout  time.Duration // the whole exchange
	Concurrency    int
}

// Response says what is done with answers.
type Response struct {
	RefuseRedirects bool // else returned; never followed
	KeepCookies     bool // else dropped
}

// SidecarRefused is the reason of an [ApplyError] that has no other.
const SidecarRefused scope.Reason = "SidecarRefused"

// ApplyError says that a sidecar cannot serve a credential, or an endpoint of
// it, as its document wants. What it held before stays in force, if it held
// anything. Detail tells what to change and holds no secret.
type ApplyError struct {
	Credential string       `json:"credential"` // namespace/name
	Reason     scope.Reason `json:"reason"`
	Detail     string       `json:"detail"`
}

// Error returns credential, reason and detail.
func (e ApplyError) Error() string {
	return fmt.Sprintf("credential %s: %s: %s", e.Credential, e.Reason, e.Detail)
}
