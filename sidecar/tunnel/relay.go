package tunnel

import (
	"errors"
	"io"
	"net"
	"time"
)

// piece is what is carried at a time.
const piece = 16 << 10

// longAgo is a deadline that breaks every read and write at once.
var longAgo = time.Unix(1, 0)

// Relay carries what agent and upstream say to each other, unread, until both
// have ended or one has failed, and returns how many bytes the agent has sent and
// received. It calls moved for every piece, from two goroutines, and ends where
// that says no. Whoever ends it before that sets a deadline that has passed.
// Neither connection is closed.
func Relay(agent, up net.Conn, moved func() bool) (sent, received int64) {
	done := make(chan int64, 1)
	go func() { done <- carry(agent, up, moved) }()
	sent = carry(up, agent, moved)
	return sent, <-done
}

// carry carries one direction. Its end is passed on; where it fails, nobody is
// left to hear the other one.
func carry(to, from net.Conn, moved func() bool) (n int64) {
	text := make([]byte, piece)
	for {
		got, err := from.Read(text)
		if got > 0 {
			put, failed := to.Write(text[:got])
			n += int64(put)
			if failed != nil || !moved() {
				sever(to, from)
				return n
			}
		}
		switch half, ok := to.(interface{ CloseWrite() error }); {
		case err == nil:
		case errors.Is(err, io.EOF) && ok && half.CloseWrite() == nil:
			return n
		default:
			sever(to, from)
			return n
		}
	}
}

// sever ends both directions.
func sever(all ...net.Conn) {
	for _, c := range all {
		_ = c.SetDeadline(longAgo) // one that takes none is closed already
	}
}
