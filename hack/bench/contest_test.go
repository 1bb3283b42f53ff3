package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// TestSample is of one turn: per request, and full where the processor was.
func TestSample(t *testing.T) {
	times := make([]time.Duration, 100)
	for i := range times {
		times[i] = time.Duration(i+1) * time.Millisecond
	}
	got := scenario{}.sample(engine.Times{Whole: times, Took: 2 * time.Second}, 1900*time.Millisecond, 7)
	want := report.Sample{
		CPU: 19 * time.Millisecond, Rate: 50, Full: true, P50: 50 * time.Millisecond, P99: 99 * time.Millisecond, RSS: 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stream := scenario{work: engine.Work{Events: 1}}.sample(engine.Times{
		Whole: times, First: times[:1], Took: 100 * time.Second, Unasked: 2,
	}, time.Second, 0)
	if stream.First50 != time.Millisecond || stream.First99 != time.Millisecond || stream.Full || !stream.Overloaded {
		t.Errorf("got %+v", stream)
	}
}

// TestTurns cuts a round so that each connection is answered several times in a turn,
// and none in which proxies have nothing to do most of the time.
func TestTurns(t *testing.T) {
	for _, s := range scenarios(leastCapacity) {
		want := 8
		if s.rate > 0 || s.connections == 256 && s.work.Answer == 1<<20 {
			want = 1
		}
		if got := s.turns(); got != want {
			t.Errorf("%s: %d turns, want %d", s.name, got, want)
		}
	}
}
