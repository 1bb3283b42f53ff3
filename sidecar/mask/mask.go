package mask

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync/atomic"
)

// Least is the length of the shortest secret that is masked, in bytes.
const Least = 4

// ErrShort is a secret that is too short to be masked.
var ErrShort = errors.New("it is too short to be masked in answers: a secret has at least 4 bytes")

// Mask finds the renderings of secrets, and of those that have taken their place
// since: see [Mask.Follow]. It is safe for concurrent use, and prints as a
// placeholder. The zero Mask finds nothing.
type Mask struct{ of *search }

// search is immutable but for next.
type search struct {
	patterns []pattern
	own      int                    // of patterns, the first: of its own secrets
	next     atomic.Pointer[search] // what has taken its place; nil: nothing has
	index    index
	// window is how many bytes every rendering has at least, of those that
	// are indexed.
	window int
}

// New returns the Mask of these secrets. Each of them is masked by itself. The
// error is [ErrShort].
func New(secrets ...string) (Mask, error) {
	var all []pattern
	for _, secret := range secrets {
		if len(secret) < Least {
			return Mask{}, ErrShort
		}
		all = append(all, patternsOf(secret)...)
	}
	return Mask{searchFor(all, nil)}, nil
}

// searchFor looks for its own patterns and for more; nil: there are none.
func searchFor(own, more []pattern) *search {
	if len(own)+len(more) == 0 {
		return nil
	}
	s := &search{window: math.MaxInt, patterns: slices.Concat(own, more), own: len(own)}
	for i := range s.patterns {
		p := &s.patterns[i]
		s.window = min(s.window, window, len(p.units))
		s.index.add(p)
	}
	return s
}

// Follow has m take the place of the Mask before. The result finds the secrets of
// both, but not those that before had followed in turn: an upstream may have kept
// what it was shown last. From now on before, and each [Stream] that was started
// with it, finds those of m, too: what has begun goes on while others send them.
// One caller at a time.
func (m Mask) Follow(before Mask) Mask {
	if before.of == nil {
		return m
	}
	var own []pattern
	if m.of != nil {
		own = m.of.patterns[:m.of.own]
	}
	both := searchFor(own, before.of.patterns[:before.of.own])
	last := before.of
	for next := last.next.Load(); next != nil; next = last.next.Load() {
		last = next
	}
	last.next.Store(both)
	return Mask{both}
}

// Format prints a placeholder for every verb and flag.
func (m Mask) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// String returns s with its secrets masked: s itself where there are none.
func (m Mask) String(s string) string {
	for of := m.of; of != nil; of = of.next.Load() {
		if mayHold(of, s) {
			s = of.mask(s)
		}
	}
	return s
}

func (s *search) mask(text string) string {
	masked := []byte(text)
	scan := scan{search: s, text: masked, last: true}
	if scan.run(); !scan.found {
		return text
	}
	return string(masked)
}

// mayHold reports whether a rendering may begin somewhere in text.
func mayHold(s *search, text string) bool {
	for at := 0; at+s.window <= len(text); at += s.window - 1 {
		for i := at + s.window - 2; i >= at && s.index.within.has(text[i], text[i+1]); i-- {
			if s.index.start.has(text[i], text[i+1]) {
				return true
			}
		}
	}
	return false
}

// scan is one pass over a text.
type scan struct {
	*search
	text []byte
	last bool // nothing follows text
	// from and to are what is to be masked of it and still has to be read.
	from, to int
	found    bool
}

// run masks text and returns how much of it is done with. What follows is the
// beginning of a rendering, perhaps.
func (s *scan) run() int {
	at := 0
	for ; at+s.window <= len(s.text); at += s.window - 1 {
		probe := at + s.window - 2
		if !s.index.within.has(s.text[probe], s.text[probe+1]) {
			continue
		}
		// Of a rendering that began earlier, all pairs up to here would fit.
		first := probe
		for first > at && s.index.within.has(s.text[first-1], s.text[first]) {
			first--
		}
		if i := s.try(first, probe+1); i <= probe {
			return i
		}
	}
	return s.try(at, len(s.text))
}

// try looks for renderings that begin in text[at:end]. It returns where one
// begins of which the end is not there, or end. The text before is masked.
func (s *scan) try(at, end int) int {
	for ; at < end; at++ {
		if !s.begins(at) {
			continue
		}
		if s.walk(at) {
			break
		}
	}
	s.settle(at)
	return at
}

// begins reports whether a rendering may begin at this place.
func (s *scan) begins(at int) bool {
	if at+1 < len(s.text) {
		return s.index.start.has(s.text[at], s.text[at+1])
	}
	return !s.last && s.index.first[s.text[at]]
}

// walk looks for renderings that begin at this place, and reports whether that
// depends on what follows.
func (s *scan) walk(at int) (open bool) {
	for i := range s.patterns {
		p := &s.patterns[i]
		n, more := p.walk(s.text[at:])
		open = open || more && !s.last
		if n == 0 {
			continue
		}
		s.found = true
		if s.to <= at {
			s.settle(at)
			s.from = at
		}
		if p.edge && at > 0 && sixBits[s.text[at-1]] != noValue {
			s.text[at-1] = asterisk // nobody reads it any more
		}
		s.to = max(s.to, at+n)
	}
	return open
}

const asterisk = '*'

// settle masks what is to be masked before this place, where nothing is read
// any more.
func (s *scan) settle(at int) {
	for ; s.from < min(s.to, at); s.from++ {
		s.text[s.from] = asterisk
	}
}
