package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// JSON is the media type of what goes where uploads are judged.
const JSON = "application/json"

// Work is what the load asks and the upstream answers.
type Work struct {
	Media  string // of the upload; empty: there is none, and the method is GET
	Upload []byte // body of each request
	Answer int    // bytes of each answer's body
	// Events are how many events each answer has, one sent when the one before
	// has arrived; -1: as many as there is time for; 0: it is no event stream.
	Events int
}

// requestHead and its like are as clients and APIs have them.
func (w Work) request(authority, token string, number int) []byte {
	method, what := "GET", "pulls"
	switch {
	case w.Events != 0:
		what = streamPrefix + strconv.Itoa(number)
	case w.Media == JSON:
		method, what = "POST", "records"
	case w.Media != "":
		method, what = "POST", "blobs"
	}
	head := fmt.Appendf(nil, "%s /repos/acme/web/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer %s\r\n",
		method, what, authority, token)
	if w.Media != "" {
		head = fmt.Appendf(head, "Content-Type: %s\r\nContent-Length: %d\r\n", w.Media, len(w.Upload))
	}
	return append(append(head, "\r\n"...), w.Upload...)
}

const (
	streamPrefix = "stream-"
	event        = "data: {\"delta\":\"an event as a language model sends it, a few words\"}\n\n"
	lastChunk    = "0\r\n\r\n"
)

var (
	eventChunk = fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event)
	headEnd    = []byte("\r\n\r\n")
	eventEnd   = []byte("\n\n")
)

// response is an answer, or the beginning of a stream with its first event.
// X-Accel-Buffering is how upstreams tell nginx that they stream.
func (w Work) response() []byte {
	if w.Events != 0 {
		head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
		return append([]byte(head), eventChunk...)
	}
	head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", w.Answer)
	return append(head, bytes.Repeat([]byte("x"), w.Answer)...)
}

// serve answers a request that is whole.
func (e *Engine) serve(w *wire) error {
	for {
		err := w.fill()
		if errors.Is(err, errLater) {
			return nil
		}
		if err != nil {
			return e.drop(w, err)
		}
		head := bytes.Index(w.in[:w.n], headEnd)
		if head < 0 || w.n < head+len(headEnd)+len(e.work.Upload) {
			if w.secure == nil {
				return nil
			}
			continue // the rest may have come in another record
		}
		if w.n > head+len(headEnd)+len(e.work.Upload) {
			return fmt.Errorf("the proxy sent more than one request: %.300q", w.in[:w.n])
		}
		if err := e.open(w); err != nil {
			return err
		}
		w.n = 0
		if err := w.send(e.answer); err != nil {
			return e.drop(w, err)
		}
		return nil
	}
}

// open notes which stream a request opens.
func (e *Engine) open(w *wire) error {
	if e.work.Events == 0 {
		return nil
	}
	_, rest, _ := bytes.Cut(w.in[:w.n], []byte("/"+streamPrefix))
	digits, _, _ := bytes.Cut(rest, []byte(" "))
	number, err := strconv.Atoi(string(digits))
	if err != nil || number >= len(e.streams) {
		return fmt.Errorf("the proxy asked for another stream: %.300q", w.in[:w.n])
	}
	e.streams[number] = w
	return nil
}

// progress is what a wire of the load has got by reading.
type progress uint8

const (
	nothing progress = iota
	oneEvent
	whole // the answer has ended
)

// read reads an answer as far as it has come. It must be 200.
func (e *Engine) read(w *wire) (progress, error) {
	if a := w.asker; a.rest > 0 {
		n, err := w.skip(a.rest, e.scratch)
		a.rest -= n
		if err != nil || a.rest > 0 {
			return nothing, err
		}
		return whole, nil
	}
	if err := w.fill(); err != nil {
		return nothing, err
	}
	if e.work.Events != 0 {
		return w.asker.event(w)
	}
	head := bytes.Index(w.in[:w.n], headEnd)
	if head < 0 {
		return nothing, nil
	}
	rest := head + len(headEnd) + e.work.Answer - w.n
	if rest < 0 || !bytes.HasPrefix(w.in, []byte("HTTP/1.1 200")) {
		return nothing, fmt.Errorf("answer: %.300q", w.in[:w.n])
	}
	w.n, w.asker.rest = 0, rest
	if rest > 0 {
		return nothing, nil
	}
	return whole, nil
}

// event looks for one, or for the end of a stream that is to end.
func (a *asker) event(w *wire) (progress, error) {
	if !a.begun && !bytes.HasPrefix([]byte("HTTP/1.1 200"), w.in[:min(w.n, 12)]) {
		return nothing, fmt.Errorf("answer: %.300q", w.in[:w.n])
	}
	switch {
	case a.ending && bytes.HasSuffix(w.in[:w.n], []byte(lastChunk)):
		w.n = 0
		return whole, nil
	case !a.ending && bytes.Contains(w.in[:w.n], eventEnd):
		w.n, a.begun = 0, true
		return oneEvent, nil
	case a.begun && bytes.HasSuffix(w.in[:w.n], []byte(lastChunk)):
		return nothing, fmt.Errorf("a stream ended early: %w", io.ErrUnexpectedEOF)
	}
	return nothing, nil
}
