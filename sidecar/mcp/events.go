package mcp

import (
	"bytes"
	"unicode/utf8"
)

// events reads an event stream (WHATWG HTML, 9.2) and writes it anew: a line
// ends in one way, and only what a reader of any kind takes for the same event
// is passed on.
type events struct {
	begun bool // something was read
	cr    bool // the last byte was a carriage return
	line  []byte

	// Of the event that is being read.
	kind    []byte
	data    []byte // lines, each with a line end
	hasData bool
	id      []byte
	hasID   bool
	retry   []byte

	passed []byte // memory
}

func (e *events) reset() {
	*e = events{line: e.line[:0], kind: e.kind[:0], data: e.data[:0], id: e.id[:0], retry: e.retry[:0], passed: e.passed[:0]}
}

// mark is a byte order mark, which a stream may begin with.
const mark = "\xef\xbb\xbf"

// read reads a part of the stream, and appends what it completes.
func (e *events) read(dst, part []byte, f *Filter) (_ []byte, err error) {
	for len(part) > 0 {
		if e.cr && part[0] == '\n' {
			e.cr, part = false, part[1:]
			continue
		}
		e.cr = false
		end := bytes.IndexAny(part, "\r\n")
		if end < 0 {
			e.line = append(e.line, part...)
			return dst, e.bound(f)
		}
		e.line = append(e.line, part[:end]...)
		e.cr = part[end] == '\r'
		part = part[end+1:]
		if err = e.bound(f); err != nil {
			return dst, err
		}
		if dst, err = e.takeLine(dst, f); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// bound refuses an event that is longer than a message may be.
func (e *events) bound(f *Filter) error {
	if int64(len(e.line)+len(e.data)+len(e.kind)+len(e.id)) > f.limit {
		return ErrUnreadable
	}
	return f.holds(cap(e.line) + 2*cap(e.data) + cap(e.passed)) // what is passed on is as long as what was read
}

func (e *events) takeLine(dst []byte, f *Filter) (_ []byte, err error) {
	line := e.line
	if !e.begun {
		line = bytes.TrimPrefix(line, []byte(mark))
		e.begun = true
	}
	switch {
	case len(line) == 0:
		dst, err = e.dispatch(dst, f)
	case line[0] == ':':
		dst = append(dst, ":\n\n"...) // it keeps the connection alive, and says nothing
	default:
		e.field(line)
	}
	e.line = e.line[:0]
	return dst, err
}

// field takes note of a field. Those that the standard does not have are
// nothing to its readers.
func (e *events) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		e.kind = append(e.kind[:0], value...)
	case "data":
		e.data, e.hasData = append(append(e.data, value...), '\n'), true
	case "id":
		if isEventID(value) {
			e.id, e.hasID = append(e.id[:0], value...), true
		}
	case "retry":
		if isDigits(value) {
			e.retry = append(e.retry[:0], value...)
		}
	}
}

// isEventID reports whether an id can come back in a header.
func isEventID(id []byte) bool {
	return len(id) <= 512 && utf8.Valid(id) && !bytes.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' })
}

func isDigits(s []byte) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 9
}

// dispatch appends what is passed on of the event that has ended.
func (e *events) dispatch(dst []byte, f *Filter) ([]byte, error) {
	defer e.next()
	data := bytes.TrimSuffix(e.data, []byte("\n"))
	message := len(e.kind) == 0 || string(e.kind) == "message"
	if message && len(data) > 0 {
		var err error
		if e.passed, err = f.pass(e.passed[:0], data); err != nil {
			return dst, err
		}
		if len(e.kind) > 0 {
			dst = append(dst, "event: message\n"...)
		}
		return e.end(appendData(e.place(dst, f), e.passed)), nil
	}
	// Where a stream can be resumed is told by events without a message, too.
	if !e.hasID && len(e.retry) == 0 {
		return dst, nil
	}
	dst = e.place(dst, f)
	if message && e.hasData {
		dst = append(dst, "data: \n"...)
	}
	return e.end(dst), nil
}

// place appends the fields by which a stream is resumed.
func (e *events) place(dst []byte, f *Filter) []byte {
	if e.hasID {
		dst = append(append(append(dst, "id: "...), e.id...), '\n')
		f.session.Pass(string(e.id))
	}
	if len(e.retry) > 0 {
		dst = append(append(append(dst, "retry: "...), e.retry...), '\n')
	}
	return dst
}

func (e *events) end(dst []byte) []byte { return append(dst, '\n') }

func (e *events) next() {
	e.kind, e.data, e.id, e.retry = e.kind[:0], e.data[:0], e.id[:0], e.retry[:0]
	e.hasData, e.hasID = false, false
}

// AppendEvent appends an event with one message.
func AppendEvent(dst, message []byte) []byte {
	return append(appendData(append(dst, "event: message\n"...), message), '\n')
}

// appendData appends a text as the lines that it has.
func appendData(dst, text []byte) []byte {
	for line := range bytes.Lines(text) {
		dst = append(append(dst, "data: "...), bytes.TrimSuffix(line, []byte("\n"))...)
		dst = append(dst, '\n')
	}
	return dst
}
