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
	Version     int          `json:"version"`
	Digest      string       `json:"digest"`    // of the canonical encoding without lease and tokens
	LeaseEnds   time.Time    `json:"leaseEnds"` // the latest instant at which any credential may be served without news
	TokenKeys   []TokenKey   `json:"tokenKeys"`
	Roots       string       `json:"roots"` // PEM: the authorities of the broker
	Credentials []Credential `json:"-"`     // written by [Encode] alone
	Denied      []Denial     `json:"denied,omitempty"`
}

// TokenKey is a public Ed25519 key that scoped tokens are verified with.
type TokenKey struct {
	ID     string `json:"id"`
	Public []byte `json:"public"`
}

// Denial names a credential that the pod asks for and does not get, and why.
type Denial struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Reason    scope.Reason `json:"reason"`
}

// Object identifies one version of an API object.
type Object struct {
	UID        string `json:"uid"`
	Generation int64  `json:"generation"`
}

// Credential is one ScopedCredential with its UpstreamSecret, compiled.
type Credential struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Object
	Upstream Object `json:"upstream"`

	Endpoints []Endpoint    `json:"endpoints"`
	Grants    []scope.Grant `json:"grants"`
	Ceiling   *Ceiling      `json:"ceiling,omitempty"` // nil: the UpstreamSecret sets none
	ScopeHash string        `json:"scopeHash"`

	// Secret is what is injected; where that has several parts, they are joined
	// as [AWSKeys] and [CertificateSecret] say. It is written by [Encode] alone.
	Secret        secret.Value  `json:"-"`
	SecretVersion string        `json:"secretVersion"`
	SecretExpires time.Time     `json:"secretExpires,omitzero"` // after that it is not sent any more; zero: never
	Token         string        `json:"token"`                  // compact JWS for the agent
	MaxOffline    time.Duration `json:"maxOffline"`
	LeaseEnds     time.Time     `json:"leaseEnds"`
	ExpiresAt     time.Time     `json:"expiresAt,omitzero"` // zero: never

	Limits   Limits      `json:"limits"`
	Requests *scope.Rate `json:"requests,omitempty"` // of all grants together; nil: no bound
	Response Response    `json:"response"`
	Env      []EnvVar    `json:"env,omitempty"` // client variables; {url:ENDPOINT} and {token} not yet filled in
}

// Ceiling bounds what the grants may allow: a request must pass both. A
// Ceiling without grants allows nothing.
type Ceiling struct {
	Grants []scope.Grant `json:"grants"`
}

// EnvVar is a client variable.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Endpoint is a place that the secret may be sent to.
type Endpoint struct {
	Name     string            `json:"name"`
	URL      string            `json:"url"` // scheme, host, optional port and base path
	Profile  scope.Profile     `json:"profile"`
	Inject   Inject            `json:"inject"`
	Headers  map[string]string `json:"headers,omitempty"`  // fixed, set over the agent's
	CABundle string            `json:"caBundle,omitempty"` // PEM; empty: the roots of the image
	MinTLS   string            `json:"minTLS,omitempty"`   // "1.2" or "1.3"
	Private  bool              `json:"private"`            // private addresses are allowed
	// Plaintext lets an http:// URL be served.
	Plaintext bool `json:"plaintext"`
}

// Inject says where the credential goes, and where the agent's token is taken
// from. Exactly one field is set.
type Inject struct {
	Bearer *struct{}        `json:"bearer,omitempty"`
	Header *HeaderInjection `json:"header,omitempty"`
	Basic  *BasicInjection  `json:"basic,omitempty"`
	Query  *QueryInjection  `json:"query,omitempty"`
	// AWSSigV4 takes the token as the access key id of a signature.
	AWSSigV4 *SignatureInjection `json:"awsSigV4,omitempty"`
	// ClientCertificate takes the token as Bearer does: the credential is not in
	// the request.
	ClientCertificate *struct{} `json:"clientCertificate,omitempty"`
}

// HeaderInjection puts the credential into a header by a template that holds
// {secret} once.
type HeaderInjection struct {
	Name     string `json:"name"`
	Template string `json:"template"`
}

// BasicInjection puts the credential into the password of HTTP Basic.
type BasicInjection struct {
	Username string `json:"username"`
}

// QueryInjection puts the credential into a query parameter.
type QueryInjection struct {
	Name string `json:"name"`
}

// SignatureInjection signs requests for one service in one region of AWS.
type SignatureInjection struct {
	Region  string `json:"region"`
	Service string `json:"service"`
}

// Limits are the bounds of one exchange; every one is set.
type Limits struct {
	HeaderBytes    int           `json:"headerBytes"`
	BodyBytes      int64         `json:"bodyBytes"`
	RequestTimeout time.Duration `json:"requestTimeout"` // reading the request
	AnswerTimeout  time.Duration `json:"answerTimeout"`  // from there to the answer's header
	StreamTimeout  time.Duration `json:"streamTimeout"`  // the whole exchange
	Concurrency    int           `json:"concurrency"`
}

// Response says what is done with answers.
type Response struct {
	RefuseRedirects bool `json:"refuseRedirects"` // else returned; never followed
	KeepCookies     bool `json:"keepCookies"`     // else dropped
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

// NamespacedName is namespace/name.
func (c *Credential) NamespacedName() string { return c.Namespace + "/" + c.Name }

// Find returns what is said of the credential namespace/name: its document, or why
// there is none, which is [scope.Revoked] where nothing is said.
func (s *State) Find(name string) (*Credential, scope.Reason) {
	for _, d := range s.Denied {
		if d.Namespace+"/"+d.Name == name {
			return nil, d.Reason
		}
	}
	for i := range s.Credentials {
		if c := &s.Credentials[i]; c.NamespacedName() == name {
			return c, ""
		}
	}
	return nil, scope.Revoked
}
