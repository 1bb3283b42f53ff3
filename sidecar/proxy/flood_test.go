package proxy

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// TestTooManyConnections opens more than there may be and never finishes a
// header. A request that is sent at once goes on, and so does what was admitted;
// who has kept us waiting for longest is closed first.
func TestTooManyConnections(t *testing.T) {
	f := newFixture(t, dripping)
	admitted := f.agent()
	admitted.send(request("GET", "/notes") + "\r\n")
	if _, err := http.ReadResponse(admitted.r, nil); err != nil {
		t.Fatal(err)
	}
	first := f.agent()
	first.send(request("GET", "/notes"))
	for i := range maxConnections + 50 {
		a := f.agent()
		if i%2 == 0 { // the others stay idle
			a.send(request("GET", "/notes"))
		}
	}
	if !first.closed() {
		t.Error("the connection that waits for longest is open")
	}
	last := f.agent()
	last.send(request("GET", "/notes") + "\r\n")
	if got, err := http.ReadResponse(last.r, nil); err != nil || got.StatusCode != http.StatusOK {
		t.Errorf("a sound request got %+v, %v", got, err)
	}
	if _, err := admitted.r.ReadByte(); err != nil {
		t.Errorf("what was admitted was cut off: %v", err)
	}
	if n := f.server.connections(); n > maxConnections {
		t.Errorf("%d connections are open", n)
	}
}

// TestAdmittedAreNotPushedOut refuses a connection where all that are open are
// being served.
func TestAdmittedAreNotPushedOut(t *testing.T) {
	f := newFixture(t, dripping)
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	if _, err := http.ReadResponse(a.r, nil); err != nil {
		t.Fatal(err)
	}
	if f.server.makeRoom() {
		t.Error("what was admitted had to make room")
	}
	if _, err := a.r.ReadByte(); err != nil {
		t.Errorf("what was admitted was cut off: %v", err)
	}
}

// TestEndedLivesHandNothingOver looks at a connection that was pushed out while
// it rested: the deadline that ended it is its upstream connection's, too, and
// would break the next exchange on it.
func TestEndedLivesHandNothingOver(t *testing.T) {
	agent, _ := net.Pipe()
	up, _ := net.Pipe()
	for name, end := range map[string]func(*life){
		"pushed out":  func(l *life) { l.evict() },
		"time is up":  func(l *life) { l.until = time.Time{} },
		"stopped":     func(l *life) { l.endIdle() },
		"still there": func(*life) {},
	} {
		now := time.Now()
		l := &life{agent: agent, up: &dial.Conn{Conn: up}}
		l.rest(now)
		end(l)
		if got := l.look(now.Add(2 * pinTimeout)); (got != nil) != (name == "still there") {
			t.Errorf("%s: handed over: %t", name, got != nil)
		}
	}
}
