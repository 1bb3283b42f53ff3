package http1

import (
	"bytes"
	"errors"
	"io"
	"math"
)

// Kind says how a body ends.
type Kind uint8

// The kinds of framing. The zero value is a message without a body.
const (
	NoBody Kind = iota
	Sized       // after Length bytes
	Chunked
	UntilClose // with the connection; answers alone
)

// Framing is how a body is delimited. The zero value is no body.
type Framing struct {
	Kind   Kind
	Length int64 // of Sized, at least 0; else 0
}

// Empty tells whether no byte of a body can follow.
func (f Framing) Empty() bool { return f.Kind == NoBody || f.Kind == Sized && f.Length == 0 }

// valid tells whether f is one of the framings that there are.
func (f Framing) valid() bool {
	return f.Kind <= UntilClose && f.Length >= 0 && (f.Length == 0 || f.Kind == Sized)
}

// Body is the body of the message whose header was read last. It reads from
// the Reader's connection and is good until the next header is read.
//
// A failed read is an [*Error]: 400 for a request that breaks off or has
// malformed chunks, 408 for one that is too slow, 502 and 504 for answers.
type Body struct {
	r     *Reader
	state bodyState
	left  int64 // Sized: of the body. chunkData: of the chunk
	room  int64 // for chunks that are still to come
	limit int   // of what trailers may still have, in bytes
	err   error
}

type bodyState uint8

const (
	bodyDone bodyState = iota
	sizedData
	closeData
	chunkSize
	chunkData
	chunkEnd // the CR LF behind the data
	trailers
)

func (b *Body) start(f Framing) {
	*b = Body{r: b.r, left: f.Length, room: math.MaxInt64, limit: b.r.limit}
	switch {
	case f.Empty():
		b.finish()
	case f.Kind == Sized:
		b.state = sizedData
	case f.Kind == Chunked:
		b.state = chunkSize
	case f.Kind == UntilClose:
		b.state = closeData
	}
}

func (b *Body) finish() {
	b.state, b.err = bodyDone, io.EOF
	b.r.release()
}

func (b *Body) done() bool { return b.state == bodyDone }

// Body returns the body of the last message; it is empty where there is none.
func (r *Reader) Body() *Body { return &r.body }

