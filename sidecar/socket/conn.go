package socket

import (
	"encoding/binary"
	"net"
)

// Buffers are where [Socket.Fill] takes a buffer once there are bytes for it.
type Buffers interface {
	// Get returns a buffer of some n bytes, with anything in it.
	Get(n int) []byte
	// Put takes it back.
	Put(b []byte)
}

// Conn is a connection for TLS above it that is read from and written to like a
// [Socket].
type Conn struct {
	net.Conn
	socket  *Socket
	records records
}

// Wrap returns a Conn of c, or c where it is no plain socket.
func Wrap(c net.Conn) net.Conn {
	if s := Of(c); s != nil {
		return &Conn{Conn: c, socket: s}
	}
	return c
}

// Read reads what has come, or waits for it.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.socket.Read(p)
	c.records.pass(p[:n])
	return n, err
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) { return c.socket.Write(p) }

// Hurry is [Socket.Hurry].
func (c *Conn) Hurry() { c.socket.Hurry() }

// Relax is [Socket.Relax].
func (c *Conn) Relax() (found bool) { return c.socket.Relax() }

// Ask is [Socket.Ask]. Where what was read is not [Conn.Whole], send is not called
// either.
func (c *Conn) Ask(send func() error) {
	c.socket.Ask(send)
	c.socket.found = !c.Whole()
}

// Asked is [Socket.Asked].
func (c *Conn) Asked() (called bool, err error) { return c.socket.Asked() }

// Whole tells whether what was read ends with a record, so that TLS holds no beginning
// of another. After an alert that everybody can see it never does: TLS looks at the
// record behind one that ends a read, if it is an alert.
func (c *Conn) Whole() bool { return c.records.have == 0 && c.records.left == 0 && !c.records.alerted }

// records follows the records of TLS (RFC 8446, 5.1) through what is read.
type records struct {
	head    [5]byte // type, version and length
	have    int     // bytes of head
	left    int     // bytes of the record
	alerted bool    // one was an alert
}

func (r *records) pass(b []byte) {
	const alert = 21
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			r.left, b = r.left-n, b[n:]
			continue
		}
		n := copy(r.head[r.have:], b)
		r.have, b = r.have+n, b[n:]
		if r.have == len(r.head) {
			r.have, r.left = 0, int(binary.BigEndian.Uint16(r.head[3:]))
			r.alerted = r.alerted || r.head[0] == alert
		}
	}
}
