package prove

import (
	"math/rand/v2"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/measure"
)

// TestHash: matchers in other words leave the hash as it is, and two scopes of
// one hash are the same.
func TestHash(t *testing.T) {
	t.Parallel()
	same := 0
	for seed := range uint64(1000) {
		c := chance{rand.New(rand.NewPCG(seed, 4))}
		p := pickOf(c, profiles)
		s := c.scope(&p)
		was := hash(s)
		again := s
		again.Grants = nil
		for _, g := range s.Grants {
			g = cloneGrant(g)
			c.respellMatchers(g.Where, false)
			c.respellMatchers(g.Query.Params, false)
			c.respellMatchers(g.Headers, true)
			c.respellBody(g.Body)
			again.Grants = append(again.Grants, g)
		}
		c.Shuffle(len(again.Grants), func(i, j int) { again.Grants[i], again.Grants[j] = again.Grants[j], again.Grants[i] })
		if accepted(again) && hash(again) != was {
			t.Errorf("seed %d: in other words it has another hash", seed)
		}
		other := pickOf(c, []func(Scope) Scope{c.narrowed, c.tweaked})(s)
		if !accepted(other) || hash(other) != was {
			continue
		}
		same++
		if v := Diff(s, other).Verdict; v != Same {
			t.Errorf("seed %d: the hash is the same, and the scope %s", seed, v)
		}
	}
	if same < 50 {
		t.Errorf("%d changes that change nothing are too few to tell", same)
	}
}

func hash(s Scope) string {
	return measure.Hash(NewSpace(), s.Endpoints, s.Grants, measure.Limits{Requests: s.Requests, Concurrency: s.Concurrency})
}