// Read reads what has arrived, or waits for it. It returns io.EOF, perhaps with
// the last bytes, once the body is complete and no sooner.
func (b *Body) Read(p []byte) (int, error) {
	for {
		n, err := b.ReadBuffered(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		b.fill()
	}
}

// ReadBuffered is a Read that does not wait: it returns 0 and no error where
// nothing more has arrived. A relay then flushes what it holds and waits in
// Read, so that no byte is held back by one that is still to come.
func (b *Body) ReadBuffered(p []byte) (int, error) {
	n := 0
	for n < len(p) && b.err == nil {
		m, more := b.step(p[n:])
		n += m
		if more {
			return n, nil
		}
	}
	return n, b.err
}

// Limit bounds what is still to be read of the body. A body that states a
// greater length, at its start or in its next chunk, is refused with 413 before
// a byte beyond the limit is handed out. An answer that ends with the
// connection is not bounded.
func (b *Body) Limit(n int64) {
	begun := int64(0)
	if b.state == sizedData || b.state == chunkData {
		begun = b.left
	}
	if begun > n {
		b.fail(errBodyBig)
	}
	b.room = n - begun
}

// Discard reads the rest of the body and drops it, so that the next message
// can be read. A rest of more than limit bytes is refused with 413.
func (b *Body) Discard(limit int64) error {
	var scratch [1 << 10]byte
	if b.state == sizedData && b.left > limit {
		b.fail(errBodyBig)
	}
	for b.err == nil {
		n, _ := b.Read(scratch[:])
		if limit -= int64(n); limit < 0 {
			b.fail(errBodyBig)
		}
	}
	if !errors.Is(b.err, io.EOF) {
		return b.err
	}
	return nil
}

// fill waits for more of the body.
func (b *Body) fill() {
	err := b.r.fill()
	switch {
	case err == nil:
	case b.state == closeData && errors.Is(err, io.EOF):
		b.finish()
	default:
		b.fail(failed(err, errBodySlow, errBodyCut))
	}
}

// fail ends the body and the reading of messages: nobody knows what follows.
func (b *Body) fail(e *Error) { b.err = b.r.refuse(e) }

// step takes what is buffered, as far as it is of one kind, and returns the
// number of bytes put into p, and whether more has to arrive first.
func (b *Body) step(p []byte) (n int, more bool) {
	unread := b.r.buf[b.r.r:b.r.w]
	if len(unread) == 0 {
		return 0, true
	}
	used := 0
	var err *Error
	switch b.state {
	case sizedData, chunkData:
		used = copy(p[:min(int64(len(p)), b.left)], unread)
		n = used
		b.advance(int64(used))
	case closeData:
		used = copy(p, unread)
		n = used
	case chunkEnd:
		used, err = b.readChunkEnd(unread)
	case chunkSize:
		used, err = b.readChunkSize(unread)
	case trailers:
		used, err = b.readTrailer(unread)
	}
	b.r.r += used
	switch {
	case err != nil:
		b.fail(err)
	case b.state == bodyDone:
		b.finish()
	}
	return n, used == 0 && err == nil
}

// advance counts n bytes of data.
func (b *Body) advance(n int64) {
	b.left -= n
	switch {
	case b.left > 0:
	case b.state == sizedData:
		b.state = bodyDone
	default:
		b.state = chunkEnd
	}
}

// The line readers below return how much of unread the line takes, or 0 as
// long as it is not complete.

func (b *Body) readChunkEnd(unread []byte) (int, *Error) {
	if !bytes.HasPrefix(unread, crlf[:min(2, len(unread))]) {
		return 0, errChunkEnd
	}
	if len(unread) < 2 {
		return 0, nil
	}
	b.state = chunkSize
	return 2, nil
}

// readChunkSize reads a size line. Extensions are refused rather than dropped:
// no client of ours sends them, and they are where readers disagree about the
// end of the line.
func (b *Body) readChunkSize(unread []byte) (int, *Error) {
	size, digits, ok := leadingHex(unread)
	end := unread[digits:]
	if !ok || len(end) > 0 && (digits == 0 || !bytes.HasPrefix(end, crlf[:min(2, len(end))])) {
		return 0, errChunkSize
	}
	if len(end) < 2 {
		return 0, nil
	}
	if size > b.room {
		return 0, errBodyBig
	}
	b.room -= size
	b.left, b.state = size, chunkData
	if size == 0 {
		b.state = trailers
	}
	return digits + 2, nil
}

// leadingHex reads the hexadecimal digits that text begins with: at most 16,
// and no number that does not fit.
func leadingHex(text []byte) (n int64, digits int, ok bool) {
	for digits < len(text) && hexDigit(text[digits]) < 16 {
		if digits == 16 || n > math.MaxInt64>>4 {
			return 0, digits, false
		}
		n = n<<4 | int64(hexDigit(text[digits]))
		digits++
	}
	return n, digits, true
}

// readTrailer reads one line behind the last chunk. Trailers are held to the
// rules for fields and dropped: what was judged by the header is not changed
// behind the body.
func (b *Body) readTrailer(unread []byte) (int, *Error) {
	i := bytes.IndexByte(unread, '\n')
	switch {
	case i < 0 && len(unread) < b.limit:
		return 0, nil
	case i < 0 || i >= b.limit:
		return 0, errTrailerBig
	}
	b.limit -= i + 1
	if err := checkLine(unread[:i], unread[:i]); err != nil {
		return 0, errTrailer
	}
	if i == 1 {
		b.state = bodyDone
	} else if name, _, ok := bytes.Cut(unread[:i], []byte(":")); !ok || !only(name, tokenByte) {
		return 0, errTrailer
	}
	return i + 1, nil
}
