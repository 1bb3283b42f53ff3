package http1

import (
	"bytes"
	"strings"
)

// RequestHead is the header of one request. Its strings share one allocation
// and stay valid; Fields is overwritten by the next read into the same head.
// The zero value is ready to be read into.
type RequestHead struct {
	// Method is a token in the letter case that it came with.
	Method string
	// Target is visible ASCII without spaces and is not judged further here.
	Target string
	// Host is the one Host field: letters, digits and any of `-._:[]`.
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
	*h = RequestHead{Fields: emptied(h.Fields)}
	if err := r.begin(false); err != nil {
		return err
	}
	text, err := r.head(r.limit, &r.request)
	if err == nil {
		err = h.parse(r, text)
	}
	if err != nil {
		return r.refuse(err)
	}
	r.body.start(h.Framing)
	return nil
}

func (h *RequestHead) parse(r *Reader, text string) *Error {
	h.Method = text[:r.request.method]
	h.Target = text[r.request.method+1 : r.request.target]
	var own ownValues
	var err *Error
	if h.Fields, err = r.fields(h.Fields, text, &own); err != nil {
		return err
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

// requestLine is where the parts of a request line end.
type requestLine struct{ method, target int }

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
	case string(version) == "HTTP/1.1":
		*l = requestLine{method: len(method), target: len(method) + 1 + len(target)}
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
