package mask

import "slices"

// Stream masks a text that arrives in parts. It holds back no more than what
// may be the beginning of a rendering. The zero Stream masks nothing; it is
// meant to be used again, by one goroutine.
type Stream struct {
	begun  *search // of the Mask that it was started with
	newest *search // of those that have taken its place
	mask   Mask    // of all of these
	held   []byte
	passed []byte // by the last call, where something was held before it
	masked int    // bytes of what is held that are to be masked, whatever follows
}

// Start begins another text. With the same Mask again, as for each message of many,
// what it has learnt of those that follow is kept.
func (s *Stream) Start(m Mask) {
	if s.held, s.masked = s.held[:0], 0; m.of != s.begun {
		s.begun, s.newest, s.mask = m.of, m.of, m
	}
}

// Pass takes the next part of the text and returns what of the text can go on.
// That is part, or its beginning, where nothing was held back; it is good until
// the next call. part is changed.
func (s *Stream) Pass(part []byte) []byte {
	if s.mask.of == nil {
		return part
	}
	if len(s.held) == 0 {
		n := s.run(part, false)
		s.held = append(s.held, part[n:]...)
		return part[:n]
	}
	if len(part) == 0 {
		return nil
	}
	text := append(s.held, part...)
	n := s.run(text, false)
	if n == 0 {
		s.held = text
		return nil
	}
	s.passed, s.held = text, append(s.passed[:0], text[n:]...)
	return text[:n]
}

// Rest returns what was held back at the end of the text.
func (s *Stream) Rest() []byte {
	if len(s.held) == 0 {
		return nil
	}
	text := s.held
	s.run(text, true)
	s.held = s.held[:0]
	return text
}

// run masks text, which begins with what was held, and returns how much of it
// is done with.
func (s *Stream) run(text []byte, last bool) int {
	s.follow()
	scan := scan{search: s.mask.of, text: text, last: last, to: s.masked}
	n := scan.run()
	s.masked = max(0, scan.to-n)
	return n
}

// follow takes in what has taken the place of the newest since, all at once: that
// costs more than a rotation does, which must not find it still at work. What came
// before and comes again is taken in once.
func (s *Stream) follow() {
	next := s.newest.next.Load()
	if next == nil {
		return
	}
	all := slices.Clone(s.mask.of.patterns)
	for ; next != nil; next = next.next.Load() {
		s.newest = next
		for _, p := range next.patterns[:next.own] {
			if !slices.ContainsFunc(all, p.equal) {
				all = append(all, p)
			}
		}
	}
	if len(all) > len(s.mask.of.patterns) {
		s.mask = Mask{searchFor(all, nil)}
	}
}
