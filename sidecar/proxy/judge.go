package proxy

import (
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// exchange reads one request, judges it, and lets it be forwarded or refused.
// It tells whether another may follow.
func (c *conn) exchange() bool {
	if !c.begin() {
		return false
	}
	if err := c.reader.ReadRequest(&c.head); err != nil {
		return c.unread(err)
	}
	d, why := c.judge()
	if why.is() {
		return c.refuse(&d, why)
	}
	if !c.listener.holder.enter(c.view.limits.Concurrency) {
		return c.refuse(&d, refusal{reason: scope.RateLimited})
	}
	defer c.listener.holder.leave()
	if c.record(audit.Decision, &d, refusal{}) != nil {
		return c.refuseUnrecorded()
	}
	c.stats().allowed.Add(1)
	again := c.forward(&d)
	c.stats().duration.Observe(time.Since(c.began))
	return again
}

// unread refuses what is no request. A connection that failed before anything
// of a request came is closed without a word.
func (c *conn) unread(err error) bool {
	e := (*http1.Error)(nil)
	if !errors.As(err, &e) {
		return false
	}
	return c.refuse(nil, malformed(err))
}

// refuseUnrecorded refuses an allowed request whose record failed; it is not
// tried to record that as well.
func (c *conn) refuseUnrecorded() bool {
	c.stats().denied(scope.Unrecorded)
	return c.tell(c.settle(refusal{reason: scope.Unrecorded}))
}

// judge decides about the request whose head was read. Whatever it does not
// allow by name is refused.
func (c *conn) judge() (scope.Decision, refusal) {
	v, now := c.view, c.server.now()
	head := scope.Head{
		Method: c.head.Method, Target: c.head.Target, Fields: c.head.Fields,
		HasBody: !c.head.Framing.Empty(),
	}
	unread := c.request.Parse(&head, &v.profile)
	c.path = c.request.AppendPath(c.path)
	for _, refuse := range [...]func() refusal{
		func() refusal { return c.standing(now) },
		func() refusal { return unparsed(unread) },
		c.addressed,
		func() refusal { return c.authenticate(now) },
	} {
		if why := refuse(); why.is() {
			return scope.Decision{}, why
		}
	}
	return c.decide()
}

// standing refuses while the credential is not to be used at all.
func (c *conn) standing(now time.Time) refusal {
	v := c.view
	switch {
	case v.withdrawn != "":
		return refusal{reason: v.withdrawn}
	case v.policy == nil:
		return refusal{reason: scope.NotReady}
	case !v.expires.IsZero() && !now.Before(v.expires):
		return refusal{reason: scope.Expired}
	case v.leased && c.listener.holder.lease.Load().over(now):
		return refusal{reason: scope.LeaseExpired}
	}
	return refusal{}
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
// that a name was rebound for, and one that asks for another protocol.
func (c *conn) addressed() refusal {
	switch {
	case !c.view.isHost(c.head.Host):
		return refusal{reason: scope.Malformed, detail: "Host must be the address of this listener or the upstream's host", close: true}
	case c.head.Upgrade != "":
		return refusal{reason: scope.Malformed, detail: "this credential grants no upgrade to another protocol", close: true}
	}
	return refusal{}
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

// decide asks the policy, and the one before it where there are two.
func (c *conn) decide() (scope.Decision, refusal) {
	v := c.view
	wentBack := false
	if v.floor != nil {
		wentBack = v.floor.Decide(&c.request).Verdict != scope.Allow
	}
	d := v.policy.Decide(&c.request)
	switch {
	case d.Verdict != scope.Allow:
		return d, refusal{reason: reasonOf(&d), detail: d.Detail}
	case wentBack:
		return d, refusal{reason: scope.VersionWentBack}
	case c.head.Framing.Empty():
		return d, refusal{}
	case d.Body == nil:
		return d, refusal{reason: scope.ParameterRefused}
	case c.head.Framing.Length > d.Body.MaxBytes:
		return d, refusal{reason: scope.TooLarge, close: true}
	}
	c.reader.Body().Limit(d.Body.MaxBytes)
	return d, refusal{}
}

// reasonOf is the reason of a denial; one without a reason is out of scope.
func reasonOf(d *scope.Decision) scope.Reason {
	if d.Reason == "" {
		return scope.OutOfScope
	}
	return d.Reason
}

// enter counts an exchange, unless too many are under way.
func (h *holder) enter(limit int) bool {
	if h.inFlight.Add(1) > int64(limit) {
		h.inFlight.Add(-1)
		return false
	}
	return true
}

func (h *holder) leave() { h.inFlight.Add(-1) }
