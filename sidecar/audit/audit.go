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
	"runtime"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// Version is that of the record's schema.
const Version = 1

// Event says what a record tells of.
type Event string

// The events. An outcome follows a decision with the same id where a request
// that was allowed did not end as the upstream wanted it to, and where a tunnel
// that is not read has ended.
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
	Trace      string   // the trace that the agent says this is part of; see [TraceOf]
	Span       string   // and the span
	Token      string   // jti of the scoped token; empty for a handle
	Credential string   // namespace/name
	Endpoint   string   // name in the UpstreamSecret
	Grants     []string // names of those that match
	Verdict    scope.Verdict
	Reason     scope.Reason // on every refusal
	Method     string
	Path       []byte // canonical; without the query
	Pod        string // namespace/name
	Traffic    *Traffic
}

// Traffic is what went through a tunnel that is not read, in bytes, as the agent
// sees it.
type Traffic struct{ Out, In int64 }

// ErrUnrecorded is what a failed write is, besides its cause.
var ErrUnrecorded = errors.New("no audit record could be written")

// maxKept bounds the buffer that is kept between records.
const maxKept = 64 << 10

// writeTimeout is how long a write may take. A pipe that nobody reads takes
// nothing, and does not fail either.
const writeTimeout = 2 * time.Second

// A deadliner is a writer of which a write can be given up.
type deadliner interface {
	io.Writer
	SetWriteDeadline(at time.Time) error
}

// Log writes records. Those that come at the same time share a write, since a
// system call costs more than the rest of a record; [Log.Write] returns when
// its own is written. It is safe for concurrent use.
type Log struct {
	w     io.Writer
	until deadliner      // w, where it can be given up; else nil
	pipe  *socket.Socket // likewise, where it may take lines at once

	mu        sync.Mutex
	turn      sync.Cond // of mu: a write is over
	pending   []byte    // records that are not written yet
	batch     *batch    // those in pending
	free      *batch    // one that nobody waits for any more
	writing   bool      // somebody writes, or is about to
	gathering bool      // likewise, and others join still
	spare     []byte    // what was pending before
	torn      bool      // the last line is not whole; of who writes
}

// batch is the outcome of one write.
type batch struct {
	users int // that have records in it, and still ask
	over  bool
	err   error
}

// NewLog returns a Log on w, normally a file that was opened for appending or
// the standard output. Where writes to w may have deadlines, as those to a pipe,
// one that takes two seconds has failed; a regular file fails by itself.
func NewLog(w io.Writer) *Log {
	l := &Log{w: w, batch: &batch{}}
	l.turn.L = &l.mu
	if d, ok := w.(deadliner); ok && d.SetWriteDeadline(time.Time{}) == nil {
		l.until, l.pipe = d, socket.Of(w)
	}
	return l
}

// Write writes r. Where it fails, nothing may be done on the strength of r;
// the error is [ErrUnrecorded].
func (l *Log) Write(r *Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(r.appendJSON(l.pending), '\n')
	mine := l.batch
	mine.users++
	switch {
	case !l.writing:
		l.gather(mine)
	case l.gathering && mine.users >= crowd:
		l.flush()
	}
	for !mine.over && l.writing {
		l.turn.Wait()
	}
	if !mine.over { // it was begun while another was written
		l.writing = true
		l.flush()
	}
	return l.leave(mine)
}

// crowd is how many are written at once when that many are ready: what another one
// would save is little by then, and those that wait would wait for all that are ready.
const crowd = 16

// gather lets whoever is ready join mine, with mu unlocked meanwhile, and writes it
// unless somebody did. A write wakes who collects the lines, which costs more than
// the lines do.
func (l *Log) gather(mine *batch) {
	l.writing, l.gathering = true, true
	l.mu.Unlock()
	runtime.Gosched()
	l.mu.Lock()
	if l.batch == mine {
		l.flush()
	}
}

// leave returns how the write of b ended, and keeps b for another where nobody else
// asks.
func (l *Log) leave(b *batch) error {
	err := b.err
	if b.users--; b.users == 0 {
		*b = batch{}
		l.free = b
	}
	return err
}

// flush writes what is pending, with mu unlocked meanwhile.
func (l *Log) flush() {
	l.gathering = false
	text, done := l.pending, l.batch
	l.pending, l.batch, l.free = l.spare[:0], l.free, nil
	if l.batch == nil {
		l.batch = &batch{}
	}
	l.mu.Unlock()
	err := l.write(text)
	l.mu.Lock()
	done.over, done.err = true, err
	if l.spare = text; cap(text) > maxKept {
		l.spare = nil
	}
	l.writing = false
	l.turn.Broadcast()
}

// write writes lines. One caller at a time.
func (l *Log) write(lines []byte) error {
	if l.torn { // or the rest of a line would swallow the next one
		if _, err := l.put([]byte{'\n'}); err != nil {
			return err
		}
		l.torn = false
	}
	n, err := l.put(lines)
	l.torn = err != nil && n > 0
	return err
}

// put writes all of text, or says why not.
func (l *Log) put(text []byte) (n int, err error) {
	if l.pipe != nil {
		n = l.pipe.WriteNow(text) // as nearly always it goes
	}
	if n < len(text) {
		var more int
		more, err = l.wait(text[n:])
		n += more
	}
	if err != nil {
		return n, fmt.Errorf("%w: %w", ErrUnrecorded, err)
	}
	return n, nil
}

// wait writes what may take a while.
func (l *Log) wait(text []byte) (n int, err error) {
	if l.until != nil {
		if err := l.until.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return 0, err
		}
	}
	n, err = l.w.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	if l.until != nil { // or what is written at once would be late from then on
		err = errors.Join(err, l.until.SetWriteDeadline(time.Time{}))
	}
	return n, err
}
