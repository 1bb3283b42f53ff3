package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
	"github.com/sallyport-dev/sallyport/sidecar/rules"
)

// holder is one credential of the pod, whatever its versions.
type holder struct {
	name      string // namespace/name
	handle    credential.Handle
	listeners []*listener
	carried   bool // its listeners are reached through proxy-mode ones

	inFlight limit.InFlight
	most     int64 // of all
	all      *limit.InFlight
	counter  limit.Counter
	lease    atomic.Pointer[lifetime.Lease] // nil: over
	stats    metrics.Credential

	// Under Server.mu.
	held *bundle.Credential // what is served; nil: nothing
	at   time.Time          // since when
	last versions           // the highest that was ever held
	// stale says that the newest document could not be served: what is held has
	// been replaced elsewhere, and ends with the lease that it has.
	stale bool
	// buckets are those of what was served last. They outlive a withdrawal,
	// which gives nothing back.
	buckets limit.Buckets
}

// versions are those of a credential and its upstream.
type versions struct{ credential, upstream bundle.Object }

// olderThan tells whether c is an earlier version of the objects of v. An
// object of another UID is not the same one, and has no earlier versions.
func (v versions) olderThan(c *bundle.Credential) bool {
	return earlier(c.Object, v.credential) || earlier(c.Upstream, v.upstream)
}

func earlier(a, b bundle.Object) bool { return a.UID == b.UID && a.Generation < b.Generation }

// view is what one listener judges and forwards by: an immutable value that
// is swapped in whole. The zero view refuses.
type view struct {
	withdrawn scope.Reason // why nothing is served, if so
	rules     rules.Set
	profile   scope.Profile
	swap      *credential.Swap
	tokens    *credential.Tokens
	target    *dial.Target
	key       targetKey     // of target
	headers   []scope.Field // set over the agent's
	base      answer.Base   // what answers say of target
	hosts     [3]string     // the values of Host that are accepted
	limits    bundle.Limits
	response  bundle.Response
	expires   time.Time // zero: never
	leased    bool
	// secretExpires is when the secret is sent no more; zero: never.
	secretExpires time.Time
}

// usable refuses a new exchange while the credential is not to be used at all,
// and where the secret has expired: an upstream that is sent an expired one may
// take the client for a thief. What was begun before goes on.
func (c *conn) usable(now time.Time) refusal {
	if why := c.standing(now); why.is() {
		return why
	}
	if end := c.view.secretExpires; !end.IsZero() && !now.Round(0).Before(end) {
		return refusal{reason: scope.NotReady, detail: "the upstream's token has expired, and the operator has not got the next one yet: try again", retryAfter: secretRetry}
	}
	return refusal{}
}

// secretRetry is when to ask again for a secret that has expired, in seconds.
const secretRetry = 5

// targetKey is what makes two endpoints the same place.
type targetKey struct {
	url, caBundle, minTLS string
	private, plaintext    bool
	headerBytes           int
	certificate           [sha256.Size]byte
}

func keyOf(e *bundle.Endpoint, headerBytes int, certificate *tls.Certificate) targetKey {
	k := targetKey{url: e.URL, caBundle: e.CABundle, minTLS: e.MinTLS, private: e.Private, plaintext: e.Plaintext, headerBytes: headerBytes}
	if certificate != nil {
		k.certificate = sha256.Sum256(bytes.Join(certificate.Certificate, nil))
	}
	return k
}

// certificateOf is what connections to e are made with; nil: nothing.
func certificateOf(e *bundle.Endpoint, c *bundle.Credential) (*tls.Certificate, error) {
	if e.Inject.ClientCertificate == nil {
		return nil, nil //nolint:nilnil // none is wanted
	}
	certificate, err := bundle.CertificateOf(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
	}
	return certificate, nil
}

// offer is what listeners are to serve by. What is the same for those of one
// endpoint is made once.
type offer struct {
	c, older *bundle.Credential // the one that is held, and an earlier one that arrived later, or nil
	verifier *token.Verifier
	buckets  rules.Buckets

	rules map[string]rules.Set // by endpoint
	swaps map[succession]*credential.Swap
}

// succession is what a rule of injection follows.
type succession struct {
	endpoint string
	before   *credential.Swap
}

func (o *offer) rulesOf(e *bundle.Endpoint) (rules.Set, error) {
	if known, ok := o.rules[e.Name]; ok {
		return known, nil
	}
	made, err := rules.Compile(o.buckets, e, o.c, o.older)
	if err == nil {
		o.rules[e.Name] = made
	}
	return made, err
}

func (o *offer) swapAfter(before *credential.Swap, e *bundle.Endpoint) (*credential.Swap, error) {
	key := succession{e.Name, before}
	if known, ok := o.swaps[key]; ok {
		return known, nil
	}
	made, err := credential.Next(before, e.Inject, o.c.Secret)
	if err == nil {
		o.swaps[key] = made
	}
	return made, err
}

// newOffer has buckets go on as h has them.
func newOffer(h *holder, c, older *bundle.Credential, verifier *token.Verifier) *offer {
	return &offer{
		c: c, older: older, verifier: verifier, buckets: rules.Buckets{Counter: &h.counter, Before: h.buckets, Renewed: limit.Buckets{}},
		rules: map[string]rules.Set{}, swaps: map[succession]*credential.Swap{},
	}
}

