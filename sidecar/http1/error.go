package http1

import (
	"errors"
	"io"
	"os"
)

// Error says why a message is not read further. Whoever meets one answers
// with Status, where an answer is still possible, and closes the connection:
// after an Error nobody knows where the next message would start. To close
// with bytes unread resets the connection, and the client may lose the answer:
// close the sending side first, and drop what arrives for a moment.
//
// Status is one of a closed set. For requests: 400 malformed, 408 too slow,
// 413 body over the caller's limit, 414 request line and 431 header over the
// reader's limit, 501 unknown transfer coding, 505 version. For answers: 502,
// and 504 for one that came too slowly.
//
// Msg is a constant text and never quotes the message, so that it can be shown
// and logged. Err is the failed read, if one is the cause.
type Error struct {
	Status int
	Msg    string
	Err    error
}

func (e *Error) Error() string { return e.Msg }

// Unwrap returns the failed read that is the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// The refusals, by the part of the message that they concern.
var (
	errControl    = malformed("control character or lone CR in the header: end lines with CR LF and send no control characters")
	errLineEnd    = malformed("line that ends in LF alone: end lines with CR LF")
	errEmptyStart = malformed("empty line before the message: send none")
	errHeadCut    = malformed("connection closed within the header")
	errHeadSlow   = &Error{Status: 408, Msg: "header not complete in time"}
	errHeadLong   = &Error{Status: 431, Msg: "header too long: send fewer or shorter fields"}
	errFieldCount = &Error{Status: 431, Msg: "too many header fields"}

	errRequestLine     = malformed("request line is not `method target HTTP/1.1` with single spaces")
	errRequestLineLong = &Error{Status: 414, Msg: "request line too long"}
	errMethod          = malformed("method is not a token")
	errTarget          = malformed("request target is empty or holds bytes that must be percent-encoded")
	errVersion         = &Error{Status: 505, Msg: "HTTP version not spoken here: use HTTP/1.1"}
	errStatusLine      = malformed("status line is not `HTTP/1.1 status reason`")

	errFieldName      = malformed("header field without a proper name, or white space before its colon or in front of the line")
	errHost           = malformed("exactly one Host field with a host and perhaps a port is required")
	errConnection     = malformed("Connection may name close or keep-alive, and Upgrade beside one Upgrade field, nothing else")
	errConnectionName = malformed("Connection names something that is no field name")
	errUpgrade        = malformed("Upgrade needs one protocol, a Connection field that names it, and no body")
	errExpect         = malformed("Expect may be 100-continue alone")

	errLength        = malformed("Content-Length is not one plain decimal number")
	errLengthTwice   = malformed("Content-Length occurs more than once")
	errBothFramings  = malformed("Content-Length and Transfer-Encoding together")
	errCoding        = malformed("Transfer-Encoding is not one proper list that has chunked once, at its end")
	errCodingUnknown = &Error{Status: 501, Msg: "unknown transfer coding: use chunked alone"}
	errConnectBody   = malformed("CONNECT with a body")
	errInformational = malformed("informational answer that is unknown, unasked for or has a body")

	errChunkSize  = malformed("chunk size is not 1 to 16 hexadecimal digits and CR LF: chunk extensions are refused")
	errChunkEnd   = malformed("chunk data is not followed by CR LF")
	errTrailer    = malformed("malformed trailer")
	errTrailerBig = &Error{Status: 431, Msg: "trailers too long"}
	errBodyCut    = malformed("connection closed within the body")
	errBodySlow   = &Error{Status: 408, Msg: "body not complete in time"}
	errBodyBig    = &Error{Status: 413, Msg: "body too large"}
)

// What the caller did, or was told before, rules out another message.
var (
	errBodyPending = errors.New("reading a message: the body of the one before has not been read to its end")
	errTunnel      = errors.New("reading a message: the connection has become a tunnel")
	errNotIdle     = errors.New("reading a message: the connection was closed or spoke while idle")
)

func malformed(msg string) *Error { return &Error{Status: 400, Msg: msg} }

// because returns e with its cause. The variables above stay untouched.
func (e *Error) because(err error) *Error {
	return &Error{Status: e.Status, Msg: e.Msg, Err: err}
}

// ofAnswer is e as it concerns an answer: the agent has done nothing wrong.
func (e *Error) ofAnswer() *Error {
	status := 502
	if e.Status == 408 {
		status = 504
	}
	return &Error{Status: status, Msg: e.Msg, Err: e.Err}
}

// failed turns a failed read into the Error for it. It never wraps io.EOF: a
// caller that asks errors.Is for the end must not take a break for one.
func failed(err error, slow, cut *Error) *Error {
	switch {
	case errors.Is(err, io.EOF):
		return cut.because(io.ErrUnexpectedEOF)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slow.because(err)
	}
	return cut.because(err)
}
