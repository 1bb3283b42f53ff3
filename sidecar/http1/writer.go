package http1

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// Refusals of the writer. They keep a mistake elsewhere from becoming a second
// message on the wire; nothing of the message has been sent.
var (
	errWriteStart   = errors.New("writing a header: method, target, host or status that cannot stand in a first line")
	errWriteField   = errors.New("writing a header: field with a control character, white space around its value, or a name that is no token")
	errWriteOwn     = errors.New("writing a header: field that the writer sets itself")
	errWriteFraming = errors.New("writing a header: framing that does not fit the message")
	errWriteOrder   = errors.New("writing a message: steps out of order")
	errWriteLength  = errors.New("writing a body: not as long as its header says")
)

// Writer writes messages to one side of a connection in one canonical
// spelling: requests as [Writer.Request], any [Writer.Field], [Writer.Body],
// the body with Write or [Writer.CopyBody], [Writer.End]; answers alike with
// [Writer.Response]. The header leaves together with what of the body is
// there, in one write.
//
// The first error sticks; Flush and End return it. A message that failed after
// a part of it was sent is never made to look complete: the caller closes the
// connection. A Writer holds a buffer only within a message, starts no
// goroutine and is not safe for concurrent use.
type Writer struct {
	dst    io.Writer
	buf    []byte // not sent yet
	most   int    // bytes that buf may take for a body
	err    error
	state  writerState
	answer bool
	method string // of the request, or of that which is answered
	status int
	chunks bool
	left   int64 // of a Sized body
}

type writerState uint8

const (
	betweenMessages writerState = iota
	inHeader
	inBody
)

// NewWriter returns a Writer to dst, normally a net.Conn.
func NewWriter(dst io.Writer) *Writer {
	if s := socket.Of(dst); s != nil {
		dst = s
	}
	return &Writer{dst: dst, most: largeBuffer}
}

// Request starts a request with its first line and Host.
func (w *Writer) Request(method string, target []byte, host string) {
	if !w.step(betweenMessages, inHeader) {
		return
	}
	w.answer, w.method = false, method
	if !only(method, tokenByte) || !only(target, targetByte) || !only(host, hostByte) {
		w.fail(errWriteStart)
		return
	}
	w.buf = append(w.buf, method...)
	w.buf = append(w.buf, ' ')
	w.buf = append(w.buf, target...)
	w.buf = append(w.buf, " HTTP/1.1\r\nHost: "...)
	w.buf = append(w.buf, host...)
	w.buf = append(w.buf, crlf...)
}

// Response starts the answer to a request with this method. status is 101, or
// 200 to 599; the reason phrase is the one of the RFCs, or empty.
func (w *Writer) Response(status int, method string) {
	if !w.step(betweenMessages, inHeader) {
		return
	}
	w.answer, w.method, w.status = true, method, status
	if status != 101 && status < 200 || status > 599 {
		w.fail(errWriteStart)
		return
	}
	w.statusLine(status)
}

func (w *Writer) statusLine(status int) {
	w.buf = append(w.buf, "HTTP/1.1 "...)
	w.buf = strconv.AppendInt(w.buf, int64(status), 10)
	w.buf = append(w.buf, ' ')
	if status < len(reasons) {
		w.buf = append(w.buf, reasons[status]...)
	}
	w.buf = append(w.buf, crlf...)
}

// Continue sends a 100 Continue, and sends it at once.
func (w *Writer) Continue() error {
	if w.step(betweenMessages, betweenMessages) {
		w.statusLine(100)
		w.buf = append(w.buf, crlf...)
	}
	return w.send()
}

// Field adds a header field. The fields of this hop, as [RequestHead] lists
// them, are refused: the writer sets them by what it does.
func (w *Writer) Field(name, value string) {
	if !w.step(inHeader, inHeader) {
		return
	}
	switch {
	case whichOwn(name) != notOwn:
		w.fail(errWriteOwn)
	case !only(name, tokenByte) || hasControl(value) || len(trimSpace(value)) != len(value):
		w.fail(errWriteField)
	default:
		w.field(name, value)
	}
}

func (w *Writer) field(name, value string) {
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, ": "...)
	w.buf = append(w.buf, value...)
	w.buf = append(w.buf, crlf...)
}

// ConnectionClose says in the header that no message follows on the connection.
func (w *Writer) ConnectionClose() {
	if w.step(inHeader, inHeader) {
		w.field("Connection", "close")
	}
}

// Upgrade asks for a protocol, or grants it in a 101.
func (w *Writer) Upgrade(protocol string) {
	switch {
	case !w.step(inHeader, inHeader):
	case !isProtocol(protocol):
		w.fail(errWriteField)
	default:
		w.field("Connection", "Upgrade")
		w.field("Upgrade", protocol)
	}
}

// Body ends the header and chooses the framing. For an answer, f may be what
// the upstream stated: UntilClose becomes Chunked, so that a body that breaks
// off can be told from one that ends, and where an answer has no body by its
// status or the method, none is expected.
func (w *Writer) Body(f Framing) {
	if !w.step(inHeader, inBody) {
		return
	}
	w.chunks, w.left = false, 0
	switch {
	case !f.valid():
		w.fail(errWriteFraming)
	case w.answer:
		w.answerFraming(f)
	default:
		w.requestFraming(f)
	}
	w.method = "" // it lies in the text of a request, which would be kept
	w.buf = append(w.buf, crlf...)
}

