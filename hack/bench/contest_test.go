package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/report"
)

// TestSample is of one turn: per request, and the proxy set the pace where its
// processor was full.
func TestSample(t *testing.T) {
	times := make([]time.Duration, 100)
	for i := range times {
		times[i] = time.Duration(i+1) * time.Millisecond
	}
	got := scenario{}.sample(engine.Times{Whole: times, Took: 2 * time.Second}, 1900*time.Millisecond, 7)
	want := report.Sample{
		CPU: 19 * time.Millisecond, Rate: 50, Paced: true, P50: 50 * time.Millisecond, P99: 99 * time.Millisecond, RSS: 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stream := scenario{work: engine.Work{Events: 1}}.sample(engine.Times{
		Whole: times, First: times[:1], Took: 100 * time.Second, Unasked: 2,
	}, time.Second, 0)
	if stream.First50 != time.Millisecond || stream.First99 != time.Millisecond || stream.Paced || !stream.Overloaded {
		t.Errorf("got %+v", stream)
	}
	if one := (scenario{connections: 1}); !one.paced(0, time.Second) {
		t.Error("with one connection the load waits for something else than the proxy")
	}
}

// TestTurns cuts a round so that each connection is answered several times in a turn,
// and none in which proxies have nothing to do most of the time.
func TestTurns(t *testing.T) {
	for _, s := range scenarios(leastCapacity) {
		want, each := 8, time.Second
		switch {
		case s.rate > 0:
			want, each = 3, 8*time.Second
		case s.connections == 256 && s.work.Answer == 1<<20:
			want, each = 1, 8*time.Second
		}
		if got, length := s.turns(8 * time.Second); got != want || length != each {
			t.Errorf("%s: %d turns of %v, want %d of %v", s.name, got, length, want, each)
		}
	}
}
