package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// holder is one credential of the pod, whatever its versions.
type holder struct {
	name      string // namespace/name
	handle    credential.Handle
	listeners []*listener

	inFlight atomic.Int64
	lease    atomic.Pointer[lease] // nil: over
	stats    stats

	// Under Server.mu.
	held *bundle.Credential // what is served; nil: nothing
	last versions           // the highest that was ever held
}

// versions are those of a credential and its upstream.
type versions struct{ credential, upstream bundle.Object }

// olderThan tells whether c is an earlier version of the objects of v. An
// object of another UID is not the same one, and has no earlier versions.
func (v versions) olderThan(c *bundle.Credential) bool {
	return earlier(c.Object, v.credential) || earlier(c.Upstream, v.upstream)
}

func earlier(a, b bundle.Object) bool { return a.UID == b.UID && a.Generation < b.Generation }

// lease is how long a credential may be served without news.
type lease struct {
	monotonic time.Time // by the clock that nobody sets
	wall      time.Time // by the one that is set
	shown     time.Time // for metrics
}

const (
	shortestOffline = 30 * time.Second // two heartbeats
	clockLeeway     = 30 * time.Second
)

// newLease counts from receipt, so that a frame that was delayed stretches
// nothing: whichever clock is first ends the lease.
func newLease(received time.Time, maxOffline time.Duration, ends time.Time) *lease {
	return &lease{
		monotonic: received.Add(max(maxOffline, shortestOffline)),
		wall:      ends.Round(0).Add(clockLeeway),
		shown:     ends,
	}
}

func (l *lease) over(now time.Time) bool {
	return l == nil || !now.Before(l.monotonic) || !now.Round(0).Before(l.wall)
}

// view is what one listener judges and forwards by: an immutable value that
// is swapped in whole. The zero view refuses.
type view struct {
	withdrawn scope.Reason // why nothing is served, if so
	policy    *scope.Policy
	// floor is the policy of a version that is older than the one held: a
	// request must pass it, too. nil: there is none.
	floor    *scope.Policy
	profile  scope.Profile
	swap     *credential.Swap
	tokens   *credential.Tokens
	target   *dial.Target
	key      targetKey     // of target
	headers  []scope.Field // set over the agent's
	hosts    [3]string     // the values of Host that are accepted
	limits   bundle.Limits
	response bundle.Response
	expires  time.Time // zero: never
	leased   bool
}

// targetKey is what makes two endpoints the same place.
type targetKey struct {
	url, caBundle, minTLS string
	private, plaintext    bool
	headerBytes           int
}

func keyOf(e *bundle.Endpoint, headerBytes int) targetKey {
	return targetKey{e.URL, e.CABundle, e.MinTLS, e.Private, e.Plaintext, headerBytes}
}

// build makes the view of l from c, which is held, and older, which is an
// earlier version that arrived later, or nil.
func (s *Server) build(l *listener, c, older *bundle.Credential, verifier *token.Verifier) (*view, error) {
	e := endpoint(c, l.endpoint)
	if e == nil {
		return nil, fmt.Errorf("there is no endpoint %q in its document", l.endpoint)
	}
	if err := checkLimits(c.Limits); err != nil {
		return nil, err
	}
	v := &view{
		profile: e.Profile, headers: fixed(e), limits: c.Limits, response: c.Response,
		expires: c.ExpiresAt, leased: !s.options.WithoutLeases, key: keyOf(e, c.Limits.HeaderBytes),
		tokens: &credential.Tokens{
			Handle: l.holder.handle, Verifier: verifier, PodUID: s.options.PodUID, CredentialUID: c.UID,
		},
	}
	var err error
	if v.policy, err = policy(e, c); err != nil {
		return nil, err
	}
	if older != nil {
		if v.floor, err = policy(e, older); err != nil {
			return nil, err
		}
		v.expires = sooner(v.expires, older.ExpiresAt)
	}
	if v.swap, err = credential.New(e.Inject, c.Secret); err != nil {
		return nil, err
	}
	if v.target, err = s.target(l, e, c.Limits.HeaderBytes); err != nil {
		return nil, err
	}
	v.hosts = [...]string{l.authority, v.target.Host, v.target.Authority}
	return v, nil
}

// target keeps the place of l, with its connections, while it is the same one.
func (s *Server) target(l *listener, e *bundle.Endpoint, headerBytes int) (*dial.Target, error) {
	if v := l.view.Load(); v != nil && v.target != nil && v.key == keyOf(e, headerBytes) {
		return v.target, nil
	}
	t, err := s.options.Dialer.Target(e, headerBytes)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
	}
	return t, nil
}

func endpoint(c *bundle.Credential, name string) *bundle.Endpoint {
	i := slices.IndexFunc(c.Endpoints, func(e bundle.Endpoint) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Endpoints[i]
}

// policy compiles what c says of one endpoint.
func policy(e *bundle.Endpoint, c *bundle.Credential) (*scope.Policy, error) {
	var ceiling *[]scope.Grant
	if c.Ceiling != nil {
		grants := of(e, c.Ceiling.Grants)
		ceiling = &grants
	}
	p, err := scope.Compile(e.Profile, of(e, c.Grants), ceiling)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
	}
	return p, nil
}

// of returns the grants of an endpoint, perhaps none.
func of(e *bundle.Endpoint, grants []scope.Grant) []scope.Grant {
	own := []scope.Grant{}
	for _, g := range grants {
		if g.Endpoint == e.Name {
			own = append(own, g)
		}
	}
	return own
}

func fixed(e *bundle.Endpoint) []scope.Field {
	fields := make([]scope.Field, 0, len(e.Headers))
	for name, value := range e.Headers {
		fields = append(fields, scope.Field{Name: name, Value: value})
	}
	slices.SortFunc(fields, func(a, b scope.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// checkLimits refuses a document that leaves a bound out: none of them means
// that there is no bound.
func checkLimits(l bundle.Limits) error {
	if l.HeaderBytes <= 0 || l.BodyBytes <= 0 || l.RequestTimeout <= 0 ||
		l.AnswerTimeout <= 0 || l.StreamTimeout <= 0 || l.Concurrency <= 0 {
		return errors.New("a limit is missing or not above zero")
	}
	return nil
}

// sooner returns the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
