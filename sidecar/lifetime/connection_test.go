package lifetime

import (
	"context"
	"errors"
	"net"
	"os"
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

// seen is a socket in which there is what a test says.
type seen struct{ gone, unread bool }

func (s seen) Gone() bool   { return s.gone }
func (s seen) Unread() bool { return s.unread }

// TestAgentsThatLeave ends a stream whose agent has left, and no other exchange:
// an answer may still be wanted by who has closed one side.
func TestAgentsThatLeave(t *testing.T) {
	for name, test := range map[string]struct {
		socket Socket
		stream bool
		want   bool // it goes on
	}{
		"a stream":             {seen{gone: true}, true, false},
		"a stream, still read": {seen{}, true, true},
		"no stream":            {seen{gone: true}, false, true},
		"no socket":            {nil, true, true},
	} {
		agent, _ := net.Pipe()
		var l Connection
		now := time.Now()
		l.Open(agent, test.socket, now)
		l.Start(now, now.Add(time.Minute))
		if test.stream {
			l.Stream()
		}
		l.Look(now)
		if got := l.Why() == Alive; got != test.want {
			t.Errorf("%s: goes on: %t", name, got)
		}
	}
}

// TestEndedWhileDialling breaks the connection that was opened although the life
// ended meanwhile: nobody ends it a second time.
func TestEndedWhileDialling(t *testing.T) {
	agent, _ := net.Pipe()
	near, far := net.Pipe()
	defer far.Close()
	var l Connection
	now := time.Now()
	l.Open(agent, nil, now)
	l.Start(now, now.Add(time.Minute))
	up, err := l.Dial(t.Context(), func(context.Context) (*dial.Conn, error) {
		l.End(Stopped)
		return &dial.Conn{Conn: near}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing to it: %v", err)
	}
}
