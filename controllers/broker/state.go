package broker

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// shortestOffline is how long a sidecar serves without news at least: two
// heartbeats.
const shortestOffline = 2 * heartbeatEvery

// minted is the newest token of one credential on one stream.
type minted struct {
	compact string
	claims  token.Claims
}

func (m *minted) expires() time.Time { return time.Unix(m.claims.Expires, 0) }

// renewal is when the next token is to be minted: at one third of the
// lifetime, so that two attempts are left; never, where the credential ends
// before the next one would.
func (m *minted) renewal(end time.Time) time.Time {
	if !end.IsZero() && m.claims.Expires >= end.Unix() {
		return m.expires()
	}
	third := time.Duration(m.claims.Expires-m.claims.IssuedAt) * time.Second / 3
	return time.Unix(m.claims.IssuedAt, 0).Add(third)
}

// fits tells whether m speaks of this version of c.
func (m *minted) fits(c *bundle.Credential) bool {
	return m.claims.Credential == credentialClaim(c) && m.claims.Scope == c.ScopeHash && m.claims.Upstream == upstreamClaim(c)
}

func credentialClaim(c *bundle.Credential) token.Credential {
	return token.Credential{Name: c.Name, UID: c.UID, Generation: c.Generation}
}

func upstreamClaim(c *bundle.Credential) token.Upstream {
	return token.Upstream{UID: c.Upstream.UID, SecretVersion: c.SecretVersion}
}

// mint makes a token for the pod id, at now.
func mint(keys tokenkey.Keys, issuer string, id *identity.Identity, h *holding, now time.Time) (*minted, error) {
	c := &h.offer.document
	expires := now.Add(h.offer.lifetime)
	if end := c.ExpiresAt; !end.IsZero() && end.Before(expires) {
		expires = end
	}
	claims := token.Claims{
		Issuer:   issuer,
		Subject:  "system:serviceaccount:" + id.Pod.Namespace + ":" + id.ServiceAccount,
		Audience: token.Audience,
		IssuedAt: now.Unix(), NotBefore: now.Add(-token.Leeway).Unix(),
		// A credential that ends within this second still needs a token that
		// ends after it was issued.
		Expires: max(expires.Unix(), now.Unix()+1),
		ID:      rand.Text(), Pod: token.Pod{UID: string(id.UID), Name: id.Pod.Name},
		Credential: credentialClaim(c), Scope: c.ScopeHash, Upstream: upstreamClaim(c),
	}
	compact, err := keys.Current.Mint(claims)
	if err != nil {
		return nil, fmt.Errorf("minting token of %s: %w", h.name, err)
	}
	return &minted{compact, claims}, nil
}

// tokenOf returns the token of h, a new one if it is time for it.
func (s *stream) tokenOf(h *holding, now time.Time) (*minted, bool, error) {
	c := &h.offer.document
	m := s.tokens[c.UID]
	fits := m != nil && m.fits(c) && now.Before(m.expires())
	if fits && now.Before(m.renewal(c.ExpiresAt)) {
		return m, false, nil
	}
	keys, err := s.b.keys.Keys()
	if err != nil && fits {
		return m, false, nil // two more thirds of its life are left to find them
	}
	if err == nil {
		m, err = mint(keys, s.b.issuer, &s.id, h, now)
	}
	if err != nil {
		return nil, false, err
	}
	s.tokens[c.UID] = m
	return m, true, nil
}

// leaseEnd is how long c may be served without further news, in whole seconds.
func leaseEnd(c *bundle.Credential, m *minted, now time.Time) time.Time {
	end := now.Add(max(c.MaxOffline, shortestOffline))
	if m.expires().Before(end) {
		end = m.expires()
	}
	if !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(end) {
		end = c.ExpiresAt
	}
	return end.UTC().Truncate(time.Second)
}

// latest is the end of the last lease; there is always one, for those that are
// served nothing hear of it too.
func latest(leases []time.Time, now time.Time) time.Time {
	end := now.Add(shortestOffline).UTC().Truncate(time.Second)
	for _, lease := range leases {
		if lease.After(end) {
			end = lease
		}
	}
	return end
}

// firstOf returns the earliest of times that are not zero; zero: there is none.
func firstOf(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || (!t.IsZero() && t.Before(first)) {
			first = t
		}
	}
	return first
}

// assembled is a state that may be sent.
type assembled struct {
	digest string
	served map[string]string // name by UID
	leases []time.Time       // of those that are served
	line   []byte            // nil: it brings nothing that was not sent
}

