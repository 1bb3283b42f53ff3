package upstreamsecret

import (
	"testing"
	"time"
)

// TestUntilEnd has a key looked at again when its time is over, and no other.
func TestUntilEnd(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := &Reconciler{Now: func() time.Time { return noon }}
	for name, test := range map[string]struct {
		ends time.Time
		want time.Duration
	}{
		"never":       {time.Time{}, 0},
		"later":       {noon.Add(time.Hour), time.Hour},
		"in a moment": {noon.Add(time.Millisecond), time.Second},
	} {
		if got := r.untilEnd(observation{ends: test.ends}); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
