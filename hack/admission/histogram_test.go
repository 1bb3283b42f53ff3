package main

import (
	"math"
	"testing"
)

const text = `# HELP d x
d_bucket{name="a",op="C",rejected="false",le="0.005"} 50
d_bucket{name="a",op="C",rejected="false",le="0.025"} 90
d_bucket{name="a",op="C",rejected="false",le="+Inf"} 100
d_sum{name="a",op="C",rejected="false"} 1.1
d_count{name="a",op="C",rejected="false"} 100
d_bucket{name="a",op="C",rejected="true",le="0.005"} 0
d_bucket{name="a",op="C",rejected="true",le="0.025"} 10
d_bucket{name="a",op="C",rejected="true",le="+Inf"} 10
d_count{name="a",op="C",rejected="true"} 10
d_bucket{name="b",op="C",rejected="true",le="0.005"} 7
d_count{name="b",op="C",rejected="true"} 7
`

// TestHistogram reads two series as one, and takes off what was there before.
func TestHistogram(t *testing.T) {
	h := read(text, "d", `name="a"`, `op="C"`)
	if h.count != 110 || len(h.bounds) != 3 || !math.IsInf(h.bounds[2], 1) || h.counts[1] != 100 {
		t.Fatalf("read %+v", h)
	}
	if got := h.within(0.005); got != 50.0/110 {
		t.Errorf("within 5 ms: %v", got)
	}
	if got := h.mean(); got != 0.01 {
		t.Errorf("the mean: %v", got)
	}
	if got := h.quantile(0.25); math.Abs(got-0.00275) > 1e-9 {
		t.Errorf("a quarter: %v", got)
	}
	if got := h.quantile(0.99); got != 0.025 {
		t.Errorf("beyond the last bound: %v", got)
	}
	if d := h.since(h); d.count != 0 || d.counts[2] != 0 || d.within(0.005) != 0 || d.mean() != 0 {
		t.Errorf("nothing came since: %+v", d)
	}
	if d := h.since(read("", "d")); d.count != 110 {
		t.Errorf("all came since nothing: %+v", d)
	}
}
