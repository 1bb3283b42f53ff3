// Package identity tells which pod a sidecar is. It takes projected
// service-account tokens for the broker's audience that are bound to a pod, and
// leaves the judgement to the API server (TokenReview), which also looks
// whether pod and account still live.
package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

// maxToken bounds a token that is looked at, in bytes.
const maxToken = 8 << 10

// Why nobody was identified.
var (
	// ErrRefused: the token is not one that is taken here. Its text says why
	// and holds nothing of the token.
	ErrRefused = errors.New("identity token refused")
	// ErrUnavailable: the API server could not be asked. Try again later.
	ErrUnavailable = errors.New("identity token not reviewed")
)

// claims are what is looked at before the API server is asked.
type claims struct {
	Issuer   string          `json:"iss"`
	Audience json.RawMessage `json:"aud"`
	Expires  int64           `json:"exp"`
	Bound    struct {
		Namespace string
		Pod       struct {
			Name string
			UID  types.UID
		}
	} `json:"kubernetes.io"`
}

// Precheck tells whether token has the shape, the issuer, the audience and the
// time of one that is worth asking the API server about, and when it expires.
// It verifies nothing: it keeps what cannot be good from costing anything.
func (r *Reviewer) Precheck(token string) (time.Time, error) {
	c, err := read(token)
	if err != nil {
		return time.Time{}, err
	}
	expires := time.Unix(c.Expires, 0)
	switch {
	case c.Issuer != r.issuer:
		return time.Time{}, fmt.Errorf("%w: it is of another issuer than this cluster's service accounts", ErrRefused)
	case !ours(c.Audience):
		return time.Time{}, fmt.Errorf("%w: its audience is not %s alone", ErrRefused, inject.Audience)
	case !r.now().Before(expires):
		return time.Time{}, fmt.Errorf("%w: it has expired", ErrRefused)
	}
	return expires, nil
}

// Claimed returns the pod that token says to be bound to, which is anybody's
// word: nothing is given for it.
func Claimed(token string) (types.NamespacedName, types.UID) {
	c, err := read(token)
	if err != nil {
		return types.NamespacedName{}, ""
	}
	return types.NamespacedName{Namespace: c.Bound.Namespace, Name: c.Bound.Pod.Name}, c.Bound.Pod.UID
}

// IssuerOf returns the issuer of a service-account token, such as the manager's
// own: it is that of the cluster.
func IssuerOf(token string) (string, error) {
	c, err := read(token)
	if err != nil {
		return "", err
	}
	if c.Issuer == "" {
		return "", fmt.Errorf("%w: it names no issuer", ErrRefused)
	}
	return c.Issuer, nil
}

func read(token string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return c, fmt.Errorf("%w: it is no JWT", ErrRefused)
	}
	var payload []byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(b) == 0 {
			return c, fmt.Errorf("%w: it is no JWT", ErrRefused)
		}
		if i == 1 {
			payload = b
		}
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, fmt.Errorf("%w: it is no JWT", ErrRefused)
	}
	return c, nil
}

// ours tells whether the claim aud names our audience and no other; one may
// stand by itself or in a list (RFC 7519, section 4.1.3).
func ours(aud json.RawMessage) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return one == inject.Audience
	}
	var list []string
	return json.Unmarshal(aud, &list) == nil && len(list) == 1 && list[0] == inject.Audience
}
