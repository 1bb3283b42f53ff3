package lifetime

import (
	"net"
	"testing"
	"time"
)

// visitor is a connection in a Room.
type visitor struct {
	Connection
	t *testing.T
}

// enter opens a connection that says this of its socket, and lets it in.
func enter(t *testing.T, r *Room, s Socket) (*visitor, bool) {
	t.Helper()
	agent, other := net.Pipe()
	t.Cleanup(func() { _ = other.Close() })
	v := &visitor{t: t}
	v.Open(agent, s, time.Now())
	return v, r.Enter(&v.Connection, 1, 10)
}

// in is enter where there has to be room.
func in(t *testing.T, r *Room) *visitor {
	t.Helper()
	v, ok := enter(t, r, nil)
	if !ok {
		t.Fatal("there is no room")
	}
	return v
}

func (v *visitor) served() *visitor {
	v.Start(time.Now(), time.Now())
	v.Admit()
	v.Rest(time.Now())
	return v
}

func (v *visitor) want(alive bool, why string) {
	v.t.Helper()
	if got := v.Why() == Alive; got != alive {
		v.t.Errorf("%s: goes on: %t", why, got)
	}
}

// TestLargerPartMakesRoom has the larger of two parts make room, that without a
// request so far and that between two, and in it the one that has waited longest.
func TestLargerPartMakesRoom(t *testing.T) {
	r := NewRoom(4, 100)
	known := in(t, r).served()
	first, second, third := in(t, r), in(t, r), in(t, r)
	fourth := in(t, r)
	first.want(false, "the oldest of three")
	second.served()
	third.served()
	fifth := in(t, r)
	known.want(false, "the oldest of three that were served")
	for _, v := range []*visitor{second, third, fourth, fifth} {
		v.want(true, "another")
	}
	if n := r.Taken(); n != 4 {
		t.Errorf("%d places are taken", n)
	}
}

// TestAdmittedStay keeps what is under way, and turns new ones away where nothing
// else is. A call counts likewise.
func TestAdmittedStay(t *testing.T) {
	r := NewRoom(2, 100)
	admitted, calling := in(t, r), in(t, r)
	admitted.Start(time.Now(), time.Now())
	admitted.Admit()
	calling.Join()
	if _, ok := enter(t, r, nil); ok {
		t.Error("there is room")
	}
	admitted.want(true, "what was admitted")
	calling.want(true, "one with a call")
	calling.Part(time.Now())
	in(t, r)
	calling.want(false, "one whose call is over")
}

// TestUnreadStay passes over those that have sent something that nobody has read
// yet, while there is another.
func TestUnreadStay(t *testing.T) {
	r := NewRoom(2, 100)
	unread, _ := enter(t, r, seen{unread: true})
	silent := in(t, r)
	last := in(t, r)
	unread.want(true, "one with bytes that nobody has read")
	silent.want(false, "one that has sent nothing")
	last.want(true, "the new one")
}

// TestHeadsMakeRoom bounds what is read of heads: who has been at one for longest
// goes. One that was read is not counted.
func TestHeadsMakeRoom(t *testing.T) {
	r := NewRoom(100, 20)
	all := []*visitor{in(t, r), in(t, r), in(t, r), in(t, r)}
	for _, v := range all[:2] {
		v.Start(time.Now(), time.Now())
	}
	all[0].Admit()
	all[2].Start(time.Now(), time.Now())
	all[1].want(true, "one of two heads")
	all[3].Start(time.Now(), time.Now())
	all[0].want(true, "one that was read")
	all[1].want(false, "the oldest of three")
	all[2].want(true, "the second")
	all[3].want(true, "the third")
}

// TestWeight counts what takes more than others for as much, and gives all of it
// back.
func TestWeight(t *testing.T) {
	r := NewRoom(10, 100)
	small, large := in(t, r), in(t, r)
	if !large.Weigh(8) || r.Taken() != 10 {
		t.Fatalf("%d places are taken", r.Taken())
	}
	next := in(t, r)
	small.want(false, "the oldest")
	next.served()
	next.Start(time.Now(), time.Now())
	next.Admit()
	if next.Weigh(8) {
		if large.Why() == Alive {
			t.Error("more fit than there are places")
		}
	} else {
		t.Error("the large one does not make room")
	}
	r.Leave(&next.Connection)
	r.Leave(&next.Connection)
	r.Leave(&large.Connection)
	if r.Taken() != 0 {
		t.Errorf("%d places are taken when all have left", r.Taken())
	}
}
