package lifetime

import (
	"net"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// TestEndedLivesHandNothingOver looks at a connection that was pushed out while
// it rested: the deadline that ended it is its upstream connection's, too, and
// would break the next exchange on it.
func TestEndedLivesHandNothingOver(t *testing.T) {
	agent, _ := net.Pipe()
	up, _ := net.Pipe()
	for name, end := range map[string]func(*Connection){
		"pushed out":  func(l *Connection) { l.Evict() },
		"time is up":  func(l *Connection) { l.until = time.Time{} },
		"stopped":     func(l *Connection) { l.EndIdle() },
		"still there": func(*Connection) {},
	} {
		now := time.Now()
		var l Connection
		l.Open(agent, nil, now)
		l.Bind(&dial.Conn{Conn: up})
		end(&l)
		if got := l.Look(now.Add(2 * pinTimeout)); (got != nil) != (name == "still there") {
			t.Errorf("%s: handed over: %t", name, got != nil)
		}
	}
}
