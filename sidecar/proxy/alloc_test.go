//go:build !race

package proxy

import "testing"

// A request costs no allocation in the whole process, agent and upstream of the
// test included: of less than one for each, pools that are emptied make some.
// (Under the race detector pools drop what they are given.)
func TestAllocations(t *testing.T) {
	for _, one := range benches {
		if got := testing.AllocsPerRun(5000, asker(t, one.head, one.body)); got >= 1 {
			t.Errorf("%s: %v allocations for each request, want none", one.name, got)
		}
	}
}
