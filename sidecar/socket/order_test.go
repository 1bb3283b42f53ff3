//go:build unix && !openbsd

package socket

import (
	"runtime"
	"sync"
	"testing"
)

// TestOrderForgetsNobody has many pass at once, on all processors and on one: each
// goes on, and what is kept stays bounded.
func TestOrderForgetsNobody(t *testing.T) {
	for _, processors := range []int{1, runtime.NumCPU()} {
		before := runtime.GOMAXPROCS(processors)
		var o order
		var all sync.WaitGroup
		for n := range 4 * kept {
			all.Go(func() {
				for i := range 200 {
					if o.pass(); (i+n)%7 == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		all.Wait()
		runtime.GOMAXPROCS(before)
		if o.led || len(o.come) > 0 || len(o.free) > kept || cap(o.spare) > 2*kept {
			t.Errorf("%d processors: %t, %d wait, %d and %d are kept", processors, o.led, len(o.come), len(o.free), cap(o.spare))
		}
	}
}
