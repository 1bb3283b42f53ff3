package lifetime

import (
	"sync"
	"sync/atomic"
)

// A Room bounds the connections of a server, and what is read of requests that
// were not admitted yet. Where it is full, the one that nothing but the agent has
// been waited for longest has to go. It is safe for concurrent use. Its lock is
// taken behind that of a [Connection], never before it.
type Room struct {
	mu     sync.Mutex
	places int // there are
	taken  int
	header int // bytes that may be read of heads
	queues [queues]queue
	pins   atomic.Int64
}

// The queues of a Room. A connection whose request was admitted is in none: what
// is under way is not pushed out.
const (
	fresh   = iota // without a request, and none was admitted before
	resting        // without a request
	reading        // of one that was not admitted yet
	queues
)

// queue is a list of connections, the one that was added first in front.
type queue struct {
	first, last *Connection
	places      int
	header      int
}

// place is what a Room knows of a connection. All but room, which does not change
// behind [Room.Enter], is under its lock.
type place struct {
	room       *Room // nil: it takes no place
	in         *queue
	next, back *Connection
	places     int // it takes; 0: it has left
	header     int // bytes that its head may have
}

// NewRoom returns a Room of so many places, and for so many bytes of heads.
func NewRoom(places, header int) *Room { return &Room{places: places, header: header} }

// Enter gives l, which was opened, so many places, or reports that there are none:
// every other one is being served. Heads of l have at most header bytes.
func (r *Room) Enter(l *Connection, places, header int) bool {
	if !r.make(places) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	l.place = place{room: r, places: places, header: header}
	r.queues[fresh].add(l)
	return true
}

// Leave gives the places of l back, if it has any.
func (r *Room) Leave(l *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.place.room == nil {
		return
	}
	if l.place.in != nil {
		l.place.in.remove(l)
	}
	r.taken -= l.place.places
	l.place.places = 0
}

// Weigh has the connection take so many more places, or reports that there are
// none. It is for the goroutine of the connection.
func (l *Connection) Weigh(more int) bool {
	r := l.place.room
	if r == nil {
		return true
	}
	if !r.make(more) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.place.places == 0 { // it was pushed out meanwhile
		r.taken -= more
		return false
	}
	in := l.place.in
	if in != nil {
		in.places += more
	}
	l.place.places += more
	return true
}

// make takes so many places, and makes room for them.
func (r *Room) make(places int) bool {
	for {
		r.mu.Lock()
		if r.taken+places <= r.places {
			r.taken += places
			r.mu.Unlock()
			return true
		}
		oldest := r.pick()
		r.mu.Unlock()
		if oldest == nil {
			return false
		}
		oldest.Evict() // or it was admitted meanwhile, and stands in no queue any more
	}
}

// pick takes out of its queue who has to go. Of those that are silent the larger
// part makes room, whether they have been served before or not: who opens many
// pushes out its own.
func (r *Room) pick() *Connection {
	q := &r.queues[resting]
	if r.queues[fresh].places >= q.places {
		q = &r.queues[fresh]
	}
	if q.first == nil {
		q = &r.queues[reading]
	}
	return q.take()
}

// relieve has those go that have been at the head of a request for longest, while
// together they may take too much memory.
func (r *Room) relieve() {
	for {
		r.mu.Lock()
		oldest := (*Connection)(nil)
		if q := &r.queues[reading]; q.header > r.header {
			oldest = q.take()
		}
		r.mu.Unlock()
		if oldest == nil {
			return
		}
		oldest.Evict()
	}
}

// Taken returns how many places are taken.
func (r *Room) Taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// Pins returns how many silent connections keep one to an upstream.
func (r *Room) Pins() int { return int(r.pins.Load()) }

// looks bounds how many are looked at for one that has sent nothing: looking is
// a system call.
const looks = 32

// take takes out the first that has no bytes waiting. What was sent at once and
// nobody has had the time to read is not the agent's delay.
func (q *queue) take() *Connection {
	l := q.first
	for n := 0; l != nil && n < looks; n++ {
		if l.socket == nil || !l.socket.Unread() {
			q.remove(l)
			return l
		}
		l = l.place.next
	}
	if l = q.first; l != nil {
		q.remove(l)
	}
	return l
}

func (q *queue) add(l *Connection) {
	l.place.in, l.place.back, l.place.next = q, q.last, nil
	if q.last == nil {
		q.first = l
	} else {
		q.last.place.next = l
	}
	q.last = l
	q.places += l.place.places
	q.header += l.place.header
}

func (q *queue) remove(l *Connection) {
	p := &l.place
	if p.back == nil {
		q.first = p.next
	} else {
		p.back.place.next = p.next
	}
	if p.next == nil {
		q.last = p.back
	} else {
		p.next.place.back = p.back
	}
	p.in, p.next, p.back = nil, nil, nil
	q.places -= p.places
	q.header -= p.header
}

// stand puts l into a queue, or none. full: too much is read, so that relieve has
// to be called without a lock.
func (l *Connection) stand(at int) (full bool) {
	r := l.place.room
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.place.in != nil {
		l.place.in.remove(l)
	}
	if at < queues && l.place.places > 0 {
		r.queues[at].add(l)
	}
	return r.queues[reading].header > r.header
}

// pin counts the upstream connection of a connection that becomes silent, or is
// no more.
func (l *Connection) pin(now bool) {
	if r := l.place.room; r != nil && now != l.pinned {
		l.pinned = now
		if now {
			r.pins.Add(1)
		} else {
			r.pins.Add(-1)
		}
	}
}