// assemble makes the state of what is held. It is news where its digest or a
// token is.
func (s *stream) assemble(now time.Time) (*assembled, error) {
	o := &bundle.Outline{TokenKeys: []bundle.TokenKey{}, Roots: s.b.roots()}
	st := &assembled{served: map[string]string{}}
	renewed := false
	var grants []bundle.Grant
	for _, name := range s.names {
		h := s.held[name]
		if !h.served() {
			o.Denied = append(o.Denied, bundle.Denial{Namespace: h.name.Namespace, Name: h.name.Name, Reason: h.reason})
			continue
		}
		m, isNew, err := s.tokenOf(&h, now)
		if err != nil {
			return nil, err
		}
		renewed = renewed || isNew
		c := &h.offer.document
		lease := leaseEnd(c, m, now)
		st.leases = append(st.leases, lease)
		o.Credentials = append(o.Credentials, h.offer.encoded)
		grants = append(grants, bundle.Grant{Token: m.compact, LeaseEnds: lease, Secret: c.Secret})
		st.served[c.UID] = c.Name
	}
	if keys, err := s.b.keys.Keys(); err == nil {
		o.TokenKeys = keys.Public()
	}
	template, err := s.b.templates.of(o)
	if err != nil {
		return nil, err
	}
	st.digest = template.Digest()
	if st.digest != s.digest || renewed {
		st.line, err = template.Frame(latest(st.leases, now), grants)
	}
	return st, err
}

// heartbeat says that nothing is new, and extends the leases.
func (s *stream) heartbeat(send sender, now time.Time) error {
	s.beat = now
	if s.digest == "" {
		return nil // nothing is in force yet
	}
	var leases []time.Time
	for _, h := range s.held {
		if !h.served() {
			continue
		}
		if m := s.tokens[h.offer.document.UID]; m != nil {
			leases = append(leases, leaseEnd(&h.offer.document, m, now))
		}
	}
	s.mu.Lock()
	s.leased = firstOf(leases...)
	s.mu.Unlock()
	return send.frame(&bundle.Frame{Heartbeat: &bundle.Heartbeat{Version: bundle.Version, Now: now.UTC(), LeaseEnds: latest(leases, now)}})
}

// documents remembers what was compiled: most of what an offer is judged by
// changes nothing about its document. It is safe for concurrent use.
type documents struct {
	mu  sync.Mutex
	all map[documentKey]*document
}

type documentKey struct {
	credential, upstream           types.UID
	generation, upstreamGeneration int64
	schemas                        string // versions of those that the upstream names
}

// document is compiled once, by whoever asks first.
type document struct {
	once       sync.Once
	credential bundle.Credential
	err        error
}

// maxDocuments bounds what is remembered.
const maxDocuments = 4096

// compile returns the document that c makes of sc and up; schemas tells the
// versions apart of those that c has. It is shared: only its own fields may be
// set, nothing that they point to.
func (d *documents) compile(c compile.Compiler, schemas string, sc *v1alpha1.ScopedCredential, up *v1alpha1.UpstreamSecret) (bundle.Credential, error) {
	one := d.of(documentKey{sc.UID, up.UID, sc.Generation, up.Generation, schemas})
	one.once.Do(func() { one.credential, one.err = c.Credential(sc, up) })
	return one.credential, one.err
}

func (d *documents) of(key documentKey) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil || len(d.all) >= maxDocuments {
		d.all = map[documentKey]*document{}
	}
	if d.all[key] == nil {
		d.all[key] = &document{}
	}
	return d.all[key]
}

// templates remembers what was encoded last: most pods have the same credentials
// as others. It is safe for concurrent use.
type templates struct {
	mu  sync.Mutex
	all []remembered
	at  int // the next one to be replaced
}

type remembered struct {
	outline  *bundle.Outline
	template *bundle.Template
}

// maxTemplates bounds what is remembered.
const maxTemplates = 64

// of returns the template of o, which is not to be changed afterwards.
func (t *templates) of(o *bundle.Outline) (*bundle.Template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.all {
		if r.outline.Same(o) {
			return r.template, nil
		}
	}
	template, err := o.Template()
	if err != nil {
		return nil, fmt.Errorf("assembling state: %w", err)
	}
	one := remembered{o, template}
	if len(t.all) < maxTemplates {
		t.all = append(t.all, one)
		return template, nil
	}
	t.all[t.at] = one
	t.at = (t.at + 1) % maxTemplates
	return template, nil
}
