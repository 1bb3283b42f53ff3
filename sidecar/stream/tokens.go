package stream

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// tokens gives the agent the tokens that came with states, each once it was
// checked. Where the agent has good ones that may take until the acknowledgement
// is sent: the new scope is in force by then, and after an edit others have
// theirs put in force first. Whatever is taken away is taken at once. It is safe
// for concurrent use.
type tokens struct {
	store *Store
	check func(*bundle.State) []bundle.ApplyError
	log   *slog.Logger

	mu    sync.Mutex
	due   *bundle.State       // whose tokens are to be given; nil: none
	flaws []bundle.ApplyError // of the tokens of the newest state
	given map[string]given    // by the name of the credential
	keys  []bundle.TokenKey   // by which these were checked
}

// given is a token that the agent has.
type given struct {
	uid   string    // of the credential
	until time.Time // it is good until then at least
}

// news has the tokens of st given to the agent. It does so at once, unless the
// agent has one of each credential, which is good by st and stays so while an
// acknowledgement is put off.
func (t *tokens) news(st *bundle.State, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.due, t.flaws = tokensOf(st), nil
	if !t.overlap(now.Add(ackAfter + ackSpread)) {
		t.settleLocked()
		return
	}
	names := make(map[string]bool, len(st.Credentials))
	for i := range st.Credentials {
		names[st.Credentials[i].Name] = true
	}
	t.failed(t.store.keepTokens(names))
}

// tokensOf is st without what tokens are not checked by: no secret is held for
// them.
func tokensOf(st *bundle.State) *bundle.State {
	only := &bundle.State{Version: st.Version, TokenKeys: st.TokenKeys}
	for i := range st.Credentials {
		c := &st.Credentials[i]
		only.Credentials = append(only.Credentials, bundle.Credential{
			Namespace: c.Namespace, Name: c.Name, Object: c.Object, Upstream: c.Upstream, ScopeHash: c.ScopeHash, Token: c.Token, LeaseEnds: c.LeaseEnds,
		})
	}
	return only
}

// overlap tells whether the agent has a token of each credential that is due,
// which is good until then.
func (t *tokens) overlap(until time.Time) bool {
	same := slices.EqualFunc(t.keys, t.due.TokenKeys, func(a, b bundle.TokenKey) bool {
		return a.ID == b.ID && slices.Equal(a.Public, b.Public)
	})
	for i := range t.due.Credentials {
		c := &t.due.Credentials[i]
		g, ok := t.given[c.Name]
		if !same || !ok || g.uid != c.UID || !until.Round(0).Before(g.until) {
			return false
		}
	}
	return true
}

// settle gives what is due, and tells what is wrong with the tokens of the
// newest state.
func (t *tokens) settle() []bundle.ApplyError {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settleLocked()
	return t.flaws
}

// settleLocked keeps from the agent what is no good token: it goes on with the
// one that it has.
func (t *tokens) settleLocked() {
	st := t.due
	if st == nil {
		return
	}
	t.due = nil
	bad := map[string]bool{}
	for _, e := range t.check(st) {
		bad[e.Credential] = true
		t.add(e)
	}
	texts, names := map[string]string{}, map[string]bool{}
	now := make(map[string]given, len(st.Credentials))
	for i := range st.Credentials {
		c := &st.Credentials[i]
		names[c.Name] = true
		if !bad[c.Namespace+"/"+c.Name] {
			texts[c.Name], now[c.Name] = c.Token, given{c.UID, c.LeaseEnds}
		}
	}
	t.failed(t.store.keepTokens(names))
	if err := t.store.saveTokens(texts); err != nil {
		now = nil // one of them is not there
		t.failed(err)
	}
	t.given, t.keys = now, st.TokenKeys
}

// clear takes every token away.
func (t *tokens) clear() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.due, t.flaws, t.given = nil, nil, nil
	return t.store.keepTokens(nil)
}

func (t *tokens) failed(err error) {
	if err != nil {
		t.add(bundle.ApplyError{Reason: bundle.SidecarRefused, Detail: err.Error()})
	}
}

func (t *tokens) add(e bundle.ApplyError) {
	t.log.Error("token is not given to the agent", "credential", e.Credential, "reason", e.Reason, "detail", e.Detail)
	t.flaws = append(t.flaws[:len(t.flaws):len(t.flaws)], e)
}
