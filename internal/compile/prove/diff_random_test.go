package prove

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// pairs is how many scopes are compared, by chance but always the same ones.
const pairs uint64 = 10000

// TestDiffAgainstTheJudge compares scopes that were made by chance, and holds
// the answers to what the judge says of the requests of a small world. What
// diff says beyond that has a witness, of which the judge is asked here again.
func TestDiffAgainstTheJudge(t *testing.T) {
	var mu sync.Mutex
	counts := map[Verdict]int{}
	beyond := 0
	everySeed(pairs, func(seed uint64) {
		c := chance{rand.New(rand.NewPCG(seed, 1))}
		from, to := c.pair()
		d := Diff(from, to)
		more := holdToTheJudge(t, seed, c, from, to, &d)
		mu.Lock()
		defer mu.Unlock()
		counts[d.Verdict]++
		if more {
			beyond++
		}
	})
	t.Logf("%v; of %d the small world does not hold every witness", counts, beyond)
	for _, v := range []Verdict{Same, Narrowed, Widened} {
		if counts[v] < 1500 {
			t.Errorf("%d scopes are %s, too few to tell", counts[v], v)
		}
	}
	if counts[Undecided] > int(pairs/100) {
		t.Errorf("%d answers are unknown, more than one in a hundred", counts[Undecided])
	}
}

// everySeed works on the seeds, on every core.
func everySeed(n uint64, work func(seed uint64)) {
	var next atomic.Uint64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
				work(seed)
			}
		})
	}
	all.Wait()
}

// holdToTheJudge reports whether d has a witness of what the requests do not
// show.
func holdToTheJudge(t *testing.T, seed uint64, c chance, from, to Scope, d *Difference) (beyond bool) {
	t.Helper()
	if d.Verdict == Undecided {
		return false
	}
	old, fresh := mustOracle(t, from), mustOracle(t, to)
	for _, change := range d.Added {
		confirm(t, seed, old, fresh, &change)
	}
	for _, change := range d.Removed {
		confirm(t, seed, fresh, old, &change)
	}
	added, removed := compare(old, fresh, slices.Concat(world(c, 100), c.near(from, 12), c.near(to, 12)))
	if added && len(d.Added) == 0 || removed && len(d.Removed) == 0 {
		t.Errorf("seed %d: %s, but the judge sees something added: %t, removed: %t", seed, d.Verdict, added, removed)
	}
	return !added && len(d.Added) > 0 || !removed && len(d.Removed) > 0
}

// pair makes two scopes that are the same in other words, or of which one has
// less than the other, or that differ in one thing, or that have nothing to do
// with each other.
func (c chance) pair() (from, to Scope) {
	p := pickOf(c, profiles)
	for {
		from = c.scope(&p)
		switch c.IntN(9) {
		case 0:
			to = c.respelled(from)
		case 1, 2, 3:
			to = c.respelled(c.narrowed(from))
		case 4, 5, 6:
			from, to = c.respelled(c.narrowed(from)), from
		case 7:
			to = c.tweaked(from)
		default:
			to = c.scope(&p)
		}
		if accepted(from) && accepted(to) {
			return from, to
		}
	}
}

func accepted(s Scope) bool {
	for i := range s.Grants {
		if len(s.Grants[i].Check(s.Endpoints[0].Profile)) > 0 {
			return false
		}
	}
	return true
}

func mustOracle(t *testing.T, s Scope) *oracle {
	t.Helper()
	o, err := newOracle(s)
	if err != nil {
		t.Error(err) // it may be on a goroutine of its own
	}
	return o
}

// confirm asks the judge whether one scope lets the witness pass in a way in
// which the other does not.
func confirm(t *testing.T, seed uint64, without, with *oracle, change *Change) {
	t.Helper()
	if change.Grant == "" { // more requests in all
		if within(with.total, without.total) {
			t.Errorf("seed %d: the limit of all requests makes no difference", seed)
		}
		return
	}
	without, with = without.unlimited(), with.unlimited()
	if added, _ := compare(without, with, []ask{asked(&change.Witness)}); !added {
		t.Errorf("seed %d: %s is no witness of %s", seed, change.Witness.String(), change.Grant)
	}
}

// unlimited is o without the limit of all requests.
func (o *oracle) unlimited() *oracle {
	out := *o
	out.total = nil
	return &out
}
