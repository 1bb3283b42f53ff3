package upstream

import (
	"slices"
	"sync"
)

// Log keeps what a server saw: its Record is one for a [Server]. The zero Log
// is empty. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	entries []Entry
}

// Record adds e.
func (l *Log) Record(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// Entries returns what was recorded so far, oldest first.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Clear forgets what was recorded.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}
