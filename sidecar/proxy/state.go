package proxy

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/rules"
	"github.com/sallyport-dev/sallyport/sidecar/tunnel"
)

// Apply makes st what is served. A credential that is not in it is withdrawn,
// and its exchanges under way are cut; of one that is, those that the document
// does not allow any more. One whose document cannot be served keeps what it
// had. st must not be changed afterwards.
//
// The tokens that came with st are not looked at: what they are good for does
// not depend on them. See [Server.CheckTokens].
//
// A lower generation of the same object never replaces a higher one: a request
// must then pass both.
func (s *Server) Apply(st *bundle.State) []bundle.ApplyError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.Version < 1 || st.Version > bundle.Version {
		return []bundle.ApplyError{{Reason: bundle.SidecarRefused, Detail: fmt.Sprintf("the document has version %d, read are 1 to %d", st.Version, bundle.Version)}}
	}
	s.applied = &applied{state: st, received: s.now()}
	var errs []bundle.ApplyError
	for _, h := range s.holders {
		if err := s.install(h, s.applied); err != nil {
			errs = append(errs, bundle.ApplyError{Credential: h.name, Reason: bundle.SidecarRefused, Detail: err.Error()})
		}
	}
	for i := range st.Credentials {
		if name := st.Credentials[i].NamespacedName(); s.holders[name] == nil {
			errs = append(errs, bundle.ApplyError{Credential: name, Reason: bundle.SidecarRefused, Detail: "no listener of this sidecar is bound to it"})
		}
	}
	return append(errs, s.route()...)
}

// Revoke withdraws the credential with this UID until a later state serves it
// again, and cuts its exchanges under way.
func (s *Server) Revoke(uid string, reason scope.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.holders {
		if h.held != nil && h.held.UID == uid {
			h.withdraw(reason)
		}
	}
}

// Extend counts the leases of all credentials that are served from now, none
// of them beyond leaseEnds. News that come after their own end are dropped. A
// credential whose newest document could not be served gets nothing: the
// broker counts on its lease to end.
func (s *Server) Extend(leaseEnds time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !now.Round(0).Before(leaseEnds) {
		return
	}
	for _, h := range s.holders {
		if h.held != nil && !h.stale {
			h.lease.Store(lifetime.NewLease(now, h.held.MaxOffline, leaseEnds))
		}
	}
}

// install serves h by what is applied.
func (s *Server) install(h *holder, a *applied) error {
	c, reason := a.state.Find(h.name)
	if c == nil {
		h.withdraw(reason)
		return nil
	}
	c, err := h.arrange(c)
	if err != nil {
		return h.keep(err)
	}
	verifier, err := token.NewVerifier(a.state.TokenKeys)
	if err != nil {
		return h.keep(err)
	}
	var older *bundle.Credential
	if h.last.olderThan(c) {
		if h.held == nil {
			h.withdraw(scope.VersionWentBack)
			return nil
		}
		c, older = h.held, c
	}
	listeners := s.reach(h, c)
	next := newOffer(h, c, older, verifier)
	views := make([]*view, len(listeners))
	for i, l := range listeners {
		if views[i], err = s.build(l, next); err != nil {
			return h.keep(err)
		}
	}
	h.counter.Keep(next.buckets.Renewed, h.buckets, s.now())
	h.held, h.at, h.last, h.buckets, h.stale = c, a.received, versions{c.Object, c.Upstream}, next.buckets.Renewed, false
	newest := c
	if older != nil {
		newest = older // the news, though not the document
	}
	h.lease.Store(lifetime.NewLease(a.received, c.MaxOffline, newest.LeaseEnds))
	left := int64(maxReviewed)
	for i, l := range listeners {
		l.show(views[i])
		l.each(func(c *conn) { c.review(views[i], &left) })
	}
	h.retire(listeners)
	return nil
}

// arrange returns c as h serves it.
func (h *holder) arrange(c *bundle.Credential) (*bundle.Credential, error) {
	if !h.carried {
		return c, nil
	}
	return tunnel.Merge(c)
}

// reach returns the listeners of h: for each endpoint of c one, where they are
// reached through others. One that was there before is kept, with what it knows.
func (s *Server) reach(h *holder, c *bundle.Credential) []*listener {
	if !h.carried {
		return h.listeners
	}
	var all []*listener
	for i := range c.Endpoints {
		name := c.Endpoints[i].Name
		place, _ := tunnel.PlaceOf(&c.Endpoints[i]) // arrange has read it
		at := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.holder == h && l.endpoint == name && l.place == place })
		if at < 0 {
			at = len(s.listeners)
			s.listeners = append(s.listeners, &listener{
				holder: h, endpoint: name, place: place, authority: place.Short, conns: map[*conn]struct{}{},
				gone: true, // until the document is served
			})
			s.listeners[at].view.Store(&view{withdrawn: scope.NotReady})
		}
		all = append(all, s.listeners[at])
	}
	s.listeners = slices.DeleteFunc(slices.Clone(s.listeners), func(l *listener) bool { return l.left() && !slices.Contains(all, l) })
	return all
}

