package stream

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// tokenState is a state whose one credential has that token, which is good for
// ten minutes from now.
func tokenState(now time.Time, token string) *bundle.State {
	return &bundle.State{
		Version: bundle.Version, TokenKeys: []bundle.TokenKey{{ID: "k1", Public: []byte("1")}},
		Credentials: []bundle.Credential{{
			Namespace: "agents", Name: "notes", Object: bundle.Object{UID: "c1", Generation: 1}, Token: token, LeaseEnds: now.Add(10 * time.Minute), Secret: secret.New("key"),
		}},
	}
}

// giving is the tokens of an agent whose files are in a directory. What has
// "bad" in it is no token.
func giving(t *testing.T) (given *tokens, agent string) {
	t.Helper()
	store, _, agent := stored(t)
	return &tokens{store: store, log: slog.New(slog.DiscardHandler), check: func(st *bundle.State) (errs []bundle.ApplyError) {
		for _, c := range st.Credentials {
			if !c.Secret.IsZero() {
				t.Error("a secret is held for a token")
			}
			if strings.Contains(c.Token, "bad") {
				errs = append(errs, bundle.ApplyError{Credential: c.Namespace + "/" + c.Name, Reason: bundle.SidecarRefused, Detail: "bad"})
			}
		}
		return errs
	}}, agent
}

// TestTokensOverlap: a token is put off where the agent has another that is good
// until then, and nowhere else.
func TestTokensOverlap(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		why    string
		later  time.Duration
		change func(*bundle.State)
		putOff bool
	}{
		"another scope": {"the one before is good for this one, too", 0, func(st *bundle.State) { st.Credentials[0].Generation = 2 }, true},
		"renewed":       {"the one before has most of its time left", 4 * time.Minute, func(*bundle.State) {}, true},
		"at its end":    {"the one before ends first", 10*time.Minute - ackAfter - ackSpread, func(*bundle.State) {}, false},
		"after its end": {"the agent has none", time.Hour, func(*bundle.State) {}, false},
		"other keys":    {"the one before may not be verified by these", 0, func(st *bundle.State) { st.TokenKeys[0].ID = "k2" }, false},
		"another key":   {"nor by another of this name", 0, func(st *bundle.State) { st.TokenKeys[0].Public = []byte("2") }, false},
		"one key more":  {"it is not looked which one the token needs", 0, func(st *bundle.State) { st.TokenKeys = append(st.TokenKeys, bundle.TokenKey{ID: "k2"}) }, false},
		"made anew":     {"the one before is for what is gone", 0, func(st *bundle.State) { st.Credentials[0].UID = "c2" }, false},
		"one more": {"the agent has none of that", 0, func(st *bundle.State) {
			web := st.Credentials[0]
			web.Name, web.UID = "web", "c3"
			st.Credentials = append(st.Credentials, web)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			given, agent := giving(t)
			file := filepath.Join(agent, "notes", "token")
			given.news(tokenState(now, "first"), now)
			holds(t, file, "first", 0o644) // the agent is about to begin
			next := tokenState(now.Add(tc.later), "second")
			tc.change(next)
			given.news(next, now.Add(tc.later))
			want := "second"
			if tc.putOff {
				want = "first"
			}
			holds(t, file, want, 0o644)
			if flaws := given.settle(); len(flaws) > 0 {
				t.Errorf("%s: %v", tc.why, flaws)
			}
			holds(t, file, "second", 0o644)
		})
	}
}

// TestTokensGoAtOnce: what is taken away does not wait for what is given.
func TestTokensGoAtOnce(t *testing.T) {
	now := time.Now()
	given, agent := giving(t)
	both := tokenState(now, "first")
	web := both.Credentials[0]
	web.Name, web.UID = "web", "c2"
	both.Credentials = append(both.Credentials, web)
	given.news(both, now)
	holds(t, filepath.Join(agent, "web", "token"), "first", 0o644)
	gone := func(name string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(agent, name, "token")); !os.IsNotExist(err) {
			t.Errorf("the token of %s is still there: %v", name, err)
		}
	}
	given.news(tokenState(now, "second"), now)
	gone("web")
	holds(t, filepath.Join(agent, "notes", "token"), "first", 0o644)
	if err := given.clear(); err != nil {
		t.Fatal(err)
	}
	if gone("notes"); len(given.settle()) > 0 {
		t.Error("there is something to tell of nothing")
	}
	gone("notes") // what was put off is not given any more
}

