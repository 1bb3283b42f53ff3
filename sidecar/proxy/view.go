package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	rpc "github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
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
	policy    *scope.Policy
	// floor is the policy of a version that is older than the one held: a
	// request must pass it, too. nil: there is none.
	floor *scope.Policy
	// totals are the buckets of all grants together, of the policy and of the
	// floor; nil: no bound.
	totals [2]*limit.Bucket
	// ruled says that there is a bucket or a cut at all.
	ruled bool
	// calls says that methods of gRPC are granted.
	calls bool
	// rules are those of the grants and of the ceiling, and of the two behind
	// the floor. What is allowed must hold to each of them.
	rules    [4]rules
	grants   [4][]scope.Grant // behind them
	profile  scope.Profile
	swap     *credential.Swap
	tokens   *credential.Tokens
	target   *dial.Target
	key      targetKey     // of target
	headers  []scope.Field // set over the agent's
	base     answer.Base   // what answers say of target
	hosts    [3]string     // the values of Host that are accepted
	limits   bundle.Limits
	response bundle.Response
	expires  time.Time // zero: never
	leased   bool
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

// build makes the view of l from c, which is held, and older, which is an
// earlier version that arrived later, or nil. Its buckets are added to renewed.
func (s *Server) build(l *listener, c, older *bundle.Credential, verifier *token.Verifier, renewed limit.Buckets) (*view, error) {
	e := endpoint(c, l.endpoint)
	if e == nil {
		return nil, fmt.Errorf("there is no endpoint %q in its document", l.endpoint)
	}
	if err := checkLimits(c.Limits); err != nil {
		return nil, err
	}
	v := &view{
		profile: e.Profile, headers: fixed(e), limits: c.Limits, response: c.Response,
		calls:   slices.ContainsFunc(of(e, c.Grants), func(g scope.Grant) bool { return g.GRPC != nil }),
		expires: c.ExpiresAt, leased: !s.options.WithoutLeases, secretExpires: c.SecretExpires,
		tokens: &credential.Tokens{
			Handle: l.holder.handle, Verifier: verifier, PodUID: s.options.PodUID, CredentialUID: c.UID,
		},
	}
	var err error
	if v.policy, err = v.compile(l.holder, e, c, 0, renewed); err != nil {
		return nil, err
	}
	if older != nil {
		if v.floor, err = v.compile(l.holder, e, older, olderRules, renewed); err != nil {
			return nil, err
		}
		v.expires = sooner(v.expires, older.ExpiresAt)
	}
	if v.swap, err = credential.Next(l.swap(), e.Inject, c.Secret); err != nil {
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

// rules are what is kept to beside the judgement, by the name of the grant.
type rules map[string]rule

// rule is that of one grant. The zero rule bounds nothing and cuts nothing.
type rule struct {
	bucket *limit.Bucket
	keep   *cut.Keep  // nil: all of it
	mcp    *rpc.Judge // nil: the grant speaks another protocol
}

// collect adds the buckets of these grants, and what they keep of an answer:
// nothing where one of them keeps it all.
func (r rules) collect(names []string, buckets []*limit.Bucket, keeps []*cut.Keep) ([]*limit.Bucket, []*cut.Keep) {
	all := false
	for _, name := range names {
		one := r[name]
		buckets, keeps = append(buckets, one.bucket), append(keeps, one.keep)
		all = all || one.keep == nil
	}
	if all {
		keeps = keeps[:0]
	}
	return buckets, keeps
}

// revisions are those of the protocol of MCP that grants name, in order.
func (v *view) revisions() []string {
	var names []string
	for _, one := range v.rules[0] {
		if one.mcp != nil {
			names = append(names, one.mcp.Revisions()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// layer adds what these grants let an agent see of an MCP server: nothing is
// added where one of them lets it see all.
func (r rules) layer(names []string, to mcp.Layer) mcp.Layer {
	for _, name := range names {
		if r[name].mcp == nil {
			return to[:0]
		}
		to = append(to, r[name].mcp)
	}
	return to
}

// olderRules is where in [view.rules] those of the floor begin.
const olderRules = 2

// compile makes the policy of c, and from a place on the rules of its grants
// and of its ceiling.
func (v *view) compile(h *holder, e *bundle.Endpoint, c *bundle.Credential, at int, renewed limit.Buckets) (*scope.Policy, error) {
	p, err := policy(e, c)
	if err != nil {
		return nil, err
	}
	if c.Requests != nil && !c.Requests.Valid() {
		return nil, errors.New("its limit of requests cannot be counted")
	}
	v.totals[at/olderRules] = h.counter.Renew(renewed, h.buckets, strconv.Itoa(at), c.Requests)
	v.ruled = v.ruled || c.Requests != nil
	if err := v.addRules(h, of(e, c.Grants), at, renewed); err != nil {
		return nil, err
	}
	if c.Ceiling == nil {
		return p, nil
	}
	return p, v.addRules(h, of(e, c.Ceiling.Grants), at+1, renewed)
}

func (v *view) addRules(h *holder, grants []scope.Grant, at int, renewed limit.Buckets) error {
	v.rules[at], v.grants[at] = rules{}, grants
	for i := range grants {
		one, err := newRule(h, &grants[i], at, renewed)
		if err != nil {
			return fmt.Errorf("grant %s: %w", grants[i].Name, err)
		}
		if one != (rule{}) {
			v.rules[at][grants[i].Name] = one
			v.ruled = true
		}
	}
	return nil
}

func newRule(h *holder, g *scope.Grant, at int, renewed limit.Buckets) (rule, error) {
	var one rule
	if g.Limits != nil {
		one.bucket = h.counter.Renew(renewed, h.buckets, strconv.Itoa(at)+"/"+g.Endpoint+"/"+g.Name, &g.Limits.Requests)
	}
	if g.MCP != nil {
		one.mcp = rpc.Compile(g.MCP, func(string, string, string) {}) // what is wrong the policy has told
	}
	if g.Response == nil {
		return one, nil
	}
	var err error
	one.keep, err = cut.Compile(g.Response.Keep)
	return one, err
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
