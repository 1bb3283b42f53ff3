package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// TestLentIsLookedAfter has a connection be with no listener for a while, as it is
// to whoever looks at one after another while it is lent: the clock goes on.
func TestLentIsLookedAfter(t *testing.T) {
	p := newProxied(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	p.tunnel("example.com")
	for _, l := range p.server.listening() {
		var here []*conn
		l.each(func(c *conn) { here = append(here, c) })
		for _, c := range here {
			l.remove(c)
			defer l.add(c)
		}
	}
	for range 4 {
		<-time.After(tick)
		if p.server.pulse.Rests() {
			t.Fatal("nobody looks though an agent is connected")
		}
	}
}

// TestExpiresAgain has a credential end, be renewed, and end again before anybody
// has looked: what is under way is cut both times.
func TestExpiresAgain(t *testing.T) {
	up := &quiet{more: make(chan bool), over: make(chan bool, 3)}
	base, shift := time.Now(), atomic.Int64{}
	f := startFixture(t, up.answer, Options{WithoutLeases: true, Now: func() time.Time { return base.Add(time.Duration(shift.Load())) }})
	for round := range 2 {
		if !eventually(f.server.pulse.Rests) {
			t.Fatal("somebody looks at nothing")
		}
		c := document()
		c.Generation += int64(round)
		end := time.Duration(round+1) * time.Hour
		c.ExpiresAt, c.Limits.AnswerTimeout, c.Limits.StreamTimeout = base.Add(end), time.Minute, time.Minute
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			t.Fatal(errs)
		}
		shift.Store(int64(end - time.Millisecond))
		a := f.agent()
		a.send(request("GET", "/notes/1") + "\r\n")
		res, err := http.ReadResponse(a.r, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("got %v, %v", res, err)
		}
		shift.Store(int64(end + time.Second))
		if _, err = io.ReadAll(res.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("round %d: it goes on: %v", round, err)
		}
		a.Close()
	}
}

// TestTunnelIsSilent holds that an agent which says nothing in its tunnel is known
// to: else others would have to go in its place.
func TestTunnelIsSilent(t *testing.T) {
	p := newProxied(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	a := p.tunnel("example.com")
	a.send(request("GET", "/notes") + "\r\n")
	a.read("GET")
	p.awaitRest()
	unread := func() (n int) {
		for _, l := range p.server.listening() {
			l.each(func(c *conn) {
				if c.life.Unread() {
					n++
				}
			})
		}
		return n
	}
	if !eventually(func() bool { return unread() == 0 }) {
		t.Error("it is said to have sent something that nobody read")
	}
}

// TestListenersThatLeft changes the place of an endpoint again and again, in documents
// that are served and in those that cannot be: what is remembered does not pile up.
func TestListenersThatLeft(t *testing.T) {
	p := newProxied(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	before := len(p.server.listening())
	for i := range 50 {
		c := document()
		c.Generation += int64(i) + 1
		c.Endpoints[0].URL = fmt.Sprintf("https://example.com/v%d", i)
		p.apply(c)
		c = document()
		c.Generation += int64(i) + 1
		c.Endpoints[0].URL = fmt.Sprintf("https://example.com/w%d", i)
		c.Limits.Concurrency = -1
		if errs := p.server.Apply(state(c)); len(errs) == 0 {
			t.Fatal("no concurrency is served")
		}
	}
	if n := len(p.server.listening()); n > before+2 {
		t.Errorf("%d listeners, and %d before", n, before)
	}
}
