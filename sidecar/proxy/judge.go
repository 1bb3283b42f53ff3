package proxy

import (
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
)

// exchange reads one request, judges it, and lets it be forwarded or refused.
// It tells whether another may follow.
func (c *conn) exchange() bool {
	if ready, again := c.next(); !ready {
		return again
	}
	var why refusal
	d := &c.decision
	if *d, why = c.judge(); why.is() {
		return c.refuse(d, why)
	}
	if !c.enter() {
		return c.refuse(d, refusal{reason: scope.RateLimited})
	}
	defer c.listener.holder.leave()
	c.life.Admit()
	defer c.forget()
	if *d, why = c.judgeWhole(*d); !why.is() {
		why = c.settleTerms(d)
	}
	if why.is() {
		return c.refuse(d, why)
	}
	if c.record(audit.Decision, d, refusal{}) != nil {
		return c.refuseUnrecorded()
	}
	c.stats().Allowed.Add(1)
	again := c.forward(d)
	took := time.Since(c.began)
	c.ended = c.began.Add(took)
	c.stats().Duration.Observe(took)
	return again
}

// settleTerms refuses what a scope alone does not: a body whose digest is not what
// it is said to be, a session that is not known, a limit that is used up.
func (c *conn) settleTerms(d *scope.Decision) refusal {
	if why := c.digestBody(); why.is() {
		return why
	}
	if why := c.admit(d); why.is() {
		return why
	}
	return c.charge(d)
}

// digestBody notes what is signed of the body, and refuses one of which the
// agent says what is not true.
func (c *conn) digestBody() refusal {
	signer := c.view.swap.Signer()
	if signer == nil {
		return refusal{}
	}
	whole := c.whole || c.head.Framing.Empty()
	if !whole && signer.Whole(c.view.target.TLS) {
		return refusal{reason: scope.ParameterRefused, detail: "a body that is not read whole cannot be signed for this service", close: true}
	}
	digest, ok := signer.Digest(c.head.Fields, c.body, whole)
	if !ok {
		return refusal{reason: scope.Malformed, detail: "X-Amz-Content-Sha256 is not the digest of the body", close: true}
	}
	c.digest = digest
	return refusal{}
}

// refuseUnrecorded refuses an allowed request whose record failed; it is not
// tried to record that as well.
func (c *conn) refuseUnrecorded() bool {
	c.stats().Denied(scope.Unrecorded)
	return c.tell(c.settle(refusal{reason: scope.Unrecorded}))
}

// judge decides about the request whose head was read. Whatever it does not
// allow by name is refused.
func (c *conn) judge() (scope.Decision, refusal) {
	v, now := c.view, c.server.now()
	head := c.headRead()
	unread := c.request.Parse(&head, &v.profile)
	c.path = c.request.AppendPath(c.path)
	for _, refuse := range [...]func() refusal{
		func() refusal { return c.usable(now) },
		func() refusal { return unparsed(unread) },
		c.addressed,
		func() refusal { return c.authenticate(now) },
		c.signable,
	} {
		if why := refuse(); why.is() {
			return scope.Decision{}, why
		}
	}
	return c.decide()
}

// headRead is the head of the request as it is judged.
func (c *conn) headRead() scope.Head {
	return scope.Head{
		Method: c.head.Method, Target: c.head.Target, Fields: c.head.Fields,
		HasBody: !c.head.Framing.Empty(), Upgrade: c.head.Upgrade != "", HTTP2: c.call != nil,
	}
}

// standing refuses while the credential is not to be used at all.
func (c *conn) standing(now time.Time) refusal {
	return refusal{reason: c.view.standing(c.listener.holder, now)}
}

// standing is why a credential is not to be used at all, if so.
func (v *view) standing(h *holder, now time.Time) scope.Reason {
	switch {
	case v.withdrawn != "":
		return v.withdrawn
	case v.rules.Policy == nil:
		return scope.NotReady
	}
	return v.over(h, now)
}

// over is why the time of a credential is over, if it is.
func (v *view) over(h *holder, now time.Time) scope.Reason {
	switch {
	case !v.expires.IsZero() && !now.Before(v.expires):
		return scope.Expired
	case v.leased && h.lease.Load().Over(now):
		return scope.LeaseExpired
	}
	return ""
}

func unparsed(err error) refusal {
	if err == nil {
		return refusal{}
	}
	why := refusal{reason: scope.Malformed, close: true}
	if r := (*scope.Refusal)(nil); errors.As(err, &r) {
		why.reason, why.status, why.detail = r.Reason, r.Status, r.Detail
	}
	return why
}

