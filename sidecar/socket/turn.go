package socket

import (
	"runtime"
	"sync/atomic"
)

// Parking a goroutine until its peer has something to say costs as much as a
// system call, and waking it does again. While there is other work, whoever
// waits therefore lets it go first and looks again: mostly the bytes are there
// then. The scheduler asks the kernel who else can go on only when nobody has
// anything to do, so that goroutines which give way to each other for ever would
// keep it from asking: now and then all of them have to park.
const (
	patience = 8  // looks in vain, until a goroutine parks
	round    = 48 // turns, until all do
)

// turns counts how often somebody has given way, woken is what it was when
// somebody was woken last.
var turns, woken atomic.Uint32

// Yield lets others that have something to do go first, and tells whether there
// were any. Where those that are parked have waited for long enough it tells that
// there were none.
func Yield() bool {
	mine := turns.Add(1)
	if mine-woken.Load() > round {
		return false
	}
	runtime.Gosched()
	return turns.Load() != mine
}

// wake says that the kernel was asked who can go on.
func wake() { woken.Store(turns.Load()) }
