package http1

import (
	"errors"
	"io"
	"os"
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

// fill waits until at least one byte more is buffered.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	var n, size int
	switch empty := r.r == r.w; {
	case empty && r.sock != nil:
		r.release()
		r.buf, n, r.err = r.sock.Fill(r.bufferSize(), buffers{})
		r.r, r.w, size = 0, n, len(r.buf)
	case empty && r.below != nil:
		n, size = r.readSecured()
	default:
		n, size = r.read()
	}
	r.count(n, size)
	if n == 0 {
		return r.err
	}
	return nil
}

// count takes note of a read. After one that left no room, more is to be expected.
func (r *Reader) count(n, size int) {
	r.large = n > 0 && n == size
	r.came += int64(n)
}

// readSecured waits for a byte out of TLS without a buffer for it, and then takes one
// for that and for what has come behind it.
func (r *Reader) readSecured() (n, size int) {
	r.release()
	if r.readInto(r.probe[:]) == 0 {
		return 0, len(r.probe)
	}
	r.buf = getBuffer(r.bufferSize())
	r.r, r.w = 0, copy(r.buf, r.probe[:])
	r.below.Hurry()
	r.w += r.readInto(r.buf[r.w:])
	r.below.Relax()
	r.pardon()
	return r.w, len(r.buf)
}

// pardon forgets that a read which did not wait found nothing more: one that waits
// tells whether that was all.
func (r *Reader) pardon() {
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = nil
	}
}

// read reads from src behind what is buffered.
func (r *Reader) read() (n, size int) {
	r.makeRoom()
	n = r.readInto(r.buf[r.w:])
	size = len(r.buf) - r.w
	r.w += n
	return n, size
}

// readInto reads from src, past the buffer.
func (r *Reader) readInto(p []byte) (n int) {
	r.sock.Park(true)
	defer r.sock.Park(false)
	for range 100 {
		n, r.err = r.src.Read(p)
		if n > 0 || r.err != nil {
			return n
		}
	}
	r.err = io.ErrNoProgress
	return 0
}

// makeRoom leaves at least one free byte behind the unread ones.
func (r *Reader) makeRoom() {
	switch unread := r.buf[r.r:r.w]; {
	case len(unread) == 0:
		r.release()
		r.buf = getBuffer(r.bufferSize())
	case r.w < len(r.buf):
		return
	case r.r > 0:
		r.w = copy(r.buf, unread)
		r.r = 0
	default: // of a header or trailer, whose limit bounds this
		bigger := getBuffer(max(2*len(r.buf), largeBuffer))
		r.w = copy(bigger, unread)
		putBuffer(r.buf)
		r.buf = bigger
	}
}

func (r *Reader) bufferSize() int {
	if r.large {
		return largeBuffer
	}
	return smallBuffer
}

// usualLines are as many lines as the memory is kept for between messages.
const usualLines = 64

// release gives the buffer back where nothing is in it, and what an unusual message
// took besides.
func (r *Reader) release() {
	if r.r == r.w && r.buf != nil {
		putBuffer(r.buf)
		r.buf, r.r, r.w = nil, 0, 0
	}
	if cap(r.lines) > usualLines {
		r.lines = nil
	}
}
