// Package audit writes what was decided about each request, before anything of
// it is forwarded. A request that cannot be recorded is refused, so losing a
// record is losing the call.
//
// A record is one line of JSON with names and an order that do not change
// within a version. It never holds a secret, a token, a query value, a header
// value or a body.
package audit

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Version is that of the record's schema.
const Version = 1

// Event says what a record tells of.
type Event string

// The events. An outcome follows a decision with the same id where a request
// that was allowed did not end as the upstream wanted it to.
const (
	Decision Event = "decision"
	Outcome  Event = "outcome"
)

// Record is what is written of one request. Empty fields are left out of the
// line, but for version, time, event, id and verdict.
type Record struct {
	Time       time.Time // written in UTC, to the microsecond
	Event      Event
	ID         []byte   // equal to the requestId of a refusal
	Token      string   // jti of the scoped token; empty for a handle
	Credential string   // namespace/name
	Endpoint   string   // name in the UpstreamSecret
	Grants     []string // names of those that match
	Verdict    scope.Verdict
	Reason     scope.Reason // on every refusal
	Method     string
	Path       []byte // canonical; without the query
	Pod        string // namespace/name
}

// ErrUnrecorded is what a failed write is, besides its cause.
var ErrUnrecorded = errors.New("no audit record could be written")

// maxKept bounds the buffer that is kept between records.
const maxKept = 64 << 10

// Log writes records, each with one write. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	w    io.Writer
	buf  []byte
	torn bool // the last line is not whole
}

// NewLog returns a Log on w, normally a file that was opened for appending or
// the standard output.
func NewLog(w io.Writer) *Log { return &Log{w: w} }

// Write writes r. Where it fails, nothing may be done on the strength of r;
// the error is [ErrUnrecorded].
func (l *Log) Write(r *Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = l.buf[:0]
	if l.torn {
		l.buf = append(l.buf, '\n') // or the rest of a line would swallow this one
	}
	l.buf = append(r.appendJSON(l.buf), '\n')
	n, err := l.w.Write(l.buf)
	if err == nil && n < len(l.buf) {
		err = io.ErrShortWrite
	}
	l.torn = err != nil && (n > 0 || l.torn)
	if cap(l.buf) > maxKept {
		l.buf = nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnrecorded, err)
	}
	return nil
}
