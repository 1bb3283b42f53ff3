package upstreamsecret

import (
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
)

// TestUntilEnd has a key looked at again when its time is over, and no other.
func TestUntilEnd(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		ends time.Time
		want time.Duration
	}{
		"never":       {time.Time{}, 0},
		"later":       {noon.Add(time.Hour), time.Hour},
		"in a moment": {noon.Add(time.Millisecond), time.Second},
	} {
		if got := untilEnd(&observation{key: sourcekey.Key{Expires: test.ends}}, noon); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
