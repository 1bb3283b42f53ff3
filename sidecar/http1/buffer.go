package http1

import (
	"sync"
	"sync/atomic"
)

// Buffers come in three sizes. The small one holds nearly every header; the
// large one is worth its memory while a body flows, and holds a header of the
// default headerBytes; the huge one saves calls where few bodies flow, which
// would push each other out of the processor's cache if they were many. A buffer
// is held only while there are bytes in it, so that memory follows the messages
// under way, not the connections.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
	hugeBuffer  = 64 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
	hugeBuffers  = sync.Pool{New: func() any { return new([hugeBuffer]byte) }}
)

// few is how many bodies may flow with huge buffers.
const few = 2

// flowing counts the bodies that are copied.
var flowing atomic.Int32

// flow says that one more body is copied, until ebb is called, and returns the size
// of buffer that is worth its memory for that.
func flow() (size int) {
	if flowing.Add(1) > few {
		return largeBuffer
	}
	return hugeBuffer
}

func ebb() { flowing.Add(-1) }

// getBuffer returns a buffer of at least n bytes, with anything in it.
func getBuffer(n int) []byte {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:]
	case n <= largeBuffer:
		return largeBuffers.Get().(*[largeBuffer]byte)[:]
	case n <= hugeBuffer:
		return hugeBuffers.Get().(*[hugeBuffer]byte)[:]
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
	case hugeBuffer:
		hugeBuffers.Put((*[hugeBuffer]byte)(b[:hugeBuffer]))
	}
}

// buffers are those above.
type buffers struct{}

func (buffers) Get(n int) []byte { return getBuffer(n) }

func (buffers) Put(b []byte) { putBuffer(b) }
