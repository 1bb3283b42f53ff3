package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/cmd/sallyport/load"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/token"
)

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// reading compiles manifestText with changes, given in pairs.
func reading(t *testing.T, changes ...string) []loaded {
	t.Helper()
	objects, err := load.Objects(t.Context(), []string{"-"}, []byte(strings.NewReplacer(changes...).Replace(manifestText)))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := compileAll(objects) // what is refused says so itself
	return all
}

func stateOf(t *testing.T, l *ledger) *bundle.State {
	t.Helper()
	state, err := l.state(epoch)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// TestTake follows one credential through readings of its manifest.
func TestTake(t *testing.T) {
	const suspended = "  suspend: true\n  grants:"
	tests := map[string]struct {
		why    string
		then   []string      // changes of the second reading; nil: the object is gone
		denied scope.Reason  // after it
		paths  []string      // that are served
		ends   time.Duration // of the credential, from epoch; 0: never
	}{
		"changed":                 {"a change that compiles is in force", []string{"/v1/", "/v2/"}, "", []string{"/v2/{name}"}, 0},
		"broken":                  {"the last accepted scope stays", []string{"/v1/{name}", "/{name}"}, "", []string{"/v1/{name}"}, 0},
		"suspended":               {"it takes away", []string{"  grants:", suspended}, scope.Suspended, nil, 0},
		"suspended and broken":    {"taking away never waits", []string{"  grants:", suspended, "/v1/{name}", "/{name}"}, scope.Suspended, nil, 0},
		"ends and broken":         {"so does an end that is nearer", []string{"  grants:", "  expiresAt: \"2030-01-02T04:04:05Z\"\n  grants:", "/v1/{name}", "/{name}"}, "", []string{"/v1/{name}"}, time.Hour},
		"gone":                    {"removal is revocation", nil, scope.Revoked, nil, 0},
		"no upstream":             {"so is the removal of what it needs", []string{"name: files}\n  holders", "name: file}\n  holders"}, scope.Revoked, nil, 0},
		"not shared":              {"the owner took it away", []string{"[agents]", "[others]"}, scope.Revoked, nil, 0},
		"no key":                  {"there is nothing to send", []string{"stringData: {token", "stringData: {tokens"}, scope.Revoked, nil, 0},
		"upstream not acceptable": {"what its owner accepted last stays", []string{"    inject:", "    profile: odata\n    inject:"}, "", []string{"/v1/{name}"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.take(reading(t))
			l.take(func() []loaded {
				if test.then == nil {
					return nil
				}
				return reading(t, test.then...)
			}())
			state := stateOf(t, l)
			var paths []string
			for _, c := range state.Credentials {
				paths = append(paths, c.Grants[0].HTTP.Paths...)
				var want time.Time
				if test.ends > 0 {
					want = epoch.Add(test.ends)
				}
				if !c.ExpiresAt.Equal(want) {
					t.Errorf("%s: it ends at %v, want %v", test.why, c.ExpiresAt, want)
				}
			}
			if diff := cmp.Diff(test.paths, paths); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
			var denied scope.Reason
			for _, d := range state.Denied {
				denied = d.Reason
			}
			if denied != test.denied {
				t.Errorf("%s: denied %q, want %q", test.why, denied, test.denied)
			}
		})
	}
}

// TestIdentity: a token outlives a change of the scope and dies with the
// object, even if one of its name comes back.
func TestIdentity(t *testing.T) {
	l := newLedger()
	l.take(reading(t))
	before := stateOf(t, l).Credentials[0]
	l.take(reading(t, "/v1/", "/v2/"))
	changed := stateOf(t, l).Credentials[0]
	if changed.UID != before.UID || changed.Generation <= before.Generation || changed.SecretVersion != before.SecretVersion {
		t.Errorf("after a change: %+v, was %+v", changed.Object, before.Object)
	}
	l.take(reading(t, "CANARY-0123456789", "another-key"))
	if rotated := stateOf(t, l).Credentials[0]; rotated.SecretVersion == before.SecretVersion || rotated.UID != before.UID {
		t.Error("another key has the same version, or another identity")
	}
	l.take(nil)
	if state := stateOf(t, l); len(state.Credentials) != 0 || state.Denied[0].Reason != scope.Revoked {
		t.Errorf("removed, and still there: %+v", state)
	}
	l.take(reading(t))
	if again := stateOf(t, l).Credentials[0]; again.UID == before.UID || again.UID == "" {
		t.Error("what comes back under the same name must be another object")
	}
}

func TestStateMintsTokens(t *testing.T) {
	l := newLedger()
	l.take(reading(t, "  grants:", "  lifetime: 3m\n  grants:"))
	state := stateOf(t, l)
	c := state.Credentials[0]
	verifier, err := token.NewVerifier(state.TokenKeys)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := verifier.Verify(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Check(epoch, l.pod.UID, c.UID); err != nil {
		t.Error(err)
	}
	if err := claims.Check(epoch.Add(3*time.Minute+token.Leeway), l.pod.UID, c.UID); err == nil {
		t.Error("the token outlives lifetime")
	}
	if err := claims.Check(epoch, newLedger().pod.UID, c.UID); err == nil {
		t.Error("the token is good in another process")
	}
	if got := l.renewIn(); got != time.Minute {
		t.Errorf("renewal in %v, want at one third of the lifetime", got)
	}
	if again := stateOf(t, l).Credentials[0].Token; again == c.Token {
		t.Error("renewal gave the same token")
	}
}
