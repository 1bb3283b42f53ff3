package http1

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// maxFields bounds the header fields of one message.
const maxFields = 256

// Reader reads messages from one side of a connection: requests with
// [Reader.ReadRequest], or answers with [Reader.ReadResponse]. Messages behind
// the one being read stay where they are until it is their turn.
//
// A Reader holds a buffer only while there are bytes to hold, where the
// connection is a socket. It starts no goroutine, sets no deadline and is not
// safe for concurrent use. The zero value is of no use: see [NewReader].
type Reader struct {
	src   io.Reader
	sock  *socket.Socket // waits without a buffer; nil where src is no socket
	under *socket.Socket // sees what lies unread below TLS; nil where it cannot
	below *socket.Conn   // what TLS reads from; nil where that is something else
	asker asker          // the one of both that is there; nil: neither is
	limit int

	buf    []byte // nil while nothing is buffered
	r, w   int    // buf[r:w] is unread
	err    error  // of src; met once the buffer is empty
	bad    error  // a refusal: no message is read any more
	large  bool   // the last read suggests a large buffer for the next
	came   int64  // bytes, since a message was waited for
	answer bool   // reading answers: refusals are the upstream's fault
	lines  []int32
	body   Body
	probe  [1]byte

	// The first line of the message, read before the rest has arrived.
	request requestLine
	status  statusLine
}

// NewReader returns a Reader of the messages that arrive on src, normally a
// net.Conn. limit bounds, in bytes, each header with its first line, and the
// trailers of each chunked body; with 0 or less everything is too long.
func NewReader(src io.Reader, limit int) *Reader {
	r := &Reader{src: src, sock: socket.Of(src), limit: max(0, min(limit, math.MaxInt32))}
	r.under = r.sock
	if c, ok := src.(interface{ NetConn() net.Conn }); ok {
		r.under = socket.Of(c.NetConn())
		r.below, _ = c.NetConn().(*socket.Conn)
	}
	switch {
	case r.sock != nil:
		r.asker = r.sock
	case r.below != nil:
		r.asker = r.below
	}
	r.body = Body{r: r, err: io.EOF}
	return r
}

// Buffered returns how many bytes have arrived and not been read.
func (r *Reader) Buffered() int { return r.w - r.r }

// Wait blocks until a byte of the next message has arrived. It lets the caller
// tell the patience with an idle connection from that with a slow message: set
// the one deadline before it, the other after. It returns io.EOF where the
// peer closed the connection, else the error of the failed read.
func (r *Reader) Wait() error {
	if r.Buffered() > 0 {
		return nil
	}
	// Most answers fill more than a small buffer, and most requests where the one
	// before did.
	r.large, r.came = r.answer || r.came > smallBuffer, 0
	return r.fill()
}

// HasPrefix tells whether the unread bytes begin with prefix, and takes
// nothing away. It waits only while the answer is open, so that a listener
// can tell the preface of HTTP/2 from a request. prefix must not be longer
// than the limit.
func (r *Reader) HasPrefix(prefix string) (bool, error) {
	for {
		have := r.buf[r.r:r.w]
		if len(have) >= len(prefix) {
			return string(have[:len(prefix)]) == prefix, nil
		}
		if string(have) != prefix[:len(have)] {
			return false, nil
		}
		if err := r.fill(); err != nil {
			return false, err
		}
	}
}

// Gone tells whether the peer has closed its side of the connection, and has
// sent nothing before that is unread. Where there is no socket it cannot tell,
// and says no. Unlike all else it may be asked while the Reader is in use.
func (r *Reader) Gone() bool { return r.sock != nil && r.sock.Gone() }

// Unread tells whether bytes have come on the socket that were not taken from it
// yet, or were and more has not been asked for since: the peer has done its part.
// Where there is no socket it cannot tell, and says no; below TLS it tells of bytes
// alone that were not taken. Like Gone it may be asked while the Reader is in use.
func (r *Reader) Unread() bool {
	if r.sock != nil && !r.sock.Waits() {
		return true
	}
	return r.under != nil && r.under.Unread()
}

// Reusable tells whether another request may be sent on an idle connection to
// an upstream: the last answer was read to its end, the peer has not closed,
// and it has sent nothing unasked. Only a connection with a socket below is
// ever reusable. An answer that arrives before its request would be given to
// somebody else's question.
//
// It is for the goroutine that reads. Where TLS does not read from a
// [socket.Conn] it sets the read deadline of the connection, and leaves none.
func (r *Reader) Reusable() bool {
	if !r.between() {
		return false
	}
	if r.under == nil || !r.quiet() {
		r.bad = errNotIdle // and a byte may be lost
		return false
	}
	return true
}

// between tells whether the last message was read to its end, and nothing is known
// of what follows.
func (r *Reader) between() bool {
	return r.bad == nil && r.err == nil && r.body.done() && r.Buffered() == 0
}

// Ask sends a request with send and waits for its answer, which is then to be read.
// A connection that is not [Reader.Reusable] is not asked: sent is false then, and
// no answer is read from it any more. That is found out where the answer is awaited
// anyway, so that it costs less than to call Reusable first.
func (r *Reader) Ask(send func() error) (sent bool, err error) {
	if r.asker == nil {
		if !r.Reusable() {
			return false, nil
		}
		return true, send()
	}
	if !r.body.done() {
		return false, errBodyPending
	}
	if r.between() {
		r.answer = true
		r.asker.Ask(send)
		_ = r.Wait() // reading the answer tells of it
		sent, err = r.asker.Asked()
	}
	if !sent && r.bad == nil {
		r.bad = errNotIdle
	}
	return sent, err
}

