package stream

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// posted runs acks and notes what is posted, and when.
type posted struct {
	*acks
	digests []string
	after   []time.Duration
}

func post(t *testing.T) *posted {
	t.Helper()
	p := &posted{acks: newAcks()}
	ctx, cancel := context.WithCancel(t.Context())
	begun, done := time.Now(), make(chan error)
	go func() {
		done <- p.run(ctx, func(a bundle.Ack) error {
			p.digests, p.after = append(p.digests, a.Digest), append(p.after, time.Since(begun))
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestAcksAreSpread: sidecars that are sent something at one moment acknowledge
// it at moments of their own, each with its newest word, and soon enough.
func TestAcksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moments := map[string]int{}
		for range 64 {
			p := post(t)
			p.send(bundle.Ack{Digest: "first"})
			p.send(bundle.Ack{Digest: "second"})
			<-time.After(ackAfter + ackSpread)
			synctest.Wait()
			if !cmp.Equal(p.digests, []string{"second"}) || p.after[0] < ackAfter {
				t.Fatalf("posted %q after %v", p.digests, p.after)
			}
			moments[fmt.Sprint(p.after[0])]++
		}
		if len(moments) < 32 {
			t.Errorf("64 sidecars acknowledge at %d moments", len(moments))
		}
	})
}

// TestFlushDoesNotWait: the last word of a stream is said before it ends.
func TestFlushDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, before := range []bool{true, false} { // the acknowledgement is put off already
			p := post(t)
			if p.send(bundle.Ack{Digest: "last"}); before {
				synctest.Wait()
			}
			p.flush(ackTime)
			if !cmp.Equal(p.after, []time.Duration{0}) {
				t.Errorf("posted after %v", p.after)
			}
			p.send(bundle.Ack{Digest: "more"})
			synctest.Wait()
			if len(p.digests) != 2 || p.after[1] != 0 {
				t.Errorf("posted %q after %v", p.digests, p.after)
			}
		}
	})
}

// TestRevocationsAreAcknowledgedSooner: whoever revokes waits for that, whether or not
// another acknowledgement is put off already.
func TestRevocationsAreAcknowledgedSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, before := range []bool{true, false} {
			sooner := 0
			for range 32 {
				p := post(t)
				if before {
					p.send(bundle.Ack{Digest: "before"})
					synctest.Wait()
				}
				p.soon(bundle.Ack{Digest: "before"})
				p.send(bundle.Ack{Digest: "without it"})
				<-time.After(ackSpread)
				synctest.Wait()
				if !cmp.Equal(p.digests, []string{"without it"}) {
					t.Fatalf("posted %q within %s", p.digests, ackSpread)
				}
				if p.after[0] < ackAfter {
					sooner++
				}
				p.send(bundle.Ack{Digest: "another"})
				<-time.After(ackAfter + ackSpread)
				synctest.Wait()
				if len(p.after) != 2 || p.after[1] < ackSpread+ackAfter {
					t.Fatalf("what came later was posted after %v", p.after)
				}
			}
			if sooner < 16 {
				t.Errorf("%d of 32 before %s", sooner, ackAfter)
			}
		}
	})
}
