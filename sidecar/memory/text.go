package memory

import "sync"

// kept bounds, in bytes, a text whose memory is kept for the next, and one that
// is short to [Turns].
const kept = 64 << 10

var texts = sync.Pool{New: func() any { return new([]byte) }}

// Text returns memory to read a text into, from its first byte; [Release] takes it
// back.
func Text() *[]byte {
	m := texts.Get().(*[]byte)
	*m = (*m)[:0]
	return m
}

// Release takes back memory of [Text], which text may have outgrown. Nobody may use
// either any more.
func Release(m *[]byte, text []byte) {
	if cap(text) <= kept {
		*m = text[:0]
		texts.Put(m)
	}
}

// Turns has long texts parsed one after another: for as long as that takes, a
// document may be many times its text. The zero Turns is ready. It is safe for
// concurrent use.
type Turns struct{ mu sync.Mutex }

// Take waits for the turn of a text of this length; short ones do not wait. The
// function that is returned ends it.
func (t *Turns) Take(length int) (done func()) {
	if length <= kept {
		return func() {}
	}
	t.mu.Lock()
	return t.mu.Unlock
}
