package proxy

import (
	"math"
	"reflect"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// maxReviewed bounds the bodies that are judged again for one change, in bytes.
// Nothing is acknowledged meanwhile, so that an agent with many long requests
// under way would put off what is taken away from it.
const maxReviewed = 8 << 20

// review cuts the exchange under way that v does not let go on. One that is not
// held yet finds v by itself, before anything of it is forwarded. left is what
// may still be judged of bodies.
func (c *conn) review(v *view, left *int64) {
	l := &c.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return
	}
	if why := v.ends(c, l.held, left); why != "" {
		l.endLocked(why)
	}
	l.held = v
}

// ends is why v ends an exchange that another view has allowed; empty: it does
// not. It goes on where v allows its request, as far as that is there to be
// judged, leads it to the same place, and says the same of what follows it.
func (v *view) ends(c *conn, before *view, left *int64) scope.Reason {
	if v.judgesLike(before) {
		return "" // keys, tokens and leases are of no concern here
	}
	if *left -= int64(len(c.body)); *left < 0 {
		return scope.NotReady
	}
	is, why := v.judgeHeld(c)
	was, _ := before.judgeHeld(c)
	switch {
	case why != "":
		return why
	case v.key.url != before.key.url:
		return scope.Revoked
	case !reflect.DeepEqual(is.follows, was.follows):
		return scope.OutOfScope
	case !c.whole && c.head.Framing.Kind == http1.Chunked && is.most < was.most:
		return scope.TooLarge // how long the body is shows when it has been sent
	}
	return ""
}

// judgesLike tells whether v makes the same of every request as another view,
// and leads it to the same place.
func (v *view) judgesLike(o *view) bool {
	return v.key.url == o.key.url && reflect.DeepEqual(v.profile, o.profile) && reflect.DeepEqual(v.grants, o.grants)
}

// outcome is what a view makes of a request that is under way.
type outcome struct {
	// follows is what the grants that allow it, and those of the ceiling and
	// behind the floor, say of the answer and of what the agent sends after it.
	follows [4][]scope.Grant
	most    int64 // of the body
}

// judgeHeld judges the request of an exchange that is held, or says why v does
// not allow it.
func (v *view) judgeHeld(c *conn) (o outcome, why scope.Reason) {
	var r scope.Request
	head := c.headRead()
	if err := r.Parse(&head, &v.profile); err != nil {
		return o, unparsed(err).reason
	}
	o.most = math.MaxInt64
	for i, p := range [...]*scope.Policy{v.policy, v.floor} {
		if i == 1 && p == nil {
			break // there is no floor
		}
		d, why := c.decideHeld(p, &r)
		switch {
		case why != "" && i == 1:
			return o, scope.VersionWentBack
		case why != "":
			return o, why
		case d.Body != nil:
			o.most = min(o.most, d.Body.MaxBytes)
		}
		o.follows[2*i], o.follows[2*i+1] = follow(v.grants[2*i], d.Grants), follow(v.grants[2*i+1], d.Above)
	}
	return o, ""
}

// decideHeld asks p about a request that is held, or says why it does not allow
// that. What was sent of a body without being looked into cannot be judged any
// more.
func (c *conn) decideHeld(p *scope.Policy, r *scope.Request) (scope.Decision, scope.Reason) {
	d := p.Decide(r)
	if d.Verdict == scope.Undecided && c.read {
		d = p.DecideBody(r, scope.Content{Data: c.body, Whole: c.whole, GraphQL: c.server.documents.Read})
	}
	length := c.framing().Length
	switch {
	case d.Verdict == scope.Undecided:
		return d, scope.NotReady
	case d.Verdict != scope.Allow:
		return d, reasonOf(&d)
	case d.Body != nil && length > d.Body.MaxBytes:
		return d, scope.TooLarge
	}
	return d, ""
}

// follow is what the grants of these names say of what follows a request, each
// thing once.
func follow(grants []scope.Grant, names []string) (all []scope.Grant) {
	for i := range grants {
		g := &grants[i]
		one := scope.Grant{Response: g.Response, MCP: g.MCP, WebSocket: g.WebSocket}
		if slices.Contains(names, g.Name) && !slices.ContainsFunc(all, func(o scope.Grant) bool { return reflect.DeepEqual(o, one) }) {
			all = append(all, one)
		}
	}
	return all
}
