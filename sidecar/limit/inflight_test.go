package limit

import (
	"sync"
	"testing"
)

// TestInFlight has many enter and leave at once: never are more inside than may be,
// and nobody is counted who has left.
func TestInFlight(t *testing.T) {
	const most = 3
	var f InFlight
	if f.Enter(0) {
		t.Error("none may enter, and one does")
	}
	inside := make(chan struct{}, most)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 1000 {
				if !f.Enter(most) {
					continue
				}
				select {
				case inside <- struct{}{}:
					<-inside
				default:
					t.Error("more are inside than may be")
				}
				f.Leave()
			}
		})
	}
	all.Wait()
	if f.Load() != 0 {
		t.Errorf("%d are counted, and nobody is inside", f.Load())
	}
	for i := range most + 1 {
		if got := f.Enter(most); got != (i < most) {
			t.Errorf("number %d enters: %t", i+1, got)
		}
	}
}
