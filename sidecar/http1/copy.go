package http1

import (
	"errors"
	"io"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// A Filter sees the bytes of a body on their way.
type Filter interface {
	// Pass takes the next of them, which it may change, and returns what goes
	// on, of these and of what it held back before. That is a beginning of part
	// itself, or memory of the filter's own that is good until the next call.
	Pass(part []byte) []byte
	// Rest returns what is still held back when the body has ended.
	Rest() []byte
}

// CopyBody copies b to its end, as one chunk for each read where there are
// chunks, and sends what it has before it waits for more. f sees every byte;
// nil lets them pass. An [*Error] is b's, any other error is of writing. The
// caller calls End.
func (w *Writer) CopyBody(b *Body, f Filter) (int64, error) {
	var total int64
	if b.long() {
		w.most = flow()
		defer w.ebb()
	}
	for w.step(inBody, inBody) {
		part := w.space(b.r.Buffered())
		n, err := b.ReadBuffered(part)
		if part = part[:n]; n == 0 && err == nil {
			part = w.fetch(b)
		}
		w.pass(part, f)
		total += int64(len(part))
		switch {
		case errors.Is(err, io.EOF):
			if f != nil {
				_, _ = w.Write(f.Rest()) // the error is kept
			}
			return total, w.err
		case err != nil:
			return total, err
		}
	}
	return total, w.err
}

// fetch brings more of b into space or b's buffer, and returns what is in space.
// Before it waits it sends what there is.
func (w *Writer) fetch(b *Body) (part []byte) {
	if !w.full() {
		part = b.more((*room)(w))
	}
	if len(part) == 0 && w.Flush() == nil {
		part = b.await((*room)(w))
	}
	return part
}

// room is where a body may be read into, behind what is not sent yet.
type room Writer

func (r *room) Get(n int) []byte {
	space := (*Writer)(r).space(n)
	return space[:min(n, len(space))]
}

func (r *room) Put([]byte) { (*Writer)(r).release() }

// pass adds what f lets pass of part, which was put into space.
func (w *Writer) pass(part []byte, f Filter) {
	passed := part
	if f != nil && len(part) > 0 {
		passed = f.Pass(part)
	}
	switch {
	case len(passed) == 0:
	case &passed[0] == &part[0]:
		w.add(len(passed))
	default:
		_, _ = w.Write(passed) // the error is kept
	}
}

func (w *Writer) ebb() {
	w.most = largeBuffer
	ebb()
}

// long tells whether b is worth large reads, as far as is known.
func (b *Body) long() bool { return b.state != sizedData || b.left >= straight }

// straight is how much of a body has to be left for it to be read past the buffer.
const straight = largeBuffer

// more returns what has come of the body behind what was buffered, in room: where
// the last read left something behind. It waits for nothing.
func (b *Body) more(room *room) (part []byte) {
	if !b.r.large || !b.inData() {
		return nil
	}
	part = b.r.fillNow(int(min(b.left, int64(room.most))), room)
	b.took(len(part))
	return part
}

// await waits for more of the body, where nothing is buffered. Of a long one it
// reads straight into room, and returns what came; else that is buffered.
func (b *Body) await(room *room) (part []byte) {
	if b.left >= straight && b.inData() {
		part = b.r.fillStraight(int(min(b.left, int64(room.most))), room)
		b.took(len(part))
	}
	if len(part) == 0 {
		b.fill() // of a failed read it tells why
	}
	return part
}

// took counts n bytes of data that were read past the buffer.
func (b *Body) took(n int) {
	if b.advance(int64(n)); b.state == bodyDone {
		b.finish()
	}
}

// inData tells whether the next bytes are of the body, of which it is known how
// many are.
func (b *Body) inData() bool {
	return b.r.err == nil && (b.state == sizedData || b.state == chunkData)
}

// fillStraight waits until there are bytes, nothing being buffered, and reads up to
// size of them straight into memory of room's.
func (r *Reader) fillStraight(size int, room socket.Buffers) (part []byte) {
	r.release()
	var n int
	if r.sock != nil {
		part, n, r.err = r.sock.Fill(size, room)
	} else {
		part = room.Get(size)
		n = r.readInto(part)
	}
	r.count(n, len(part))
	return part[:n]
}

// fillNow is fillStraight for what has come already: it waits for nothing.
func (r *Reader) fillNow(size int, room socket.Buffers) (part []byte) {
	switch {
	case r.err != nil:
	case r.sock != nil:
		r.sock.Hurry()
		part = r.fillStraight(size, room)
		r.sock.Relax()
	case r.below != nil:
		r.below.Hurry()
		part = r.fillStraight(size, room)
		r.below.Relax()
	}
	r.pardon()
	return part
}