// build makes the view of l.
func (s *Server) build(l *listener, o *offer) (*view, error) {
	c := o.c
	e := endpoint(c, l.endpoint)
	if e == nil {
		return nil, fmt.Errorf("there is no endpoint %q in its document", l.endpoint)
	}
	if err := checkLimits(c.Limits); err != nil {
		return nil, err
	}
	v := &view{
		profile: e.Profile, headers: fixed(e), limits: c.Limits, response: c.Response,
		expires: c.ExpiresAt, leased: !s.options.WithoutLeases, secretExpires: c.SecretExpires,
		tokens: &credential.Tokens{
			Handle: l.holder.handle, Verifier: o.verifier, PodUID: s.options.PodUID, CredentialUID: c.UID,
		},
	}
	var err error
	if v.rules, err = o.rulesOf(e); err != nil {
		return nil, err
	}
	if o.older != nil {
		v.expires = sooner(v.expires, o.older.ExpiresAt)
	}
	if v.swap, err = o.swapAfter(l.swap(), e); err != nil {
		return nil, err
	}
	if err := s.aim(v, l, e, c); err != nil {
		return nil, err
	}
	if l.net != nil { // else clients know the upstream by its own address
		if v.base, err = answer.NewBase(e.URL, "http://"+l.authority); err != nil {
			return nil, fmt.Errorf("endpoint %s: its URL cannot be read", e.Name)
		}
	}
	v.hosts = [...]string{l.authority, v.target.Host, v.target.Authority}
	return v, nil
}

// swap is the rule that l has; nil: it has none.
func (l *listener) swap() *credential.Swap {
	if v := l.view.Load(); v != nil {
		return v.swap
	}
	return nil
}

// aim says where v sends requests. The place of l is kept, with its connections,
// while it is the same one and is shown the same certificate. With the time of a
// certificate that of the credential ends.
func (s *Server) aim(v *view, l *listener, e *bundle.Endpoint, c *bundle.Credential) error {
	certificate, err := certificateOf(e, c)
	if err != nil {
		return err
	}
	if certificate != nil {
		v.expires = sooner(v.expires, certificate.Leaf.NotAfter)
	}
	v.key = keyOf(e, c.Limits.HeaderBytes, certificate)
	if old := l.view.Load(); old != nil && old.target != nil && old.key == v.key {
		v.target = old.target
		return nil
	}
	if v.target, err = s.options.Dialer.Target(e, c.Limits.HeaderBytes, certificate); err != nil {
		return fmt.Errorf("endpoint %s: %w", e.Name, err)
	}
	return nil
}

func endpoint(c *bundle.Credential, name string) *bundle.Endpoint {
	i := slices.IndexFunc(c.Endpoints, func(e bundle.Endpoint) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Endpoints[i]
}

func fixed(e *bundle.Endpoint) []scope.Field {
	fields := make([]scope.Field, 0, len(e.Headers))
	for name, value := range e.Headers {
		fields = append(fields, scope.Field{Name: name, Value: value})
	}
	slices.SortFunc(fields, func(a, b scope.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// forwards tells whether a field of the agent goes upstream: one that every
// version asked lets pass, and that is not the endpoint's own.
func (c *conn) forwards(d *scope.Decision, name string) bool {
	v := c.view
	return scope.Forwards(d, name) && (v.rules.Floor == nil || scope.Forwards(&c.floor, name)) &&
		!v.swap.Drops(name) && !v.sets(name)
}

// isRange tells a field that asks for a part of an answer, which could not be
// cut.
func isRange(name string) bool {
	return text.EqualFold(name, "Range") || text.EqualFold(name, "If-Range")
}

// dropsCondition tells that the agent wants a part of one version alone (RFC 9110,
// 13.1.5) and that this does not go upstream. Then the part may not be asked for
// either: it would be put behind what the agent has of another version.
func (c *conn) dropsCondition(d *scope.Decision) bool {
	for i := range c.head.Fields {
		if name := c.head.Fields[i].Name; text.EqualFold(name, "If-Range") && !c.forwards(d, name) {
			return true
		}
	}
	return false
}

// sets tells whether the endpoint sets a field of this name itself.
func (v *view) sets(name string) bool {
	for i := range v.headers {
		if text.EqualFold(v.headers[i].Name, name) {
			return true
		}
	}
	return false
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

// overdue is what was shown and leased when a credential was found to be over, and
// what was under way was cut. It holds no key.
type overdue struct {
	shown int64 // 0: it was not over
	lease *lifetime.Lease
}

// expire cuts what is under way when the time of the credential ends. Once is
// enough for what is shown and leased: what begins later is refused. But it may
// have been renewed, and be over again, while nobody looked.
func (l *listener) expire(now time.Time) {
	is, why := overdue{l.shown.Load(), l.holder.lease.Load()}, scope.Reason("")
	if v := l.view.Load(); v != nil && v.withdrawn == "" {
		why = v.over(l.holder, now)
	}
	switch {
	case why == "":
		l.cut = overdue{}
	case is != l.cut:
		l.each(func(c *conn) { c.life.EndBusy(why) })
		l.cut = is
	}
}
