package proxy

import (
	"crypto/tls"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/tunnel"
)

// routes are where proxy-mode listeners lead.
type routes struct {
	to    map[string][]*listener // that are reached through them, by origin
	hosts map[string]bool        // of all of these, as [tunnel.Plain] spells them
	whole bool                   // no credential's are missing
}

// ListenProxy serves l as a proxy until Shutdown, which closes l: it leads to
// the endpoints of the credentials that are carried, and nowhere else but by
// tunnels that [Options.Tunnel] allows.
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
		if before := s.routes.Load(); before != nil {
			s.routes.Store(&routes{to: before.to, hosts: before.hosts}) // not whole
		}
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
func (s *Server) leads() (r routes, hosts, names []string) {
	r = routes{to: map[string][]*listener{}, hosts: map[string]bool{}, whole: true}
	for _, name := range slices.Sorted(maps.Keys(s.holders)) {
		h := s.holders[name]
		if !h.carried {
			continue
		}
		names = append(names, name)
		r.whole = r.whole && len(h.listeners) > 0 && !h.stale
		for _, l := range h.listeners {
			r.to[l.place.Origin] = append(r.to[l.place.Origin], l)
			r.hosts[tunnel.Plain(l.place.Host)] = true
			if l.place.Secure() {
				hosts = append(hosts, l.place.Host)
			}
		}
	}
	return r, hosts, names
}

// at returns the endpoints at an origin, of which there is one at least.
func (s *Server) at(origin string) ([]*listener, refusal) {
	leads := s.routes.Load()
	if leads == nil {
		return nil, refusal{reason: scope.NotReady, close: true}
	}
	all := leads.to[origin]
	if len(all) == 0 {
		return nil, refusal{reason: scope.OutOfScope, detail: "no credential of this pod is for this host and port, and nothing else is reached through this proxy: write the host in lower case, as its UpstreamSecret has it, with the port", close: true}
	}
	return all, refusal{}
}

// past refuses a tunnel to where no endpoint is, unless it may be opened, or go
// on. A pod that nothing is served to has none: what the operator decides about
// it shows in that alone.
func (s *Server) past(target string) refusal {
	host, _, ok := tunnel.Elsewhere(target)
	leads := s.routes.Load()
	switch {
	case !ok:
		return refusal{reason: scope.OutOfScope, detail: "no credential of this pod is for this host and port, and another is reached in one spelling: a full name in lower case or an address in its shortest form, and the port", close: true}
	case leads.hosts[host]:
		return refusal{reason: scope.OutOfScope, detail: "a credential of this pod is for this host, and nothing leads to another port of it", close: true}
	case !leads.whole:
		return refusal{reason: scope.NotReady, detail: "not all endpoints of this pod's credentials are known, and this may be one of them: try again", close: true}
	}
	for _, all := range leads.to {
		for _, l := range all {
			if v := l.view.Load(); v != nil && v.standing(l.holder, s.now()) == "" {
				return refusal{}
			}
		}
	}
	return refusal{reason: scope.NotReady, detail: "no credential of this pod is served, and nothing else is reached meanwhile: try again", close: true}
}

// holdTunnel ends one that may not go on.
func (s *Server) holdTunnel(c *conn) {
	if target := c.past.Load(); target != nil {
		if why := s.past(*target); why.is() {
			c.life.End(why.reason)
		}
	}
}

// next reads the head of the next request, and finds out what it is for. Where
// it is not to be judged, it tells whether another may follow.
func (c *conn) next() (ready, again bool) {
	if !c.begin() {
		return false, false
	}
	if err := c.readHead(); err != nil {
		return false, c.unread(err)
	}
	if c.front == nil {
		return true, false
	}
	if c.origin == "" && c.head.Method == "CONNECT" {
		return false, c.connect()
	}
	l, why := c.destination()
	if why.is() {
		return false, c.refuse(nil, why)
	}
	// The connection is lent before the view is read: as in begin, who swaps the
	// view misses no one.
	c.lend(l)
	c.view = l.view.Load()
	if c.view.limits.RequestTimeout > 0 {
		c.life.Extend(c.began.Add(c.view.limits.RequestTimeout))
	}
	return true, false
}

// lend lets another listener look after the connection, if there is one.
func (c *conn) lend(to *listener) {
	if to == nil || to == c.listener {
		return
	}
	to.add(c)
	c.listener.remove(c)
	c.listener = to
}

// destination finds the endpoint that a request through a proxy is for, and
// leaves of its target what is below that.
func (c *conn) destination() (*listener, refusal) {
	origin := c.origin
	if origin == "" {
		var err error
		c.notePath()
		if origin, c.head.Target, err = tunnel.Absolute(c.head.Target); err != nil {
			return nil, refusal{reason: scope.Malformed, detail: err.Error(), close: true}
		}
		if !tunnel.Names(c.head.Host, origin) {
			return nil, refusal{reason: scope.Malformed, detail: "Host must be that of the URL", close: true}
		}
	}
	all, why := c.server.at(origin)
	if why.is() {
		return nil, why
	}
	if !strings.HasPrefix(c.head.Target, "/") {
		return all[0], refusal{} // which refuses it as any listener does
	}
	if why := c.nearest(all); why.is() {
		return nil, why
	}
	l, why := c.shown()
	if !why.is() {
		c.head.Target = c.head.Target[len(l.place.Base):]
		c.path = c.path[:0]
	}
	return l, why
}

// notePath has records show what was asked for and leads to no endpoint.
func (c *conn) notePath() {
	path, _, _ := strings.Cut(c.head.Target, "?")
	c.path = append(c.path[:0], path...)
}

