package faults

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// few is how many agents misbehave at once: more than there may be exchanges
// under way, where that is the point, and enough to tell what each one costs.
const few = 100

// Agents that do not come to the end of what they say are told so, and let go.
func TestSlowAgents(t *testing.T) {
	const started = "POST /upload HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + handle + "\r\n"
	for what, text := range map[string]string{
		"half a line":   "GET /no",
		"half a header": "GET /notes HTTP/1.1\r\nHost: " + host + "\r\nX-Half: ",
		"half a body":   started + "Content-Length: 1000\r\n\r\nhalf",
		"half a chunk":  started + "Transfer-Encoding: chunked\r\n\r\n5\r\nhal",
	} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t, options{limits: func(l *bundle.Limits) { l.RequestTimeout = soon }})
			stop := f.bystander()
			f.each(few, func(a *agent) {
				a.send(text)
				if status, body, err := a.read(); err != nil || status != 408 || !strings.Contains(body, `"TooSlow"`) {
					t.Errorf("got %d %q, %v", status, body, err)
				}
			})
			stop()
		})
	}
}

// Agents that end their side, at any point of an exchange, are let go of in time,
// whether they read what there is or not. Those that vanish leave nothing behind.
func TestHalfOpenAgents(t *testing.T) {
	for what, text := range map[string]string{
		"nothing": "", "half a request": get("notes")[:40], "a request": get("notes"), "a slow answer": get("silence"), "a stream": get("drip"), "a flood": get("flood"),
	} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t, options{limits: func(l *bundle.Limits) {
				l.StreamTimeout = 2 * soon
				if what == "a slow answer" {
					l.AnswerTimeout = soon
				}
			}})
			stop := f.bystander()
			f.each(few/2, func(a *agent) {
				_ = a.SetDeadline(time.Now().Add(patience))
				a.send(text)
				_ = a.CloseWrite()
				if n, err := io.Copy(io.Discard, a); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("it is kept, with %d bytes: %v", n, err)
				}
			})
			f.each(few/2, func(a *agent) {
				a.send(text)
				_ = a.SetLinger(0)
			})
			stop()
		})
	}
}

// Agents that do not read what they asked for cost a buffer each, not an
// answer.
func TestAgentsThatDoNotRead(t *testing.T) {
	f := newFixture(t, options{})
	stop := f.bystander()
	f.want("warm", 200, "warm")
	before := heap()
	agents := make([]*agent, few)
	for i := range agents {
		agents[i] = f.agent()
		agents[i].send(get("flood"))
	}
	for _, a := range agents { // each has begun
		if _, err := io.ReadFull(a, make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if each := (heap() - before) / few; each > 256<<10 {
		t.Errorf("each takes %d bytes", each)
	}
	stop()
	for _, a := range agents {
		_ = a.Close()
	}
}

// More requests than there may be are refused, and those that are let in are
// answered rightly.
func TestFlood(t *testing.T) {
	const times = 50
	f := newFixture(t, options{limits: func(l *bundle.Limits) { l.Concurrency = 8 }})
	var served, refused atomic.Int64
	f.each(few, func(a *agent) {
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := range times {
				a.send(get(fmt.Sprintf("item-%d", i)))
			}
		})
		for i := range times {
			switch status, body, err := a.read(); {
			case err == nil && status == 200 && body == fmt.Sprintf("item-%d", i):
				served.Add(1)
			case err == nil && status == 429 && strings.Contains(body, `"RateLimited"`):
				refused.Add(1)
			default:
				t.Errorf("got %d %q, %v", status, body, err)
			}
		}
		writing.Wait()
	})
	if served.Load() == 0 || served.Load()+refused.Load() != few*times {
		t.Errorf("%d were served and %d refused", served.Load(), refused.Load())
	}
	f.want("after", 200, "after")
}

