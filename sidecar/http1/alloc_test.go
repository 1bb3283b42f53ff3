//go:build !race

package http1

import (
	"io"
	"strings"
	"testing"
)

// A relayed request costs no allocation. (Under the race detector pools drop what they are given.)
func TestAllocations(t *testing.T) {
	r := &relayed{
		fromAgent:    NewReader(&forever{text: typicalRequest}, 32<<10),
		fromUpstream: NewReader(&forever{text: typicalResponse + strings.Repeat("x", 1024)}, 32<<10),
		toUpstream:   NewWriter(io.Discard),
		toAgent:      NewWriter(io.Discard),
	}
	got := testing.AllocsPerRun(1000, func() {
		if err := r.once(); err != nil {
			t.Fatal(err)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations for each request, want none", got)
	}
}