// TestBadTokens: the agent keeps the one that it has, and each acknowledgement
// tells of the other until there is a newer state.
func TestBadTokens(t *testing.T) {
	now := time.Now()
	given, agent := giving(t)
	file := filepath.Join(agent, "notes", "token")
	given.news(tokenState(now, "first"), now)
	for _, token := range []string{"bad, put off", "bad, at once"} {
		given.news(tokenState(now, token), now)
		for range 2 {
			want := []bundle.ApplyError{{Credential: "agents/notes", Reason: bundle.SidecarRefused, Detail: "bad"}}
			if diff := cmp.Diff(want, given.settle()); diff != "" {
				t.Errorf("%s: %s", token, diff)
			}
		}
		holds(t, file, "first", 0o644)
	}
	given.news(tokenState(now, "good"), now)
	holds(t, file, "good", 0o644) // nobody knows how good the one before was by then
	if flaws := given.settle(); len(flaws) > 0 {
		t.Errorf("a good one is told of: %v", flaws)
	}
}

// TestScopeComesFirst: a state is in force before its token is given, which is
// given before the acknowledgement, and is not lost with the stream.
func TestScopeComesFirst(t *testing.T) {
	states := func(t *testing.T) []string {
		first, second := tokenState(time.Now().UTC().Truncate(time.Second), "token-1"), tokenState(time.Now().UTC().Truncate(time.Second), "token-2")
		first.Digest, second.Digest = "d1", "d2"
		first.LeaseEnds, second.LeaseEnds = first.Credentials[0].LeaseEnds, second.Credentials[0].LeaseEnds
		return []string{line(t, &bundle.Frame{State: first}), line(t, &bundle.Frame{State: second})}
	}
	const want = "tokens:token-1 state:d1 state:d2 tokens:token-2" // with the first one the agent is started
	t.Run("acknowledged", func(t *testing.T) {
		b := newBroker(t, frames(true, states(t)...))
		var s *sidecar
		ready, token := make(chan struct{}), make(chan string, 1)
		b.onAck = func(a bundle.Ack) {
			<-ready
			if a.Digest == "d2" {
				text, _ := os.ReadFile(filepath.Join(s.agent, "notes", "token"))
				token <- string(text)
			}
		}
		s = connect(t, b, b.ca.pem)
		close(ready)
		if got := <-token; got != "token-2" || s.all() != want {
			t.Errorf("acknowledged while the agent has %q, told %s", got, s.all())
		}
	})
	t.Run("lost", func(t *testing.T) {
		b := newBroker(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Join(states(t), ""))
		}, frames(true))
		s := connect(t, b, b.ca.pem)
		poll(t, "another stream", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.opened) == 2
		})
		holds(t, filepath.Join(s.agent, "notes", "token"), "token-2", 0o644)
		if s.all() != want {
			t.Errorf("told %s", s.all())
		}
	})
	t.Run("refused", func(t *testing.T) {
		st := tokenState(time.Now().UTC().Truncate(time.Second), "bad")
		st.Digest, st.LeaseEnds = "d1", st.Credentials[0].LeaseEnds
		b := newBroker(t, frames(true, line(t, &bundle.Frame{State: st}), line(t, &bundle.Frame{Revoke: &bundle.Revoke{UID: "other", Reason: scope.Suspended}})))
		s := connect(t, b, b.ca.pem)
		b.acked(t, "what is in force, and the token that is not", func(a bundle.Ack) bool {
			return a.Applied && a.Digest == "d1" && len(a.Errors) == 1 && a.Errors[0].Credential == "agents/notes"
		})
		if _, err := os.Stat(filepath.Join(s.agent, "notes", "token")); !os.IsNotExist(err) {
			t.Errorf("the agent is given what is no token: %v", err)
		}
	})
}
