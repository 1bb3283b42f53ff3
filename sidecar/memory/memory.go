// Package memory has the memory of bodies and messages that are read whole, and
// bounds it, so that no number of agents makes the kernel end the sidecar.
package memory

import (
	"errors"
	"math"
	"runtime/debug"
	"sync/atomic"
)

// ErrFull says that others hold all there is.
var ErrFull = errors.New("the memory for bodies that are read whole is in use")

// free is what each may hold without being counted: most bodies are short, and
// are read whatever others hold.
const free = 16 << 10

// usual is the limit of the collector in a sidecar with the memory that it has by
// default: 85 % of 128 MiB.
const usual = 128 << 20 / 100 * 85

// Fitting returns what a bound for a sidecar with its usual memory is with the
// memory limit of this process. Without one it is the same.
func Fitting(bound int64) int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return bound
	}
	return int64(float64(bound) * (float64(limit) / usual))
}

// A Budget is memory that is shared, in bytes. It is safe for concurrent use.
type Budget struct {
	size int64
	left atomic.Int64
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{size: bytes}
	b.left.Store(bytes)
	return b
}

// Size is how many bytes there are.
func (b *Budget) Size() int64 { return b.size }

// Held is how many of them are held.
func (b *Budget) Held() int64 { return b.size - b.left.Load() }

// A Share is what one body or message takes of a Budget. It is for one
// goroutine. The zero Share holds nothing.
type Share struct{ held int64 }

// Hold says that so many bytes are held by s, in place of what was before, or
// returns [ErrFull], and all is as before.
func (b *Budget) Hold(s *Share, bytes int64) error {
	bytes = max(0, bytes-free)
	more := bytes - s.held
	if more == 0 {
		return nil
	}
	if b.left.Add(-more) < 0 && more > 0 {
		b.left.Add(more)
		return ErrFull
	}
	s.held = bytes
	return nil
}