// nearest notes of each credential the endpoint with the longest base path that
// fits.
func (c *conn) nearest(all []*listener) refusal {
	c.near = c.near[:0]
	for _, l := range all {
		switch l.place.Fit(c.head.Target) {
		case tunnel.Unclear:
			c.notePath()
			return refusal{reason: scope.Malformed, detail: "the path would be below the upstream's base path behind another decoding: write that as the upstream's URL has it", close: true}
		case tunnel.Below:
			i := slices.IndexFunc(c.near, func(n *listener) bool { return n.holder == l.holder })
			if i < 0 {
				c.near = append(c.near, l)
			} else if len(l.place.Base) > len(c.near[i].place.Base) {
				c.near[i] = l
			}
		}
	}
	if len(c.near) == 0 {
		c.notePath()
		return refusal{reason: scope.OutOfScope, detail: "the path is not below the base path of an endpoint at this host"}
	}
	return refusal{}
}

// shown finds, among those that are near, the one whose token the request
// shows. A single one finds out itself. Where none is live that fits, one that
// was withdrawn says so.
func (c *conn) shown() (*listener, refusal) {
	if len(c.near) == 1 {
		return c.near[0], refusal{}
	}
	var found, gone *listener
	for _, l := range c.near {
		v := l.view.Load()
		switch {
		case v == nil || v.swap == nil:
			gone = l
		case !c.shows(l, v):
		case found != nil:
			return nil, refusal{reason: scope.Malformed, detail: "the tokens of two credentials are shown: send one", close: true}
		default:
			found = l
		}
	}
	switch {
	case found != nil:
		return found, refusal{}
	case gone != nil:
		return gone, refusal{}
	}
	c.notePath()
	return nil, refusal{reason: scope.Unauthenticated, detail: "several credentials are for this host, and the token of none of them is where its upstream's credential would go"}
}

// shows tells whether the request shows a token of l's credential.
func (c *conn) shows(l *listener, v *view) bool {
	head := scope.Head{Method: c.head.Method, Target: c.head.Target[len(l.place.Base):], Fields: c.head.Fields}
	_ = c.request.Parse(&head, &v.profile) // for a token in the query: what cannot be read shows none there
	text, err := v.swap.Take(c.head.Fields, &c.request)
	if err != nil {
		return false
	}
	_, ok := v.tokens.Check(text, c.server.now())
	return ok
}

// handshakeTimeout bounds the TLS handshake of an agent.
const handshakeTimeout = 10 * time.Second

// connect opens a tunnel and ends the agent's TLS in it. What follows is read
// and judged like any other request. A tunnel that leads past all endpoints is
// not read, where the operator lets one be opened.
func (c *conn) connect() bool {
	c.notePath()
	origin := tunnel.Connect(c.head.Target)
	all, why := c.server.at(origin)
	past := why.reason == scope.OutOfScope && c.server.options.Tunnel
	if past {
		why = c.server.past(c.head.Target)
	}
	if !why.is() {
		why = c.admitTunnel(origin)
	}
	switch {
	case why.is():
		return c.refuse(nil, why)
	case past:
		return c.through(strings.Clone(c.head.Target))
	}
	if err := c.shakeHands(all); err != nil {
		return c.unsecured(err)
	}
	c.origin = origin
	return true
}

// admitTunnel refuses a CONNECT that could mean something else, and one too many.
func (c *conn) admitTunnel(origin string) refusal {
	switch {
	case !tunnel.Names(c.head.Host, origin):
		return refusal{reason: scope.Malformed, detail: "Host must be that of the tunnel", close: true}
	case c.head.Upgrade != "":
		return refusal{reason: scope.Malformed, detail: "a tunnel is no upgrade", close: true}
	case c.reader.Buffered() > 0:
		return refusal{reason: scope.Malformed, detail: "wait for the answer to CONNECT before anything is sent through the tunnel", close: true}
	case !c.life.Weigh(heavy - 1):
		return refusal{reason: scope.RateLimited, detail: "too many tunnels are open: close one", close: true}
	}
	return refusal{}
}

// established opens a tunnel.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

func (c *conn) shakeHands(all []*listener) error {
	if _, err := io.WriteString(c.agent, established); err != nil {
		return err
	}
	if !c.life.Extend(time.Now().Add(handshakeTimeout)) {
		return os.ErrDeadlineExceeded
	}
	limit := defaultHeaderBytes
	for _, l := range all { // of the one that is meant nothing is known yet
		if v := l.view.Load(); v != nil && v.limits.HeaderBytes > 0 {
			limit = min(limit, v.limits.HeaderBytes)
		}
	}
	c.reader.Leave()
	agent := tls.Server(c.agent, c.server.options.Authorities.Config(all[0].place.Host))
	if err := agent.Handshake(); err != nil {
		return err
	}
	c.agent, c.reader, c.writer = agent, http1.NewReader(agent, limit), http1.NewWriter(agent)
	return nil
}

// unsecured records a tunnel without TLS as it has to be. There is no way to
// say so to an agent that speaks something else.
func (c *conn) unsecured(err error) bool {
	why := refusal{reason: scope.Malformed}
	switch c.life.Why() {
	case lifetime.Alive:
	case lifetime.TimeIsUp:
		why.reason = scope.TooSlow
	default:
		return false
	}
	c.server.log.Warn("securing a tunnel failed", "host", string(c.path), "error", err)
	c.stats().Denied(why.reason)
	_ = c.record(audit.Decision, nil, why) // it ends in a refusal either way
	return false
}
