package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// TestSample counts each request of a round once, whichever turn it was in.
func TestSample(t *testing.T) {
	quick, slow := make([]time.Duration, 99), []time.Duration{time.Second}
	for i := range quick {
		quick[i] = time.Millisecond
	}
	got := scenario{}.sample([]part{
		{times: engine.Times{Whole: slow, Took: time.Second}, cpu: 950 * time.Millisecond, rss: 7},
		{times: engine.Times{Whole: quick, Took: time.Second}, cpu: 950 * time.Millisecond, rss: 5},
	})
	want := report.Sample{
		CPU: 19 * time.Millisecond, Rate: 50, Full: true, P50: time.Millisecond, P99: time.Millisecond, RSS: 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stream := scenario{work: engine.Work{Events: 1}}.sample([]part{{times: engine.Times{
		Whole: quick, First: slow, Took: 100 * time.Second, Unasked: 2,
	}}})
	if stream.First50 != time.Second || stream.First99 != time.Second || stream.Full || !stream.Overloaded {
		t.Errorf("got %+v", stream)
	}
}

// TestTurns cuts a round so that each connection is answered several times in a turn.
func TestTurns(t *testing.T) {
	for _, s := range scenarios(leastCapacity) {
		want := 8
		if s.connections == 256 && s.work.Answer == 1<<20 {
			want = 1
		}
		if got := s.turns(); got != want {
			t.Errorf("%s: %d turns, want %d", s.name, got, want)
		}
	}
}
