package limit

import "sync/atomic"

// InFlight counts what is under way. The zero InFlight counts nothing yet. It is
// safe for concurrent use.
type InFlight struct{ now atomic.Int64 }

// Enter counts one more, unless as many as most are under way. Whoever entered
// leaves.
func (f *InFlight) Enter(most int64) bool {
	if f.now.Add(1) > most {
		f.now.Add(-1)
		return false
	}
	return true
}

// Leave counts one less.
func (f *InFlight) Leave() { f.now.Add(-1) }

// Load returns how many are under way.
func (f *InFlight) Load() int64 { return f.now.Load() }
