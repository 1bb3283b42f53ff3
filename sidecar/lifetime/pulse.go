package lifetime

import (
	"context"
	"sync/atomic"
	"time"
)

// Pulse looks after what takes time, again and again, and rests while there is
// nothing: a process that waits for its agent is not woken by its clock. It is
// safe for concurrent use.
type Pulse struct {
	wake    chan struct{} // has room for one
	resting atomic.Bool
}

// NewPulse returns a Pulse that is to be run.
func NewPulse() *Pulse { return &Pulse{wake: make(chan struct{}, 1)} }

// Run calls look every so often until ctx ends, one call at a time, and not while
// look has told that there is nothing more to look after.
func (p *Pulse) Run(ctx context.Context, every time.Duration, look func(now time.Time) (more bool)) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			if look(now) {
				continue
			}
		}
		ticks.Stop()
		p.resting.Store(true)
		if !look(time.Now()) { // for what has begun before it was said that nobody looks
			select {
			case <-ctx.Done():
				return
			case <-p.wake:
			}
		}
		p.resting.Store(false)
		select {
		case <-p.wake: // who came together with the first
		default:
		}
		ticks.Reset(every)
	}
}

// Wake says that something has begun which is to be looked after. It costs next to
// nothing where that goes on anyhow.
func (p *Pulse) Wake() {
	if !p.resting.Load() {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Rests tells whether nothing is looked after.
func (p *Pulse) Rests() bool { return p.resting.Load() }
