package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
	"github.com/sallyport-dev/sallyport/sidecar/tunnel"
)

// Apply makes st what is served. A credential that is not in it is withdrawn,
// and its exchanges under way are cut; one whose document cannot be served
// keeps what it had. st must not be changed afterwards.
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
		if name := nameOf(&st.Credentials[i]); s.holders[name] == nil {
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
			h.lease.Store(newLease(now, h.held.MaxOffline, leaseEnds))
		}
	}
}

func nameOf(c *bundle.Credential) string { return c.Namespace + "/" + c.Name }

// find returns what st says of a credential: its document, or why there is
// none.
func find(st *bundle.State, name string) (*bundle.Credential, scope.Reason) {
	for _, d := range st.Denied {
		if d.Namespace+"/"+d.Name == name {
			return nil, d.Reason
		}
	}
	for i := range st.Credentials {
		if nameOf(&st.Credentials[i]) == name {
			return &st.Credentials[i], ""
		}
	}
	return nil, scope.Revoked
}

// install serves h by what is applied.
func (s *Server) install(h *holder, a *applied) error {
	c, reason := find(a.state, h.name)
	if c == nil {
		h.withdraw(reason)
		return nil
	}
	c, err := h.arrange(c)
	if err != nil {
		return h.keep(err)
	}
	verifier, err := s.verify(a, c)
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
	views, renewed := make([]*view, len(listeners)), limit.Buckets{}
	for i, l := range listeners {
		if views[i], err = s.build(l, c, older, verifier, renewed); err != nil {
			return h.keep(err)
		}
	}
	h.held, h.last, h.buckets, h.stale = c, versions{c.Object, c.Upstream}, renewed, false
	newest := c
	if older != nil {
		newest = older // the news, though not the document
	}
	h.lease.Store(newLease(a.received, c.MaxOffline, newest.LeaseEnds))
	for i, l := range listeners {
		l.show(views[i])
	}
	h.retire(listeners)
	return nil
}

// verify holds the token that came with c to c, once: what an agent shows
// later is held to pod, credential and time alone.
func (s *Server) verify(a *applied, c *bundle.Credential) (*token.Verifier, error) {
	verifier, err := token.NewVerifier(a.state.TokenKeys)
	if err != nil {
		return nil, err
	}
	if c.Token == "" {
		return verifier, nil
	}
	claims, err := verifier.Verify(c.Token)
	if err != nil {
		return nil, err
	}
	if err := claims.Check(a.received, s.options.PodUID, c.UID); err != nil {
		return nil, err
	}
	if claims.Credential.Generation != c.Generation || claims.Scope != c.ScopeHash || claims.Upstream.UID != c.Upstream.UID {
		return nil, errors.New("its token was minted for another version of it")
	}
	return verifier, nil
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
	l.each(func(c *conn) { c.life.endBusy(reason) })
}

// show swaps the view of l. Connections to a place that is no longer the
// endpoint's are closed, idle ones now, others after their exchange.
func (l *listener) show(v *view) {
	old := l.view.Swap(v)
	if old != nil && old.target != nil && old.target != v.target {
		old.target.Close()
	}
}

// routes are the listeners that are reached through a proxy-mode one, by origin.
type routes map[string][]*listener

// ListenProxy serves l as a proxy until Shutdown, which closes l: it leads to
// the endpoints of the credentials that are carried, and nowhere else.
func (s *Server) ListenProxy(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &listener{holder: &s.nobody, net: l, authority: l.Addr().String(), conns: map[*conn]struct{}{}}
	s.listeners = append(s.listeners, one)
	_ = s.route() // what cannot be served was reported by Apply
	s.serving.Go(func() { s.accept(one) })
}

// Carry serves a credential, namespace/name, through the proxy-mode listeners:
// whatever endpoints its document has.
func (s *Server) Carry(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holder(name)
	h.carried = true
	if s.applied != nil {
		_ = s.install(h, s.applied) // as above
		_ = s.route()
	}
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
			})
			s.listeners[at].view.Store(&view{withdrawn: scope.NotReady})
		}
		all = append(all, s.listeners[at])
	}
	return all
}

