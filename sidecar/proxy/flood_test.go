package proxy

import (
	"net/http"
	"testing"
	"time"
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

// TestUnreadRequestsStay makes room while the request of the connection that
// waits for longest lies unread: another one has to go.
func TestUnreadRequestsStay(t *testing.T) {
	f := newFixture(t, echo)
	first, second := f.agent(), f.agent()
	first.send(request("GET", "/notes"))
	var oldest *conn
	if !eventually(func() bool {
		all := f.server.waiting()
		for _, w := range all {
			if w.conn.agent.RemoteAddr().String() == first.LocalAddr().String() && w.conn.life.Busy() {
				oldest = w.conn
			}
		}
		return len(all) == 2 && oldest != nil
	}) {
		t.Fatal("the connections are not open")
	}
	oldest.life.Open(oldest.agent, unread{}, time.Now().Add(-time.Hour))
	if !f.server.makeRoom() {
		t.Fatal("there is no room")
	}
	if !second.closed() {
		t.Error("the one that has sent nothing is open")
	}
	first.send("\r\n")
	if got := first.read("GET"); got.StatusCode != 200 {
		t.Errorf("got %d", got.StatusCode)
	}
}

// unread is a socket with something in it.
type unread struct{}

func (unread) Gone() bool   { return false }
func (unread) Unread() bool { return true }
