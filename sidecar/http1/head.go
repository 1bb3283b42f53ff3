package http1

import (
	"bytes"
	"strings"
	"unsafe"
)

// RequestHead is the header of one request. Its strings and Fields are valid
// until the next read into the same head, or its Release: who keeps one longer
// clones it. The zero value is ready to be read into.
type RequestHead struct {
	text headText
	// Method is a token in the letter case that it came with.
	Method string
	// Target is visible ASCII without spaces and is not judged further here.
	Target string
	// Host is the one Host field: letters, digits and any of `-._:[]`. Of a
	// CONNECT of HTTP/1.0 without one it is the target.
	Host string
	// Fields has the fields that are meant for the upstream, in their order.
	// Those of this hop are not among them: Host, Content-Length,
	// Transfer-Encoding, Trailer, TE, Connection, Keep-Alive,
	// Proxy-Connection, Upgrade and Expect.
	Fields []Field
	// Framing is NoBody, Sized or Chunked.
	Framing Framing
	// Close says that the client wants no further request on this connection.
	Close bool
	// Upgrade is the protocol that Connection and Upgrade ask for together, in
	// the client's spelling, or empty. There is no body with it.
	Upgrade string
	// ExpectContinue says that the body waits for a 100 Continue. Where another
	// answer is given instead, the connection has to be closed: the client may
	// send the body or not.
	ExpectContinue bool
}

// ReadRequest reads the header of the next request. The body of the one before
// must have been read to its end.
//
// It returns io.EOF where the client closed the connection between requests,
// the error of the read where nothing of a request had arrived, and else an
// [*Error] to answer with. After any error no request can be read any more.
func (r *Reader) ReadRequest(h *RequestHead) error {
	h.Release()
	if err := r.begin(false); err != nil {
		return err
	}
	text, err := r.head(r.limit, &r.request, &h.text)
	if err == nil {
		err = h.parse(r, text)
	}
	if err != nil {
		return r.refuse(err)
	}
	r.body.start(h.Framing)
	return nil
}

// Release gives the memory of the header back and empties h.
func (h *RequestHead) Release() {
	h.text.release()
	*h = RequestHead{Fields: emptied(h.Fields)}
}

func (h *RequestHead) parse(r *Reader, text string) *Error {
	h.Method = text[:r.request.method]
	h.Target = text[r.request.method+1 : r.request.target]
	var own ownValues
	var err *Error
	if h.Fields, err = r.fields(h.Fields, text, &own); err != nil {
		return err
	}
	if r.request.old && own.count[ownHost] == 0 {
		own.count[ownHost], own.value[ownHost] = 1, h.Target // HTTP/1.0 has no Host
	}
	if own.count[ownHost] != 1 || !only(own.value[ownHost], hostByte) {
		return errHost
	}
	h.Host = own.value[ownHost]
	if h.Framing, err = own.framing(); err != nil {
		return err
	}
	if h.Method == "CONNECT" && !h.Framing.Empty() {
		return errConnectBody // the bytes behind a CONNECT are the tunnel's
	}
	return h.connection(&own)
}

// connection reads what concerns this hop alone.
func (h *RequestHead) connection(own *ownValues) *Error {
	if own.extra || own.close && own.keepAlive {
		return errConnection
	}
	h.Close = own.close
	if err := h.upgrade(own); err != nil {
		return err
	}
	switch n := own.count[ownExpect]; {
	case n == 0:
		return nil
	case n > 1 || !fold(own.value[ownExpect], "100-continue"):
		return errExpect
	}
	h.ExpectContinue = !h.Framing.Empty()
	return nil
}

func (h *RequestHead) upgrade(own *ownValues) *Error {
	n := own.count[ownUpgrade]
	if n == 0 && !own.upgrade {
		return nil
	}
	h.Upgrade = own.value[ownUpgrade]
	if n != 1 || !own.upgrade || !isProtocol(h.Upgrade) || !h.Framing.Empty() {
		return errUpgrade
	}
	return nil
}

