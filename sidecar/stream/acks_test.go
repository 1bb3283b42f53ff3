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
			<-time.After(ackSpread)
			synctest.Wait()
			if !cmp.Equal(p.digests, []string{"second"}) {
				t.Fatalf("posted %q within %s", p.digests, ackSpread)
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