func (w *Writer) requestFraming(f Framing) {
	switch {
	case f.Kind == UntilClose:
		w.fail(errWriteFraming) // the answer could not come back
	case f.Kind == Chunked:
		w.chunked()
	case !f.Empty() || expectsBody(w.method):
		w.sized(f.Length)
	}
}

func (w *Writer) answerFraming(f Framing) {
	switch {
	case bodiless(w.status):
	case w.method == "HEAD":
		if f.Kind == Sized {
			w.sized(f.Length)
			w.left = 0
		}
	case f.Kind == Chunked, f.Kind == UntilClose:
		w.chunked()
	default:
		w.sized(f.Length)
	}
}

// expectsBody tells whether a request of this method states even that it has
// no body: some servers answer 411 otherwise.
func expectsBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

func (w *Writer) sized(n int64) {
	w.buf = append(w.buf, "Content-Length: "...)
	w.buf = strconv.AppendInt(w.buf, n, 10)
	w.buf = append(w.buf, crlf...)
	w.left = n
}

func (w *Writer) chunked() {
	w.field("Transfer-Encoding", "chunked")
	w.chunks = true
}

const (
	chunkHeader = len("ffff\r\n")      // the longest one; no space is larger
	chunkTail   = len("\r\n0\r\n\r\n") // the end of the chunk and of the body
	leastSpace  = 512
)

// Write adds bytes to the body. They are sent when a buffer is full, or with
// the next Flush or End.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && w.step(inBody, inBody) {
		m := copy(w.space(len(p)-n), p[n:])
		w.add(m)
		n += m
	}
	return n, w.err
}

// space returns room for up to n bytes of the body, which is where they go out
// from, and nil for none.
func (w *Writer) space(n int) []byte {
	if n == 0 {
		return nil
	}
	if w.full() {
		_ = w.send() // the error is kept, and seen by the caller's next step
	}
	need := min(len(w.buf)+chunkHeader+n+chunkTail, w.most)
	if cap(w.buf) < need {
		bigger := append(getBuffer(need)[:0], w.buf...)
		putBuffer(w.buf)
		w.buf = bigger
	}
	start := w.start()
	return w.buf[start:min(cap(w.buf)-chunkTail, start+0xffff)]
}

// full tells whether nothing more is worth being put behind what is not sent yet.
func (w *Writer) full() bool {
	return cap(w.buf) >= w.most && cap(w.buf)-len(w.buf) < leastSpace
}

// start is where the next bytes of the body are put.
func (w *Writer) start() int {
	if w.chunks {
		return len(w.buf) + chunkHeader
	}
	return len(w.buf)
}

// add takes the n bytes that were put into space, and frames them.
func (w *Writer) add(n int) {
	if n == 0 {
		return
	}
	start := w.start()
	switch {
	case w.chunks:
		data := w.buf[start : start+n]
		w.buf = strconv.AppendInt(w.buf, int64(n), 16)
		w.buf = append(w.buf, crlf...)
		if len(w.buf) < start { // its size has fewer digits than there is room for
			copy(w.buf[len(w.buf):start+n], data)
		}
		w.buf = append(w.buf[:len(w.buf)+n], crlf...)
	case int64(n) > w.left:
		w.fail(errWriteLength)
	default:
		w.buf = w.buf[:start+n]
		w.left -= int64(n)
	}
}

// Flush sends what there is of the body, and the header before it.
func (w *Writer) Flush() error {
	if w.state == inHeader {
		w.fail(errWriteOrder) // half a header is not sent
	}
	return w.send()
}

// End ends the message and sends what is left of it. It fails, and leaves the
// message visibly incomplete, where a body has another length than stated.
func (w *Writer) End() error {
	if w.step(inBody, betweenMessages) {
		if w.left != 0 {
			w.fail(errWriteLength)
		}
		if w.chunks {
			w.buf = append(w.buf, "0\r\n\r\n"...)
		}
	}
	return w.send()
}

// send writes and releases the buffer. After an error it only does the latter.
func (w *Writer) send() error {
	if w.err == nil && len(w.buf) > 0 {
		if _, err := w.dst.Write(w.buf); err != nil {
			w.fail(fmt.Errorf("writing to the connection: %w", err))
		}
	}
	w.buf = w.buf[:0]
	w.release()
	return w.err
}

// release gives the buffer back where nothing is in it.
func (w *Writer) release() {
	if len(w.buf) == 0 && w.buf != nil {
		putBuffer(w.buf)
		w.buf = nil
	}
}

// step moves on where the state is from, and tells whether it was.
func (w *Writer) step(from, to writerState) bool {
	if w.err == nil && w.state != from {
		w.fail(errWriteOrder)
	}
	if w.err != nil {
		return false
	}
	if from == betweenMessages {
		w.buf = getBuffer(smallBuffer)[:0]
	}
	w.state = to
	return true
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// reasons are the phrases of RFC 9110 and RFC 6585 by status.
var reasons = [...]string{
	100: "Continue", 101: "Switching Protocols",
	200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information",
	204: "No Content", 205: "Reset Content", 206: "Partial Content",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other",
	304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
	404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
	407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
	411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
	414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable",
	417: "Expectation Failed", 421: "Misdirected Request", 422: "Unprocessable Content",
	426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
	511: "Network Authentication Required",
}
