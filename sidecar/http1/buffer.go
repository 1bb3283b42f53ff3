package http1

import "sync"

// Buffers come in two sizes. The small one holds nearly every header; the
// large one is worth its memory while a body flows, and holds a header of the
// default headerBytes. A buffer is held only while there are bytes in it, so
// that memory follows the messages under way, not the connections.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer returns a buffer of at least n bytes, with anything in it.
func getBuffer(n int) []byte {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:]
	case n <= largeBuffer:
		return largeBuffers.Get().(*[largeBuffer]byte)[:]
	}
	return make([]byte, n)
}

// putBuffer takes back a buffer of getBuffer, from its first byte. The caller
// must not touch it again: the next owner serves another connection.
func putBuffer(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}

// buffers are those above.
type buffers struct{}

func (buffers) Get(n int) []byte { return getBuffer(n) }

func (buffers) Put(b []byte) { putBuffer(b) }
