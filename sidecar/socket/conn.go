package socket

import "net"

// Buffers are where [Socket.Fill] takes a buffer once there are bytes for it.
type Buffers interface {
	// Get returns a buffer of some n bytes, with anything in it.
	Get(n int) []byte
	// Put takes it back.
	Put(b []byte)
}

// Conn is a connection for a layer above it, such as TLS, that is read from and
// written to like a [Socket].
type Conn struct {
	net.Conn
	socket *Socket
}

// Wrap returns a Conn of c, or c where it is no plain socket.
func Wrap(c net.Conn) net.Conn {
	if s := Of(c); s != nil {
		return &Conn{Conn: c, socket: s}
	}
	return c
}

// Read reads what has come, or waits for it.
func (c *Conn) Read(p []byte) (int, error) { return c.socket.Read(p) }

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) { return c.socket.Write(p) }

// Hurry is [Socket.Hurry].
func (c *Conn) Hurry() { c.socket.Hurry() }

// Relax is [Socket.Relax].
func (c *Conn) Relax() (found bool) { return c.socket.Relax() }

// Ask is [Socket.Ask].
func (c *Conn) Ask(send func() error) { c.socket.Ask(send) }

// Asked is [Socket.Asked].
func (c *Conn) Asked() (called bool, err error) { return c.socket.Asked() }