// Agents that connect and leave, over and over and in any way, hold up neither those
// that are being served nor those that come.
func TestConnectionFlood(t *testing.T) {
	f := newFixture(t, options{})
	stop := f.bystander()
	leave := []func(a *agent){
		func(*agent) {},
		func(a *agent) { _ = a.SetLinger(0) },
		func(a *agent) { a.send("GET /no") },
		func(a *agent) { a.send("GET /notes HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); _ = a.SetLinger(0) }, // refused: it has no token
	}
	var over atomic.Bool
	var flooding sync.WaitGroup
	var came atomic.Int64
	for i := range few / 5 {
		flooding.Go(func() {
			for !over.Load() {
				c, err := net.Dial("tcp", f.address)
				if err != nil {
					t.Error(err)
					return
				}
				a := &agent{TCPConn: c.(*net.TCPConn)}
				leave[i%len(leave)](a)
				_ = a.Close()
				came.Add(1)
			}
		})
	}
	for asked := 0; asked < few || came.Load() < 10*few; asked++ {
		f.want("beside", 200, "beside")
	}
	over.Store(true)
	flooding.Wait()
	stop()
}

// Headers without an end are refused at their bound.
func TestHeaderBombs(t *testing.T) {
	for what, line := range map[string]string{
		"many": "X-Bomb: b\r\n", "long": "X-Bomb: " + strings.Repeat("b", 16<<10) + "\r\n",
		"one": strings.Repeat("b", 1<<10), "same": "Host: " + host + "\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t, options{})
			stop := f.bystander()
			text := "GET /notes HTTP/1.1\r\n" + strings.Repeat(line, 1+(1<<20)/len(line))
			before := heap()
			f.each(few, func(a *agent) {
				a.send(text)
				switch status, body, err := a.read(); {
				case err == nil && status/100 != 4:
					t.Errorf("got %d %q", status, body)
				case errors.Is(err, os.ErrDeadlineExceeded):
					t.Errorf("it is kept: %v", err)
				}
			})
			left := heap() - before
			runtime.KeepAlive(text) // or it is taken from what is left
			stop()
			if left > few*64<<10 {
				t.Errorf("%d bytes are in use", left)
			}
			a := f.agent()
			a.send("GET /notes HTTP/1.1\r\n" + strings.Repeat(line, 1+(64<<10)/len(line)))
			if status, body, err := a.read(); err != nil || status != 431 && status != 400 {
				t.Errorf("one alone got %d %q, %v", status, body, err)
			}
		})
	}
}

// Headers that stop short of their bound are held, up to one that all share: who has
// been at one for longest makes room, and nobody else notices.
func TestHeldHeaders(t *testing.T) {
	const many, each, all = 400, 31 << 10, 8 << 20
	text := strings.TrimSuffix(get("notes"), "\r\n")
	text += strings.Repeat("X-Bomb: "+strings.Repeat("b", 1<<10)+"\r\n", (each-len(text))/(1<<10+10))
	f := newFixture(t, options{})
	stop := f.bystander()
	before := heap()
	var closed atomic.Int64
	var holding sync.WaitGroup
	agents := make([]*agent, many)
	for i := range agents {
		agents[i] = f.agent()
		holding.Go(func() {
			agents[i].send(text)
			_, _ = io.Copy(io.Discard, agents[i])
			closed.Add(1)
		})
	}
	const fit = all / (32 << 10) // each counts with what it may have
	if !eventually(func() bool { return closed.Load() >= many-fit }) {
		t.Errorf("%d of %d are closed", closed.Load(), many)
	}
	// What is read into grows by doubling.
	if taken := heap() - before; taken > 2*all+many*perConnection {
		t.Errorf("%d bytes are held", taken)
	}
	if n := closed.Load(); n > many-fit/2 {
		t.Errorf("%d of %d are closed: hardly one is held", n, many)
	}
	f.want("beside", 200, "beside")
	stop()
	for _, a := range agents {
		_ = a.Close()
	}
	holding.Wait()
}

// Thousands of connections that are silent are kept, whatever their last request
// was, and cost little. Nobody else notices: neither who is served all the time,
// nor who has been silent for longest, nor who comes last.
func TestIdleConnections(t *testing.T) {
	const many = 5000
	large := strings.TrimSuffix(get("notes"), "\r\n") + strings.Repeat("X-Large: "+strings.Repeat("x", 100)+"\r\n", 200) + "\r\n"
	for what, text := range map[string]string{"none": "", "a request": get("notes"), "a large request": large} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t, options{})
			first := f.agent()
			first.wants(t, get("warm"), "warm")
			stop := f.bystander()
			before, open := heap(), descriptors(t)
			agents := make([]*agent, many)
			for i := range agents {
				agents[i] = f.agent()
				if text != "" {
					agents[i].wants(t, text, "notes")
				}
			}
			if grown := (heap() - before) / many; grown > perConnection {
				t.Errorf("each takes %d bytes", grown)
			}
			if n := descriptors(t) - open; n > 2*many+1200 { // both ends, and those of 512 upstream connections
				t.Errorf("%d descriptors are open", n)
			}
			f.want("beside", 200, "beside")
			first.wants(t, get("again"), "again")
			for _, a := range agents {
				a.wants(t, get("later"), "later")
			}
			stop()
			for _, a := range agents {
				_ = a.Close()
			}
		})
	}
}

// More connections than are kept push each other out, those first that have been
// silent for longest, and nobody else.
func TestTooManyIdleConnections(t *testing.T) {
	const many, kept = 7000, 5120
	f := newFixture(t, options{})
	first := f.agent()
	first.wants(t, get("warm"), "warm")
	stop := f.bystander()
	agents := make([]*agent, many)
	for i := range agents {
		agents[i] = f.agent()
	}
	for i, a := range agents[:many-kept] {
		if _, err := a.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Fatalf("agent %d is still connected: %v", i, err)
		}
	}
	f.want("beside", 200, "beside")
	first.wants(t, get("again"), "again")
	agents[many-1].wants(t, get("last"), "last")
	stop()
	for _, a := range agents {
		_ = a.Close()
	}
}