// left tells whether l, which others lend to, is for no endpoint any more, and
// nobody is lent to it.
func (l *listener) left() bool { return l.net == nil && l.gone && l.connections() == 0 }

// retire makes these the listeners of h. What is under way on others is cut.
func (h *holder) retire(listeners []*listener) {
	for _, l := range h.listeners {
		if !slices.Contains(listeners, l) {
			l.gone = true
			l.withdraw(scope.Revoked)
		}
	}
	for _, l := range listeners {
		l.gone = false
	}
	h.listeners = listeners
}

// CheckTokens tells which tokens that came with st are not good in this pod, for
// their credential and its version. What an agent shows later is held to pod,
// credential and time alone. It may be called beside [Server.Apply].
func (s *Server) CheckTokens(st *bundle.State) (errs []bundle.ApplyError) {
	verifier, err := token.NewVerifier(st.TokenKeys)
	for i := range st.Credentials {
		c := &st.Credentials[i]
		flaw := err
		if err == nil && c.Token != "" {
			flaw = credential.CheckNew(verifier, c, s.now(), s.options.PodUID)
		}
		if flaw != nil {
			errs = append(errs, bundle.ApplyError{Credential: c.NamespacedName(), Reason: bundle.SidecarRefused, Detail: flaw.Error()})
		}
	}
	return errs
}

// keep goes on with what is served, if anything is.
func (h *holder) keep(err error) error {
	h.stale = true
	if h.held == nil {
		h.withdraw(scope.NotReady)
	}
	return err
}

// withdraw refuses every later request and cuts those under way. What was held
// is let go of, the secret with it; its versions are remembered.
func (h *holder) withdraw(reason scope.Reason) {
	h.held = nil
	h.lease.Store(nil)
	for _, l := range h.listeners {
		l.withdraw(reason)
	}
}

func (l *listener) withdraw(reason scope.Reason) {
	l.show(&view{withdrawn: reason})
	l.each(func(c *conn) { c.life.EndBusy(reason) })
}

// show swaps the view of l. Connections to a place that is no longer the
// endpoint's are closed, idle ones now, others after their exchange.
func (l *listener) show(v *view) {
	if v.withdrawn == "" { // or calls could not be told why they are refused
		l.calls.Store(v.rules.Calls)
	}
	old := l.view.Swap(v)
	l.shown.Add(1)
	if old != nil && old.target != nil && old.target != v.target {
		old.target.Close()
	}
}

// held is the view that has allowed an exchange; nil: none is held. While one is,
// the request stays as it was judged.
type held struct {
	mu sync.Mutex
	by *view
}

// hold says by which view the exchange was allowed.
func (c *conn) hold(v *view) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	c.held.by = v
}

// maxReviewed bounds the bodies that are judged again for one change, in bytes.
// Nothing is acknowledged meanwhile, so that an agent with many long requests
// under way would put off what is taken away from it.
const maxReviewed = 8 << 20

// review cuts the exchange under way that v does not let go on. One that is not
// held yet finds v by itself, before anything of it is forwarded. left is what
// may still be judged of bodies.
func (c *conn) review(v *view, left *int64) {
	h := &c.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by == nil {
		return
	}
	if why := v.ends(c, h.by, left); why != "" {
		c.life.End(why)
	}
	h.by = v
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
	return v.key.url == o.key.url && reflect.DeepEqual(v.profile, o.profile) && reflect.DeepEqual(v.rules.Grants, o.rules.Grants)
}

// outcome is what a view makes of a request that is under way.
type outcome struct {
	// follows is what the grants that allow it, and those of the ceiling and
	// behind the floor, say of the answer and of what the agent sends after it.
	follows [rules.Layers][]scope.Grant
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
	for i, p := range [...]*scope.Policy{v.rules.Policy, v.rules.Floor} {
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
		o.follows[2*i], o.follows[2*i+1] = follow(v.rules.Grants[2*i], d.Grants), follow(v.rules.Grants[2*i+1], d.Above)
	}
	return o, ""
}

// decideHeld asks p about a request that is held, or says why it does not allow
// that. What was sent of a body without being looked into cannot be judged any
// more.
func (c *conn) decideHeld(p *scope.Policy, r *scope.Request) (scope.Decision, scope.Reason) {
	d := p.Decide(r)
	if d.Verdict == scope.Undecided && c.read {
		d = p.DecideBody(r, c.content())
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

// giveUp lets others use a connection to the upstream, if that is sound.
func (c *conn) giveUp(up *dial.Conn, sound bool) {
	if v := c.listener.view.Load(); sound && v != nil && v.target != nil && v.target.Owns(up) && up.Reader.Reusable() {
		v.target.Put(up, time.Now())
	} else {
		_ = up.Close() // nothing is under way on it
	}
}

// enter counts an exchange, unless too many are under way with h, or with all.
func (h *holder) enter(limit int) bool {
	switch {
	case !h.all.Enter(h.most):
		return false
	case !h.inFlight.Enter(int64(limit)):
		h.all.Leave()
		return false
	}
	return true
}

func (h *holder) leave() {
	h.inFlight.Leave()
	h.all.Leave()
}