// addressed refuses a request that was meant for somebody else, such as one
// that a name was rebound for, and one that asks for a protocol that is not
// spoken here.
func (c *conn) addressed() refusal {
	if !c.view.isHost(c.head.Host) {
		return refusal{reason: scope.Malformed, detail: "Host must be the address of this listener or the upstream's host", close: true}
	}
	return c.handshake()
}

// isHost compares as names of hosts are compared: ASCII letters have no case.
func (v *view) isHost(host string) bool {
	for _, h := range v.hosts {
		if h != "" && (h == host || text.EqualFold(h, host)) {
			return true
		}
	}
	return false
}

func (c *conn) authenticate(now time.Time) refusal {
	text, err := c.view.swap.Take(c.head.Fields, &c.request)
	switch {
	case errors.Is(err, credential.ErrAmbiguous):
		return refusal{reason: scope.Malformed, detail: err.Error(), close: true}
	case err != nil:
		return refusal{reason: scope.Unauthenticated}
	}
	jti, ok := c.view.tokens.Check(text, now)
	if !ok {
		return refusal{reason: scope.Unauthenticated}
	}
	c.jti = jti
	return refusal{}
}

// decide asks the policy, and the one before it where there are two, about the
// head.
func (c *conn) decide() (scope.Decision, refusal) {
	older := c.askOlder(func(p *scope.Policy) scope.Decision { return p.Decide(&c.request) })
	d := c.view.rules.Policy.Decide(&c.request)
	c.speaks = d.Protocol
	if why := verdict(&d, &older); why.is() {
		return d, why
	}
	d.Body = shorter(d.Body, older.Body)
	d = c.unsigned(both(d, &older))
	if c.head.Framing.Empty() {
		return d, refusal{}
	}
	most := d.Most
	if d.Body != nil {
		most = max(most, d.Body.MaxBytes)
	}
	if c.head.Framing.Length > most {
		return d, refusal{reason: scope.TooLarge, close: true}
	}
	if !c.read && c.call == nil {
		c.reader.Body().Limit(most)
	}
	return d, refusal{}
}

// both is undecided where one of two is: both are asked again with more of the
// body.
func both(d scope.Decision, older *scope.Decision) scope.Decision {
	if older.Verdict == scope.Undecided {
		d = scope.Decision{Verdict: scope.Undecided, Protocol: d.Protocol, Read: max(d.Read, older.Read), Most: max(d.Most, older.Most)}
	}
	return d
}

// decideBody asks them about the request with what was read of its body.
func (c *conn) decideBody() (scope.Decision, refusal) {
	defer c.server.parsing.Take(len(c.body))()
	ask := func(p *scope.Policy) scope.Decision {
		return p.DecideBody(&c.request, c.content())
	}
	older := c.askOlder(ask)
	d := ask(c.view.rules.Policy)
	d.Body = shorter(d.Body, older.Body)
	if why := verdict(&d, &older); why.is() {
		return d, why
	}
	d = both(d, &older)
	switch {
	case d.Verdict == scope.Allow:
		return d, c.bound(&d)
	case c.whole || d.Read <= int64(len(c.body)): // there is nothing more to ask
		return scope.Decision{}, refusal{reason: scope.Malformed, detail: "the body could not be read", close: true}
	}
	return d, refusal{}
}

// content is the body as far as it was read.
func (c *conn) content() scope.Content {
	return scope.Content{Data: c.body, Whole: c.whole, GraphQL: c.server.documents}
}

// bound holds what follows of the body to what was allowed.
func (c *conn) bound(d *scope.Decision) refusal {
	if c.whole {
		return refusal{}
	}
	if d.Body == nil || int64(len(c.body)) > d.Body.MaxBytes {
		return refusal{reason: scope.TooLarge, close: true}
	}
	c.reader.Body().Limit(d.Body.MaxBytes - int64(len(c.body)))
	return refusal{}
}

// shorter returns the bound of a body that both policies allow. Where one of
// them has none, the other decides alone.
func shorter(a, b *scope.Body) *scope.Body {
	if a != nil && b != nil && b.MaxBytes < a.MaxBytes {
		return b
	}
	return a
}