// asker is a socket that sends something before it waits for what comes.
type asker interface {
	Ask(send func() error)
	Asked() (called bool, err error)
}

// quiet tells whether the peer has sent nothing that is unread. What it sent
// unasked may have come with the last answer, and TLS holds it then.
func (r *Reader) quiet() bool {
	switch {
	case r.sock != nil:
		return r.sock.Quiet()
	case r.below != nil:
		whole := r.below.Whole()
		r.below.Hurry()
		nothing := r.readsNothing()
		return !r.below.Relax() && nothing && whole
	}
	return r.under.Quiet() && r.drained()
}

// drained tells whether nothing lies in the layer above the socket.
func (r *Reader) drained() bool {
	c, ok := r.src.(interface{ SetReadDeadline(t time.Time) error })
	return ok && c.SetReadDeadline(longAgo) == nil && r.readsNothing() && c.SetReadDeadline(time.Time{}) == nil
}

// readsNothing tells whether a read that does not wait finds nothing.
func (r *Reader) readsNothing() bool {
	n, err := r.src.Read(r.probe[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// longAgo is a deadline that lets no read wait.
var longAgo = time.Unix(1, 0)

// Tunnel gives up reading messages: the Body returned carries every byte that
// follows, as after 101 or a preface of HTTP/2.
func (r *Reader) Tunnel() *Body {
	r.bad = errTunnel
	r.body.start(Framing{Kind: UntilClose})
	return &r.body
}

// Leave gives up reading: others read what follows, such as TLS does below another
// Reader. From then on Unread tells of bytes alone that nobody has taken.
func (r *Reader) Leave() {
	r.bad = errTunnel
	r.sock.Park(true)
}

// refuse remembers e, so that nothing behind the refused bytes is ever taken
// for a message.
func (r *Reader) refuse(e *Error) error {
	if r.answer {
		e = e.ofAnswer()
	}
	r.bad = e
	return e
}

// begin checks that the connection is where a message may start, and waits for
// its first byte.
func (r *Reader) begin(answer bool) error {
	if r.bad != nil {
		return r.bad
	}
	if !r.body.done() {
		return errBodyPending
	}
	r.answer = answer
	return r.Wait()
}

// head returns the text of the next header, without the empty line at its end,
// and leaves the offsets of its lines in r.lines. first reads the first line
// as soon as it is there. The text lies in into.
func (r *Reader) head(limit int, first lineReader, into *headText) (string, *Error) {
	s := scan{limit: limit, first: first}
	r.lines = r.lines[:0]
	for {
		n, err := r.scan(&s)
		if err != nil {
			return "", err
		}
		if n > 0 {
			text := into.hold(r.buf[r.r : r.r+n])
			r.r += n
			return text, nil
		}
		if err := r.fill(); err != nil {
			return "", failed(err, errHeadSlow, errHeadCut)
		}
	}
}

// lineReader reads the first line of a message.
type lineReader interface{ readLine(line []byte) *Error }

// scan is how far a header has been looked at, counted from its first byte.
// Whatever was found wrong is reported in the order of the bytes, however
// they are cut into reads.
type scan struct {
	first   lineReader
	limit   int
	line    int // start of the line that is not complete yet
	checked int // no control character before this
}

// scan looks at what has newly arrived. It returns the length of the header,
// or 0 as long as its end has not come.
func (r *Reader) scan(s *scan) (int, *Error) {
	b := r.buf[r.r:r.w]
	b = b[:min(len(b), s.limit)]
	for {
		i := bytes.IndexByte(b[s.checked:], '\n')
		if i < 0 {
			break
		}
		end := s.checked + i
		if err := checkLine(b[s.checked:end], b[s.line:end]); err != nil {
			return 0, err
		}
		if end == s.line+1 && len(r.lines) > 0 {
			r.lines = append(r.lines, int32(s.line))
			return end + 1, nil
		}
		if err := r.addLine(s, b[s.line:end-1]); err != nil {
			return 0, err
		}
		s.line, s.checked = end+1, end+1
	}
	return 0, r.checkRest(s, b)
}

// checkRest checks the beginning of a line that is not complete yet.
func (r *Reader) checkRest(s *scan, b []byte) *Error {
	rest := withoutCR(b[s.checked:])
	s.checked += len(rest)
	switch {
	case hasControl(rest):
		return errControl
	case len(b) < s.limit:
		return nil
	case len(r.lines) == 0 && !r.answer:
		return errRequestLineLong
	}
	return errHeadLong
}

// addLine takes note of a complete line; the first is read at once, since a
// client of another protocol may send no more and wait.
func (r *Reader) addLine(s *scan, line []byte) *Error {
	if len(r.lines) > maxFields {
		return errFieldCount
	}
	if len(r.lines) == 0 {
		if len(line) == 0 {
			return errEmptyStart
		}
		if err := s.first.readLine(line); err != nil {
			return err
		}
	}
	r.lines = append(r.lines, int32(s.line))
	return nil
}

// checkLine checks a line without its LF; fresh is its end that has not been
// looked at yet.
func checkLine(fresh, line []byte) *Error {
	if hasControl(withoutCR(fresh)) {
		return errControl
	}
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return errLineEnd
	}
	return nil
}

func withoutCR(b []byte) []byte { return bytes.TrimSuffix(b, crlf[:1]) }

var crlf = []byte("\r\n")
