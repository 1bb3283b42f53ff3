package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// takes counts how many requests pass at one instant.
func takes(c *limit.Counter, now time.Time, groups ...[]*limit.Bucket) int {
	for n := 0; ; n++ {
		if _, ok := c.Take(now, groups...); !ok || n > 10000 {
			return n
		}
	}
}

func TestTake(t *testing.T) {
	var c limit.Counter
	b := c.Renew(limit.Buckets{}, nil, "a", &scope.Rate{Count: 7, Per: time.Minute})
	group := []*limit.Bucket{b}
	if n := takes(&c, noon, group); n != 7 {
		t.Errorf("%d requests from a bucket of 7", n)
	}
	wait, ok := c.Take(noon, group)
	if ok || wait <= 0 || wait > time.Minute/7+time.Microsecond {
		t.Errorf("waits %v, %v", wait, ok)
	}
	if _, ok := c.Take(noon.Add(wait-time.Microsecond), group); ok {
		t.Error("passes before it was said")
	}
	if n := takes(&c, noon.Add(wait), group); n != 1 {
		t.Errorf("%d requests after the wait", n)
	}
	if _, ok := c.Take(noon.Add(-time.Hour), group); ok {
		t.Error("a clock that goes back gives something")
	}
	if n := takes(&c, noon.Add(wait+30*time.Second), group); n != 3 {
		t.Errorf("%d requests after half the time, want 3", n)
	}
	if n := takes(&c, noon.Add(24*time.Hour), group); n != 7 {
		t.Errorf("%d requests after a day: a bucket holds no more than it does", n)
	}
}

// TestEvenly: over a long time exactly the rate passes, however it is asked.
func TestEvenly(t *testing.T) {
	for _, rate := range []scope.Rate{{Count: 3, Per: time.Second}, {Count: 1000, Per: 24 * time.Hour}, {Count: 1, Per: 24 * time.Hour}, {Count: 7, Per: 13 * time.Second}} {
		var c limit.Counter
		group := []*limit.Bucket{c.Renew(limit.Buckets{}, nil, "a", &rate)}
		for range rate.Count {
			if _, ok := c.Take(noon, group); !ok {
				t.Fatalf("%+v: not full at first", rate)
			}
		}
		now, passed := noon, 0
		for range 2000 {
			now = now.Add(rate.Per/997 + 13*time.Nanosecond)
			for {
				if _, ok := c.Take(now, group); !ok {
					break
				}
				passed++
			}
		}
		want := int(now.Sub(noon).Seconds() / rate.Per.Seconds() * float64(rate.Count))
		if passed > want || passed < want-1 {
			t.Errorf("%+v: %d passed in %v, want %d", rate, passed, now.Sub(noon), want)
		}
	}
}

// TestGroups: of several grants one is enough, of several limits each holds.
func TestGroups(t *testing.T) {
	bucket := func(c *limit.Counter, n int) *limit.Bucket {
		return c.Renew(limit.Buckets{}, nil, "x", &scope.Rate{Count: n, Per: time.Hour})
	}
	var c limit.Counter
	small, large, total := bucket(&c, 2), bucket(&c, 5), bucket(&c, 4)
	if n := takes(&c, noon, []*limit.Bucket{small, large}, nil, []*limit.Bucket{total}); n != 4 {
		t.Errorf("%d requests, want the 4 of the total", n)
	}
	if n := takes(&c, noon, []*limit.Bucket{small}); n != 0 {
		t.Errorf("%d requests: it was counted against each grant", n)
	}
	if n := takes(&c, noon, []*limit.Bucket{large}); n != 1 {
		t.Errorf("%d requests: what was refused is not charged, and what was allowed is", n)
	}
	if n := takes(&c, noon, []*limit.Bucket{small, nil}); n <= 10000 {
		t.Errorf("%d requests: a grant without limit has no bound", n)
	}
	if _, ok := c.Take(noon); !ok {
		t.Error("without groups nothing is bounded")
	}
}