// askOlder asks the policy before, which allows where there is none. A request
// must pass both, and the names that it gives are kept: the other one's
// decision makes them invalid.
func (c *conn) askOlder(ask func(*scope.Policy) scope.Decision) scope.Decision {
	c.older, c.olderAbove, c.floor = c.older[:0], c.olderAbove[:0], scope.Decision{}
	if c.view.rules.Floor == nil {
		return scope.Decision{Verdict: scope.Allow}
	}
	c.floor = ask(c.view.rules.Floor)
	c.older, c.olderAbove = append(c.older, c.floor.Grants...), append(c.olderAbove, c.floor.Above...)
	return c.floor
}

// verdict is why a request is refused that one of two policies denies.
func verdict(d, older *scope.Decision) refusal {
	switch {
	case d.Verdict == scope.Deny:
		return refusal{reason: reasonOf(d), status: d.Status, detail: d.Detail, close: d.Reason == scope.Malformed || d.Reason == scope.TooLarge}
	case older.Verdict == scope.Deny:
		return refusal{reason: scope.VersionWentBack}
	}
	return refusal{}
}

// judgeWhole judges the body where the head does not tell, and all of it again
// where the credential has changed meanwhile: a slow request must not carry an
// old scope past the new one. From then on a change finds it: see
// [conn.review].
func (c *conn) judgeWhole(d scope.Decision) (scope.Decision, refusal) {
	for {
		why := refusal{}
		if d.Verdict == scope.Undecided {
			d, why = c.judgeBody(d)
		}
		if why.is() {
			return d, why
		}
		// First held, then the view: who swaps the view and then looks at what
		// is held misses no one.
		c.hold(c.view)
		v := c.listener.view.Load()
		if v == nil || v == c.view {
			return d, refusal{}
		}
		c.hold(nil)
		if d, why = c.judgeAnew(v); why.is() {
			return d, why
		}
	}
}

// judgeBody reads the body of a request that is undecided, and decides: by its
// beginning, or by more of it where that does not tell. Whatever happened while
// it was read counts.
func (c *conn) judgeBody(d scope.Decision) (scope.Decision, refusal) {
	if c.head.ExpectContinue {
		_ = c.writer.Continue() // reading tells
		c.head.ExpectContinue = false
	}
	for d.Verdict == scope.Undecided {
		if err := c.readBody(d.Read); err != nil {
			return scope.Decision{}, c.blame(&bodyError{err})
		}
		if v := c.listener.view.Load(); v != nil && v != c.view {
			return c.judgeAnew(v)
		}
		why := c.usable(c.server.now())
		if why.is() {
			return scope.Decision{}, why
		}
		if d, why = c.decideBody(); why.is() {
			return d, why
		}
	}
	return d, refusal{}
}

// judgeAnew judges a request whose credential has changed while it was read.
func (c *conn) judgeAnew(v *view) (scope.Decision, refusal) {
	c.view = v
	if c.read && !c.whole {
		return scope.Decision{}, refusal{reason: scope.NotReady, detail: "the credential has changed while the request was read: send it again", close: true}
	}
	c.path = c.path[:0]
	d, why := c.judge()
	if why.is() || !c.read || d.Verdict == scope.Allow && !c.head.Framing.Empty() && int64(len(c.body)) <= d.Body.MaxBytes {
		return d, why
	}
	return c.decideBody()
}

// charge counts an allowed request against the limits of those that allow it,
// and notes what they keep of the answer.
func (c *conn) charge(d *scope.Decision) refusal {
	v := c.view
	if !v.rules.Ruled {
		return refusal{}
	}
	for i, names := range [...][]string{d.Grants, d.Above, c.older, c.olderAbove} {
		c.buckets[i], c.keeps[i] = v.rules.Collect(i, names, c.buckets[i][:0], c.keeps[i][:0])
	}
	for i, total := range v.rules.Totals {
		c.buckets[len(c.keeps)+i] = append(c.buckets[len(c.keeps)+i][:0], total)
	}
	wait, ok := c.listener.holder.counter.Take(c.server.now(), c.buckets[:]...)
	if !ok {
		return refusal{
			reason: scope.RateLimited, detail: "the limit of requests is used up: wait as long as Retry-After says",
			retryAfter: int((wait + time.Second - 1) / time.Second),
		}
	}
	return refusal{}
}

// reasonOf is the reason of a denial; one without a reason is out of scope.
func reasonOf(d *scope.Decision) scope.Reason {
	if d.Reason == "" {
		return scope.OutOfScope
	}
	return d.Reason
}
