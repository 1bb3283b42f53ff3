package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// watch is what was seen of the subject's memory, in bytes, once a second.
type watch struct {
	mu   sync.Mutex
	seen []int64
}

// run looks until ctx is done.
func (w *watch) run(ctx context.Context, s *subject) error {
	for until(ctx, time.Now().Add(time.Second)) {
		n, err := s.resident()
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.seen = append(w.seen, n)
		w.mu.Unlock()
	}
	return nil
}

func (w *watch) last() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) == 0 {
		return 0
	}
	return w.seen[len(w.seen)-1]
}

// ends are the medians of the second and of the last fifth: the first one is
// warming up.
func (w *watch) ends() (early, late int64) {
	fifth := len(w.seen) / 5
	if fifth == 0 {
		return 0, 0
	}
	return median(w.seen[fifth : 2*fifth]), median(w.seen[len(w.seen)-fifth:])
}

// growth is what counts as flat.
const growth = 1.15

func (w *watch) flat() error {
	early, late := w.ends()
	return unless(early > 0 && float64(late) <= growth*float64(early), "memory grew from %.1f to %.1f MiB", mib(early), mib(late))
}

func median(list []int64) int64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func (w *watch) most() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Max(append(w.seen, 0))
}