// isProtocol accepts one protocol, perhaps with a version.
func isProtocol(s string) bool {
	name, version, versioned := strings.Cut(s, "/")
	return only(name, tokenByte) && (!versioned || only(version, tokenByte))
}

// requestLine is where the parts of a request line end; old: of HTTP/1.0.
type requestLine struct {
	method, target int
	old            bool
}

func (l *requestLine) readLine(line []byte) *Error {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if len(method) == 0 || !ok {
		return errRequestLine
	}
	target, version, ok := bytes.Cut(rest, []byte(" "))
	switch {
	case !only(method, tokenByte):
		return errMethod
	case !ok || len(target) == 0:
		return errRequestLine
	case !only(target, targetByte):
		return errTarget
	case string(version) == "HTTP/1.1", string(version) == "HTTP/1.0" && string(method) == "CONNECT":
		*l = requestLine{len(method), len(method) + 1 + len(target), string(version) == "HTTP/1.0"}
		return nil
	case isVersion(version):
		return errVersion
	}
	return errRequestLine
}

// isVersion tells whether s is a version of HTTP that could exist.
func isVersion(s []byte) bool {
	return len(s) == len("HTTP/1.1") && string(s[:5]) == "HTTP/" && s[6] == '.' &&
		hexDigit(s[5]) < 10 && hexDigit(s[7]) < 10
}

// ResponseHead is the header of one final answer, or of 101. Its strings and
// Fields are valid as those of a [RequestHead] are. The zero value is ready to
// be read into.
//
// There is no reason phrase: it is free text from the upstream that nobody
// should read, and the writer has its own.
type ResponseHead struct {
	text headText
	// Status is 101, or 200 to 599.
	Status int
	// Fields has the fields that are meant for the client, in their order.
	// The same ones are left out as in a request, and those that the answer's
	// Connection names.
	Fields []Field
	// Framing is as the header states it: the answer to HEAD may state a
	// length and has no body all the same. [Reader.Body] knows.
	Framing Framing
	// Close says that the connection is good for no further request.
	Close bool
	// Upgrade is the protocol of a 101, else empty.
	Upgrade string
}

// ReadResponse reads the header of the answer to a request with this method.
// Informational answers before it are dropped; they count towards the limit.
// A 101 is refused.
//
// It returns the error of the read, perhaps io.EOF, where nothing of an answer
// had arrived: the upstream may have closed an idle connection. Else an error
// is an [*Error] with status 502 or 504. After any error no answer can be read
// any more.
func (r *Reader) ReadResponse(h *ResponseHead, method string) error {
	return r.readResponse(h, method, false)
}

// ReadUpgrade is [Reader.ReadResponse] for a GET that asked for an upgrade: it
// may return a 101. [Reader.Tunnel] is what follows that.
func (r *Reader) ReadUpgrade(h *ResponseHead) error {
	return r.readResponse(h, "GET", true)
}

func (r *Reader) readResponse(h *ResponseHead, method string, upgrade bool) error {
	h.Release()
	if err := r.begin(true); err != nil {
		return err
	}
	for limit := r.limit; ; {
		text, err := r.head(limit, &r.status, &h.text)
		if err == nil {
			err = h.parse(r, text, upgrade)
		}
		if err != nil {
			return r.refuse(err)
		}
		if h.Status >= 200 || h.Status == 101 {
			break
		}
		limit -= len(text)
	}
	framing := h.Framing
	if method == "HEAD" || bodiless(h.Status) {
		framing = Framing{}
	}
	r.body.start(framing)
	return nil
}

// Release gives the memory of the header back and empties h.
func (h *ResponseHead) Release() {
	h.text.release()
	*h = ResponseHead{Fields: emptied(h.Fields)}
}

