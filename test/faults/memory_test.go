package faults

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/websocket"
)

// The paths below /held are those of grants that read whole; the usual grant would
// let them pass unread.

// What is read whole takes at most this, in bytes: the bound that is shared, three
// times, since what grows is copied, and what is cut as well; what each has without it; and buffers, those of the
// test's agents among them.
const allHeld = 3*20<<20 + crowd*(16+64)<<10

var judged = scope.Grant{
	Name: "judged", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/held/judged"}},
	Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, Fields: map[string]scope.Matcher{"text": {Required: true, Type: scope.String}}},
}

var cutting = scope.Grant{
	Name: "cut", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/held/kept"}},
	Response: &scope.Response{Keep: []string{"kept"}},
}

var chatting = scope.Grant{
	Name: "chat", Endpoint: "rest", WebSocket: &websocket.Spec{Path: "/chat", Messages: &websocket.Messages{
		Media: scope.JSON, MaxBytes: 1 << 20, Fields: map[string]scope.Matcher{"text": {Required: true, Type: scope.String}},
	}},
}

// post is a request with a JSON body of this length.
func post(length int) []byte {
	return fmt.Appendf(nil, "POST /held/judged HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"text\":\"%s\"}",
		host, handle, length, strings.Repeat("x", length-11))
}

// crowd is how many agents hold as much as they may at once; 20 of them fit at
// most, and those that do not have to be told.
const (
	crowd = 200
	most  = 160
)

// crowded lets many agents begin, each of which ends with whether it was refused.
// It goes on when most have been, with what the others take; they end with the
// connections that it returns.
func (f *fixture) crowded(begin func(a *agent) (refused bool)) (taken int64, leave func()) {
	f.t.Helper()
	before := heap()
	var refused atomic.Int64
	var all sync.WaitGroup
	agents := make([]*agent, crowd)
	for i := range agents {
		agents[i] = f.agent()
		all.Go(func() {
			if begin(agents[i]) {
				refused.Add(1)
				_ = agents[i].Close()
			}
		})
	}
	if !eventually(func() bool { return refused.Load() >= most }) {
		f.t.Errorf("%d are refused", refused.Load())
	}
	if refused.Load() == crowd {
		f.t.Error("all are refused")
	}
	return heap() - before, func() {
		for _, a := range agents {
			_ = a.Close()
		}
		all.Wait()
	}
}

// told reads an answer, which is the refusal where there is one.
func (f *fixture) told(a *agent, want int, reason string) bool {
	status, body, err := a.read()
	if err != nil {
		return false // it was let in, and has left
	}
	if status != want || !strings.Contains(body, `"`+reason+`"`) {
		f.t.Errorf("got %d %q", status, body)
	}
	return true
}

// Bodies that are judged are held whole. However many agents send all but the
// end of a long one, memory is bounded: who does not fit is told to wait, short
// bodies are judged meanwhile, and it is over when the others leave.
func TestLongBodies(t *testing.T) {
	f := newFixture(t, options{grants: []scope.Grant{judged}})
	long := post(1 << 20)
	stop := f.bystander()
	taken, leave := f.crowded(func(a *agent) bool {
		_, _ = a.Write(long[:len(long)-1]) // it may be refused before its end
		return f.told(a, 429, "RateLimited")
	})
	if taken > allHeld {
		t.Errorf("%d bytes are held", taken)
	}
	a := f.agent()
	_, _ = a.Write(post(8 << 10)) // the answer tells
	if status, body, err := a.read(); err != nil || status != 200 || body != "held/judged" {
		t.Errorf("a short body got %d %q, %v", status, body, err)
	}
	leave()
	stop()
	if !eventually(func() bool {
		a := f.agent()
		defer func() { _ = a.Close() }()
		_, _ = a.Write(long)
		status, body, err := a.read()
		return err == nil && status == 200 && body == "held/judged"
	}) {
		t.Error("a long body is refused when the others are gone")
	}
}

// Answers that are cut are held whole. Agents that do not read them take no more
// than there is.
func TestUnreadCutAnswers(t *testing.T) {
	f := newFixture(t, options{grants: []scope.Grant{cutting}, limits: func(l *bundle.Limits) { l.BodyBytes = 8 << 20 }})
	stop := f.bystander()
	over := make(chan struct{})
	taken, leave := f.crowded(func(a *agent) bool {
		_ = a.SetReadBuffer(4 << 10)
		a.send(get("held/kept"))
		var line [16]byte
		if _, err := io.ReadFull(a, line[:]); err == nil && strings.HasPrefix(string(line[:]), "HTTP/1.1 200 ") {
			<-over
			return false
		}
		a.in = bufio.NewReader(io.MultiReader(bytes.NewReader(line[:]), a))
		return f.told(a, 502, "AnswerRefused")
	})
	if taken > allHeld {
		t.Errorf("%d bytes are held", taken)
	}
	close(over)
	leave()
	stop()
}

// Messages of WebSockets are held whole, and count likewise; one that has ended
// is held no more.
func TestLongMessages(t *testing.T) {
	f := newFixture(t, options{grants: []scope.Grant{chatting}})
	message := append(binary.BigEndian.AppendUint64([]byte("\x81\xff"), 1<<20), strings.Repeat("\x00", 4+1<<20)...)
	stop := f.bystander()
	taken, leave := f.crowded(func(a *agent) bool {
		a.send("GET /chat HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + handle +
			"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
		a.in = bufio.NewReader(a)
		switch res, err := http.ReadResponse(a.in, nil); {
		case err != nil:
			return false // it has left
		case res.StatusCode != 101:
			t.Errorf("got %+v", res)
			return true
		}
		_, _ = a.Write(message[:len(message)-1]) // as above
		var frame [4]byte
		if _, err := io.ReadFull(a.in, frame[:]); err != nil {
			return false
		}
		if string(frame[:]) != "\x88\x02\x03\xf0" {
			t.Errorf("got %q", frame)
		}
		return true
	})
	if taken > allHeld {
		t.Errorf("%d bytes are held", taken)
	}
	leave()
	stop()
}
