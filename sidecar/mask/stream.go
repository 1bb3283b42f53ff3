package mask

// Stream masks a text that arrives in parts. It holds back no more than what
// may be the beginning of a rendering. The zero Stream masks nothing; it is
// meant to be used again, by one goroutine.
type Stream struct {
	mask   Mask
	held   []byte
	passed []byte // by the last call, where something was held before it
	masked int    // bytes of what is held that are to be masked, whatever follows
}

// Start begins another text.
func (s *Stream) Start(m Mask) { s.mask, s.held, s.masked = m, s.held[:0], 0 }

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
	scan := scan{search: s.mask.of, text: text, last: last, to: s.masked}
	n := scan.run()
	s.masked = max(0, scan.to-n)
	return n
}