func (h *ResponseHead) parse(r *Reader, text string, upgrade bool) *Error {
	h.Status = r.status.code
	var own ownValues
	var err *Error
	if h.Fields, err = r.fields(h.Fields[:0], text, &own); err != nil {
		return err
	}
	if own.malformed {
		return errConnectionName
	}
	if h.Framing, err = own.framing(); err != nil {
		return err
	}
	if h.Framing.Kind == Chunked && r.status.old {
		return errCoding // HTTP/1.0 has no transfer codings
	}
	if own.extra {
		h.dropNamed(text, r.lines)
	}
	h.Close = own.close || r.status.old
	if h.Status < 200 {
		return h.informational(&own, upgrade)
	}
	h.settle()
	return nil
}

// settle completes the framing of a final answer by its status.
func (h *ResponseHead) settle() {
	switch f := h.Framing; {
	case h.Status == 204 && !f.Empty(), h.Status == 304 && f.Kind == Chunked:
		// It may send the body that it must not have: read no answer behind it.
		h.Framing, h.Close = Framing{}, true
	case f.Kind == NoBody && !bodiless(h.Status):
		h.Framing, h.Close = Framing{Kind: UntilClose}, true
	}
}

// informational checks an answer below 200. Unknown ones are refused: what
// they do to the connection is unknown, too.
func (h *ResponseHead) informational(own *ownValues, upgrade bool) *Error {
	known := h.Status == 100 || h.Status == 102 || h.Status == 103
	if h.Status == 101 && upgrade {
		h.Upgrade = own.value[ownUpgrade]
		known = own.upgrade && own.count[ownUpgrade] == 1 && isProtocol(h.Upgrade)
	}
	if !known || h.Framing != (Framing{}) {
		return errInformational
	}
	return nil
}

// dropNamed removes the fields that Connection names: they end at this hop.
func (h *ResponseHead) dropNamed(text string, lines []int32) {
	kept := h.Fields[:0]
	for _, f := range h.Fields {
		if !namedByConnection(text, lines, f.Name) {
			kept = append(kept, f)
		}
	}
	clear(h.Fields[len(kept):])
	h.Fields = kept
}

func namedByConnection(text string, lines []int32, field string) bool {
	for i := 1; i+1 < len(lines); i++ {
		name, list, _ := strings.Cut(text[lines[i]:lines[i+1]-2], ":")
		for more := whichOwn(name) == ownConnection; more; {
			var item string
			item, list, more = strings.Cut(list, ",")
			if fold(trimSpace(item), field) {
				return true
			}
		}
	}
	return false
}

// bodiless tells whether answers of this status never have a body.
func bodiless(status int) bool {
	return status < 200 || status == 204 || status == 304
}

// statusLine is what a status line says; old: by an upstream of HTTP/1.0.
type statusLine struct {
	code int
	old  bool
}

func (l *statusLine) readLine(line []byte) *Error {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	l.old = string(version) == "HTTP/1.0"
	if !l.old && string(version) != "HTTP/1.1" || len(code) != 3 {
		return errStatusLine
	}
	n, ok := parseLength(string(code))
	if !ok || n < 100 || n > 599 {
		return errStatusLine
	}
	l.code = int(n)
	return nil
}

// headText is the memory that the strings of one header share. It comes from
// the pool of buffers and goes back there, so that reading a header costs no
// garbage.
type headText struct{ buf []byte }

// hold copies text and returns it as a string that is valid until the next hold
// or release. It is the one place of this package where memory is shared against
// Go's rules: nothing writes to the buffer in between.
func (t *headText) hold(text []byte) string {
	t.release()
	t.buf = getBuffer(len(text))
	n := copy(t.buf, text)
	return unsafe.String(unsafe.SliceData(t.buf), n) //nolint:gosec // G103: the reason stands above
}

func (t *headText) release() {
	if t.buf != nil {
		putBuffer(t.buf)
		t.buf = nil
	}
}
