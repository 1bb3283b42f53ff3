package memory

import (
	"errors"
	"math"
	"runtime/debug"
	"testing"
)

// TestBudget shares what there is, counts nothing twice and takes all of it back.
func TestBudget(t *testing.T) {
	const one = 1 << 20
	b := NewBudget(2 * one)
	var first, second, third Share
	for _, s := range []struct {
		share *Share
		bytes int64
		want  error
	}{
		{&first, free, nil},
		{&second, free + one, nil},
		{&first, free + one, nil},
		{&first, free + one, nil}, // nothing more
		{&third, free, nil},
		{&third, free + 1, ErrFull},
		{&first, free + one + 1, ErrFull},
		{&second, free + one/2, nil},
		{&third, free + one/2, nil},
		{&third, free + one/2 + 1, ErrFull},
		{&first, 0, nil}, {&second, 0, nil}, {&third, 0, nil},
		{&first, free + 2*one, nil},
		{&first, free + 2*one + 1, ErrFull},
	} {
		if err := b.Hold(s.share, s.bytes); !errors.Is(err, s.want) {
			t.Fatalf("holding %d: got %v, want %v", s.bytes, err, s.want)
		}
	}
	if b.Held() != 2*one || b.Size() != 2*one {
		t.Errorf("%d of %d bytes are held, want all of %d", b.Held(), b.Size(), 2*one)
	}
}

// TestFitting has bounds follow the memory limit.
func TestFitting(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	for limit, want := range map[int64]int64{math.MaxInt64: 1000, usual: 1000, usual / 4: 250, 4 * usual: 4000} {
		debug.SetMemoryLimit(limit)
		if got := Fitting(1000); got < want-1 || got > want+1 {
			t.Errorf("with a limit of %d: got %d, want %d", limit, got, want)
		}
	}
}

// TestText gives memory out empty, and keeps none that is large.
func TestText(t *testing.T) {
	for range 100 {
		m := Text()
		if len(*m) != 0 || cap(*m) > kept {
			t.Fatalf("got %d of %d bytes", len(*m), cap(*m))
		}
		Release(m, append(*m, make([]byte, 100)...))
		m = Text()
		Release(m, append(*m, make([]byte, 2*kept)...))
	}
}

// TestTurns has long texts wait for each other, and short ones for nobody.
func TestTurns(t *testing.T) {
	var turns Turns
	done := turns.Take(kept + 1)
	turns.Take(kept)()
	next := make(chan struct{})
	go func() {
		defer turns.Take(kept + 1)()
		close(next)
	}()
	select {
	case <-next:
		t.Error("two at once")
	default:
	}
	done()
	<-next
}
