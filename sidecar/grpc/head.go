package grpc

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// maxFields bounds the header fields of one call.
const maxFields = 256

// The refusals of heads that net/http lets pass.
var (
	errHost       = &http1.Error{Status: 400, Msg: "Host beside :authority has to equal it: leave it out"}
	errConnection = &http1.Error{Status: 400, Msg: "fields that are about a connection do not go with HTTP/2: leave them out"}
	errLength     = &http1.Error{Status: 400, Msg: "Content-Length is not the one length of the body, as a plain decimal number"}
	errExpect     = &http1.Error{Status: 400, Msg: "Expect may be 100-continue alone"}
	errValue      = &http1.Error{Status: 400, Msg: "a field has white space around its value"}
	errFieldCount = &http1.Error{Status: 431, Msg: "too many header fields"}
	errHeadLong   = &http1.Error{Status: 431, Msg: "header too long: send fewer or shorter fields"}
)

// ReadHead reads the head of the call into h, whose Fields are in the order of
// their names. limit bounds it in bytes, counted as if it were one of HTTP/1.1. An
// error is an [*http1.Error]. Where there is one, h has what was read all the same.
func (c *Call) ReadHead(h *http1.RequestHead, limit int) error {
	h.Release()
	r := c.agent
	h.Method, h.Target, h.Host = r.Method, r.RequestURI, r.Host
	switch {
	case r.ContentLength < 0:
		h.Framing.Kind = http1.Chunked
	case r.ContentLength > 0:
		h.Framing = http1.Framing{Kind: http1.Sized, Length: r.ContentLength}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		values := r.Header[name]
		if http1.IsHopByHop(name) {
			if err := c.own(name, values); err != nil {
				return err
			}
			continue
		}
		for _, value := range values {
			if strings.Trim(value, " \t") != value {
				return errValue
			}
			h.Fields = append(h.Fields, scope.Field{Name: name, Value: value})
		}
	}
	switch {
	case len(h.Fields) > maxFields:
		return errFieldCount
	case headSize(r) > limit:
		return errHeadLong
	}
	return nil
}

// headSize is the length of a head as HTTP/1.1 would write it.
func headSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size
}

// units are those of a Grpc-Timeout.
var units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}

// Overdue reports whether the agent has set a deadline for the call, and it has
// passed, this long after the beginning of the call.
func (c *Call) Overdue(since time.Duration) bool {
	value := c.agent.Header.Get("Grpc-Timeout")
	if value == "" {
		return false
	}
	end := len(value) - 1
	n, err := strconv.ParseUint(value[:end], 10, 32)
	unit, known := units[value[end]]
	return err == nil && known && since/unit >= time.Duration(n)
}

// own checks a field that is not meant for the upstream. What else goes with
// HTTP/1.1 alone net/http refuses, too; TE, which has to be trailers, and
// Trailer are dropped.
func (c *Call) own(name string, values []string) error {
	is := func(one string) bool { return text.EqualFold(name, one) }
	switch {
	case is("TE") || is("Trailer"):
	case is("Host"):
		if len(values) != 1 || values[0] != c.agent.Host {
			return errHost
		}
	case is("Content-Length"):
		if len(values) != 1 || values[0] != strconv.FormatInt(c.agent.ContentLength, 10) {
			return errLength
		}
	case is("Expect"):
		return errExpect // the one that is allowed net/http takes away
	default:
		return errConnection
	}
	return nil
}

// header collects the fields of a request.
type header http.Header

// Field adds a field.
func (h header) Field(name, value string) {
	http.Header(h).Add(name, value)
}
