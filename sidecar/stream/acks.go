package stream

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// How long an acknowledgement is put off: by ackAfter, and at random by less than
// ackSpread on top. After an edit all sidecars have one to send, while the broker
// still has others to serve. That of a revocation does not wait for ackAfter.
const (
	ackAfter  = 250 * time.Millisecond
	ackSpread = 250 * time.Millisecond
)

// acks sends acknowledgements beside the stream, so that no revocation waits
// for the broker's answer to the ack before it. Each speaks of all that is in
// force: only the newest matters.
type acks struct {
	wake  chan struct{} // has room for one
	hurry chan struct{} // has room for one: nothing is put off from now on

	mu     sync.Mutex
	next   *bundle.Ack
	seen   []bundle.Seen // to be told with the next one
	hasty  bool          // it tells of a revocation
	sent   sync.Cond     // of mu: next was sent
	ending bool
}

func newAcks() *acks {
	a := &acks{wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	a.sent.L = &a.mu
	return a
}

func (a *acks) send(ack bundle.Ack) {
	a.mu.Lock()
	a.next = &ack
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// soon sends ack, which tells of a revocation. It goes with a newer one that is
// there by then.
func (a *acks) soon(ack bundle.Ack) {
	a.mu.Lock()
	a.hasty = true
	a.mu.Unlock()
	a.send(ack)
}

// tell sends ack with what was seen, unless a newer one takes its place: then
// it goes with that.
func (a *acks) tell(ack bundle.Ack, seen []bundle.Seen) {
	a.mu.Lock()
	a.seen = append(a.seen, seen...)
	a.mu.Unlock()
	a.send(ack)
}

// take returns what is to be posted, and as what it was given; nil: nothing.
func (a *acks) take() (whole, given *bundle.Ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == nil {
		return nil, nil
	}
	next := *a.next
	next.Seen, a.seen, a.hasty = a.seen, nil, false
	return &next, a.next
}

// run posts until ctx ends or post fails.
func (a *acks) run(ctx context.Context, post func(bundle.Ack) error) error {
	defer a.finish()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
		if !a.putOff(ctx) {
			return nil
		}
		whole, ack := a.take()
		if ack == nil {
			continue
		}
		if err := post(*whole); err != nil {
			return err
		}
		a.mu.Lock()
		if a.next == ack {
			a.next = nil
		}
		a.sent.Broadcast()
		a.mu.Unlock()
	}
}

// putOff lets some time pass, unless somebody waits. It tells whether ctx still
// lasts.
func (a *acks) putOff(ctx context.Context) bool {
	timer := time.NewTimer(ackAfter + rand.N(ackSpread))
	defer timer.Stop()
	for hasty := false; ; {
		if !hasty && a.isHasty() {
			hasty = true
			timer.Reset(rand.N(ackSpread))
		}
		select {
		case <-ctx.Done():
			return false
		case <-a.hurry:
			a.hurry <- struct{}{} // the stream is about to end
			return true
		case <-timer.C:
			return true
		case <-a.wake: // by what goes with it
		}
	}
}

func (a *acks) isHasty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hasty
}

func (a *acks) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ending = true
	a.sent.Broadcast()
}

// flush waits until everything is sent, at most for within. It is called once.
func (a *acks) flush(within time.Duration) {
	a.hurry <- struct{}{}
	late := false
	timer := time.AfterFunc(within, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		late = true
		a.sent.Broadcast()
	})
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.next != nil && !a.ending && !late {
		a.sent.Wait()
	}
}