// retire makes these the listeners of h. What is under way on others is cut.
func (h *holder) retire(listeners []*listener) {
	for _, l := range h.listeners {
		if !slices.Contains(listeners, l) {
			l.withdraw(scope.Revoked)
		}
	}
	h.listeners = listeners
}

// proxied tells whether there is a proxy-mode listener.
func (s *Server) proxied() bool {
	return slices.ContainsFunc(s.listening(), func(l *listener) bool { return l.holder == &s.nobody })
}

// route leads proxy-mode listeners to where the credentials that they carry are
// for, once agents can be told whom to trust there. Until then they lead to
// where they led before.
func (s *Server) route() (errs []bundle.ApplyError) {
	if s.applied == nil || s.options.Authorities == nil {
		return nil
	}
	leads, hosts, names := s.leads()
	if err := s.options.Authorities.Cover(hosts); err != nil {
		for _, name := range names {
			errs = append(errs, bundle.ApplyError{Credential: name, Reason: bundle.SidecarRefused, Detail: err.Error()})
		}
		return errs
	}
	s.routes.Store(&leads)
	for _, l := range s.listeners {
		if l.holder == &s.nobody {
			l.view.Store(&view{withdrawn: scope.NotReady}) // it judges nothing itself
		}
	}
	return nil
}

// leads are the listeners of those credentials that are carried, the hosts that
// certificates are needed for, and their names.
func (s *Server) leads() (to routes, hosts, names []string) {
	to = routes{}
	for _, name := range slices.Sorted(maps.Keys(s.holders)) {
		h := s.holders[name]
		if !h.carried {
			continue
		}
		names = append(names, name)
		for _, l := range h.listeners {
			to[l.place.Origin] = append(to[l.place.Origin], l)
			if l.place.Secure() {
				hosts = append(hosts, l.place.Host)
			}
		}
	}
	return to, hosts, names
}

// at returns the endpoints at an origin, of which there is one at least.
func (s *Server) at(origin string) ([]*listener, refusal) {
	leads := s.routes.Load()
	if leads == nil {
		return nil, refusal{reason: scope.NotReady, close: true}
	}
	all := (*leads)[origin]
	if len(all) == 0 {
		return nil, refusal{reason: scope.OutOfScope, detail: "no credential of this pod is for this host and port, and nothing else is reached through this proxy: write the host in lower case, as its UpstreamSecret has it, with the port", close: true}
	}
	return all, refusal{}
}

// Metrics adds what the server has counted to t.
func (s *Server) Metrics(t *metrics.Text) {
	var list []metrics.Holder
	for _, h := range s.sorted() {
		one := metrics.Holder{Credential: &h.stats, InFlight: h.inFlight.Load()}
		one.Namespace, one.Name, _ = strings.Cut(h.name, "/")
		if l := h.lease.Load(); l != nil {
			one.LeaseEnds = max(0, float64(l.shown.Unix()))
		}
		list = append(list, one)
	}
	if s.proxied() {
		list = append(list, metrics.Holder{Credential: &s.nobody.stats})
	}
	t.Holders(list)
	t.Family("sallyport_connections", "gauge", "Connections of agents.")
	t.Sample("sallyport_connections", float64(s.connections()))
}

// Seen counts what was denied since it was called before. It is not to be
// called concurrently.
func (s *Server) Seen() (all []bundle.Seen) {
	for _, h := range s.sorted() {
		h.stats.News(func(r scope.Reason, n uint64) {
			all = append(all, bundle.Seen{Credential: h.name, Reason: r, Count: n})
		})
	}
	return all
}

func (s *Server) sorted() []*holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.holders), func(a, b *holder) int { return strings.Compare(a.name, b.name) })
}