// TestRemovingAGrantNeverAllowsMore: two grants together allow what each of
// them allows alone.
func TestRemovingAGrantNeverAllowsMore(t *testing.T) {
	rates := [2]scope.Rate{{Count: 3, Per: time.Minute}, {Count: 10, Per: time.Hour}}
	var both, first, second limit.Counter
	made := func(c *limit.Counter, i int) *limit.Bucket { return c.Renew(limit.Buckets{}, nil, "x", &rates[i]) }
	together := []*limit.Bucket{made(&both, 0), made(&both, 1)}
	alone := [2][]*limit.Bucket{{made(&first, 0)}, {made(&second, 1)}}
	for i := range 500 {
		now := noon.Add(time.Duration(i*i%977) * time.Second).Add(time.Duration(i) * 7 * time.Second)
		_, a := first.Take(now, alone[0])
		_, b := second.Take(now, alone[1])
		if _, ok := both.Take(now, together); !ok && (a || b) {
			t.Fatalf("request %d passes with one grant and not with both", i)
		}
	}
}

func TestRenew(t *testing.T) {
	var c limit.Counter
	rate := scope.Rate{Count: 10, Per: time.Hour}
	old := limit.Buckets{}
	b := c.Renew(old, nil, "a", &rate)
	for range 4 {
		c.Take(noon, []*limit.Bucket{b})
	}
	for name, test := range map[string]struct {
		rate *scope.Rate
		want int
	}{
		"unchanged": {&scope.Rate{Count: 10, Per: time.Hour}, 6},
		"more":      {&scope.Rate{Count: 20, Per: time.Hour}, 16},
		"less":      {&scope.Rate{Count: 3, Per: time.Hour}, 0},
		"slower":    {&scope.Rate{Count: 10, Per: 2 * time.Hour}, 6},
	} {
		var again limit.Counter
		copied := limit.Buckets{}
		spent := again.Renew(copied, nil, "a", &rate)
		for range 4 {
			again.Take(noon, []*limit.Bucket{spent})
		}
		made := limit.Buckets{}
		got := again.Renew(made, copied, "a", test.rate)
		if shared := again.Renew(made, copied, "a", test.rate); shared != got {
			t.Errorf("%s: two buckets of one name", name)
		}
		if n := takes(&again, noon, []*limit.Bucket{got}); n != test.want {
			t.Errorf("%s: %d left, want %d", name, n, test.want)
		}
	}
	if got := c.Renew(limit.Buckets{}, old, "a", nil); got != nil {
		t.Error("no rate, and a bucket")
	}
	if n := takes(&c, noon, []*limit.Bucket{c.Renew(limit.Buckets{}, old, "other", &rate)}); n != 10 {
		t.Errorf("%d left in a new bucket", n)
	}
}

// TestRenewAgain has a rate lowered or taken away for a while: what was used of it
// stays used for as long as if nothing had changed.
func TestRenewAgain(t *testing.T) {
	rate := &scope.Rate{Count: 100, Per: time.Hour}
	for name, between := range map[string]*scope.Rate{"lower": {Count: 10, Per: time.Hour}, "shorter": {Count: 10, Per: time.Minute}, "none": nil} {
		for _, test := range []struct {
			later time.Duration
			want  int
		}{{0, 20}, {30 * time.Minute, 70}, {2 * time.Hour, 100}} {
			var c limit.Counter
			old := limit.Buckets{}
			b := c.Renew(old, nil, "a", rate)
			for range 80 {
				c.Take(noon, []*limit.Bucket{b})
			}
			for _, rate := range []*scope.Rate{between, between, rate} {
				made := limit.Buckets{}
				b = c.Renew(made, old, "a", rate)
				c.Keep(made, old, noon)
				old = made
			}
			if n := takes(&c, noon.Add(test.later), []*limit.Bucket{b}); n != test.want {
				t.Errorf("%s for a while: %d left after %v, want %d", name, n, test.later, test.want)
			}
		}
	}
}

// TestKeep keeps what is not full, and no more than it has to.
func TestKeep(t *testing.T) {
	var c limit.Counter
	old := limit.Buckets{}
	for i := range 5000 {
		b := c.Renew(old, nil, fmt.Sprint(i), &scope.Rate{Count: 2, Per: time.Minute})
		c.Take(noon, []*limit.Bucket{b})
	}
	for later, want := range map[time.Duration]int{0: 1024, time.Minute: 0} {
		made := limit.Buckets{}
		if c.Keep(made, old, noon.Add(later)); len(made) != want {
			t.Errorf("after %v %d are kept, want %d", later, len(made), want)
		}
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	var c limit.Counter
	groups := [2][]*limit.Bucket{{c.Renew(limit.Buckets{}, nil, "a", &scope.Rate{Count: 1_000_000, Per: time.Second})}, {nil}}
	if n := testing.AllocsPerRun(100, func() { c.Take(noon, groups[:]...) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
