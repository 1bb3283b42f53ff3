package lifetime

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPulse looks every second while there is something, once more when there is
// nothing, and then not until something begins.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := NewPulse()
		var looks, more atomic.Int64
		more.Store(1)
		var running sync.WaitGroup
		running.Go(func() {
			p.Run(ctx, time.Second, func(time.Time) bool { looks.Add(1); return more.Load() > 0 })
		})
		at := func(what string, pass time.Duration, want int64, rests bool) {
			t.Helper()
			<-time.After(pass)
			synctest.Wait()
			if got := looks.Load(); got != want || p.Rests() != rests {
				t.Errorf("%s: looked %d times, want %d; rests: %t", what, got, want, p.Rests())
			}
		}
		at("at work", 10*time.Second, 10, false)
		p.Wake()
		at("woken at work", time.Second, 11, false)
		more.Store(0)
		at("nothing more", time.Second, 13, true)
		at("at rest", time.Hour, 13, true)
		more.Store(1)
		p.Wake()
		p.Wake()
		at("woken", 3*time.Second, 16, false)
		more.Store(0)
		at("at rest again", time.Hour, 18, true)
		cancel()
		running.Wait()
	})
}

// TestPulseMissesNothing has things begin at any time, each of which waits until it
// was looked at: none waits for ever.
func TestPulseMissesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := NewPulse()
	var open atomic.Int64
	var running, all sync.WaitGroup
	seen := make(chan struct{}, 1000)
	running.Go(func() {
		p.Run(ctx, time.Microsecond, func(time.Time) bool {
			for range open.Swap(0) {
				seen <- struct{}{}
			}
			return open.Load() > 0
		})
	})
	for range 4 {
		all.Go(func() {
			for range 5000 {
				open.Add(1)
				p.Wake()
				select {
				case <-seen:
				case <-time.After(time.Minute):
					t.Error("nobody looks")
					return
				}
			}
		})
	}
	all.Wait()
	cancel()
	running.Wait()
}
