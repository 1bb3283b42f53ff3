package tokenkey

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestFollow: keys are read once for each version of their Secret, and none is
// mistaken for another.
func TestFollow(t *testing.T) {
	first, bad := Generate(start), map[string][]byte{currentKey: []byte("short")}
	second := first.Rotate(start)
	v, reads := version{}, 0
	for i, step := range []struct {
		why          string
		uid, version string
		data         map[string][]byte
		reads        int
		want         Keys // zero: an error
	}{
		{"nothing was read before", "a", "1", first.Encode(), 1, first},
		{"the same version says the same", "a", "1", second.Encode(), 0, first},
		{"the next version", "a", "2", second.Encode(), 1, second},
		{"another Secret of that version", "b", "2", first.Encode(), 1, first},
		{"keys that were good once are not those of a version that is not", "b", "3", bad, 1, Keys{}},
		{"nor are they after that", "b", "2", first.Encode(), 1, first},
		{"a version that is not told is none", "b", "", second.Encode(), 1, second},
		{"nor is it the same again", "b", "", first.Encode(), 1, first},
	} {
		reads = 0
		err := v.follow(types.UID(step.uid), step.version, func(key string) ([]byte, bool) {
			if key == currentKey {
				reads++
			}
			data, ok := step.data[key]
			return data, ok
		})
		if (err != nil) != step.want.Current.IsZero() || v.keys.Current.ID() != step.want.Current.ID() || reads != step.reads {
			t.Errorf("step %d: key %q, %d reads, %v: %s", i, v.keys.Current.ID(), reads, err, step.why)
		}
	}
}
