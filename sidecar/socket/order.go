//go:build unix && !openbsd

package socket

import (
	"runtime"
	"sync"
)

// order lets goroutines that were woken together go on in the order in which
// their bytes came. The runtime's poller wakes them in reverse (netpollready of
// runtime/netpoll.go has a stack): who was served first is served last in the next
// round, and some wait for two rounds while others wait for none.
//
// The zero order is ready. It is safe for concurrent use.
type order struct {
	mu    sync.Mutex
	led   bool   // the first is there, and lets the others come
	come  []turn // of those behind it, in the order in which they were woken
	spare []turn // memory for come
	free  []turn // that nobody waits for
}

// turn is what one waits for. With it comes the turn of who goes on behind; nil where
// that is none of one's business.
type turn chan turn

// arrivals is that of all sockets: the poller is the process's.
var arrivals order

// kept bounds what is kept for the next round: the poller wakes 128 at most.
const kept = 128

// pass returns when those whose bytes came earlier have gone on, as far as they were
// woken together. Nobody is waited for who has still to be woken.
func (o *order) pass() {
	o.mu.Lock()
	mine := o.take()
	if o.led {
		o.come = append(o.come, mine)
		o.mu.Unlock()
		if behind := <-mine; behind != nil {
			behind <- nil
		}
		return
	}
	come := o.lead()
	o.mu.Unlock()
	if len(come) > 0 { // the first to be woken is the last that goes on
		release(come, mine)
		<-mine
	}
	o.keep(come, mine)
}

func (o *order) take() turn {
	n := len(o.free)
	if n == 0 {
		return make(turn)
	}
	t := o.free[n-1]
	o.free = o.free[:n-1]
	return t
}

// lead lets the others come, with mu unlocked meanwhile, and returns them. Giving way
// ends before all have come where the scheduler sees to who waits for longest, as it
// does now and then.
func (o *order) lead() (come []turn) {
	o.led = true
	for before := -1; before < len(o.come); {
		before = len(o.come)
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
	}
	come, o.come, o.spare, o.led = o.come, o.spare, nil, false
	return come
}

// release lets them go on, the last first, and has the one at the end tell who is
// behind. Of those that are made ready the scheduler runs the latest at once, and the
// others one behind the other.
func release(come []turn, behind turn) {
	last := len(come) - 1
	for i := last - 1; i > 0; i-- {
		come[i] <- nil
	}
	if last > 0 {
		come[0] <- behind
		behind = nil
	}
	come[last] <- behind
}

func (o *order) keep(come []turn, mine turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.free) < kept {
		o.free = append(o.free, mine)
	}
	o.free = append(o.free, come[:min(len(come), kept-len(o.free))]...)
	clear(come)
	if o.spare = come[:0]; cap(come) > 2*kept {
		o.spare = nil
	}
}
