package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/sidecar/websocket"
)

// upstream answers a request by what its path says.
type upstream struct {
	listener net.Listener
	over     chan struct{} // the test is
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{listener: l, over: make(chan struct{})}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { u.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		close(u.over)
		_ = l.Close()
		open.Wait()
	})
	return u
}

func (u *upstream) serve(c *net.TCPConn) {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-u.over:
		case <-done:
		}
		_ = c.Close()
	}()
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		what := strings.TrimPrefix(r.URL.Path, "/")
		if what != "unread" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		fault := faults[what]
		if what == "chat" {
			fault = stall("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
				websocket.Accept(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
		}
		if fault == nil {
			fault = good(what)
		}
		if !fault(u, c) {
			return
		}
	}
}

// good answers with the name that was asked for.
func good(what string) func(*upstream, *net.TCPConn) bool {
	return func(_ *upstream, c *net.TCPConn) bool {
		_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(what), what)
		return err == nil
	}
}

// faults are what an upstream may do instead. They return whether another
// request may follow.
var faults = map[string]func(*upstream, *net.TCPConn) bool{
	"silence":       func(u *upstream, _ *net.TCPConn) bool { <-u.over; return false },
	"unread":        func(u *upstream, _ *net.TCPConn) bool { <-u.over; return false },
	"half-head":     stall("HTTP/1.1 200 OK\r\nX-Half: "),
	"half-body":     stall("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
	"close":         func(*upstream, *net.TCPConn) bool { return false },
	"reset":         reset(""),
	"reset-head":    reset("HTTP/1.1 200 OK\r\nX-Half: "),
	"reset-sized":   reset("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000)),
	"reset-chunked": reset("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
	"reset-gzip":    reset("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\na\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\r\n"),
	"half-close": func(u *upstream, c *net.TCPConn) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_ = c.CloseWrite()
		<-u.over
		return false
	},
	"header-bomb": func(_ *upstream, c *net.TCPConn) bool {
		return pour(c, "HTTP/1.1 200 OK\r\n", []byte("X-Bomb: "+strings.Repeat("b", 1000)+"\r\n"))
	},
	"hints-bomb": func(_ *upstream, c *net.TCPConn) bool {
		return pour(c, "", []byte("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))
	},
	"flood": func(_ *upstream, c *net.TCPConn) bool { return pour(c, "HTTP/1.1 200 OK\r\n\r\n", plenty) },
	// JSON whose kept part is most of it.
	"held/kept": func(_ *upstream, c *net.TCPConn) bool {
		_, err := c.Write(large)
		return err == nil
	},
	"drip": func(_ *upstream, c *net.TCPConn) bool {
		return pour(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", []byte("data: x\n\n"))
	},
}

// large is an answer of more than the kernel takes of it, most of which is kept.
var large = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"kept\":\"%s\"}", 7<<20+11, strings.Repeat("x", 7<<20))

func stall(text string) func(*upstream, *net.TCPConn) bool {
	return func(u *upstream, c *net.TCPConn) bool {
		_, _ = io.WriteString(c, text)
		<-u.over
		return false
	}
}

// reset writes, and ends the connection so that what was not read is lost.
func reset(text string) func(*upstream, *net.TCPConn) bool {
	return func(_ *upstream, c *net.TCPConn) bool {
		_, _ = io.WriteString(c, text)
		_ = c.SetLinger(0)
		return false
	}
}

// pour writes until nobody takes it any more.
func pour(c io.Writer, start string, more []byte) bool {
	_, err := io.WriteString(c, start)
	for err == nil {
		_, err = c.Write(more)
	}
	return false
}

// plenty is what floods consist of, once.
var plenty = bytes.Repeat([]byte("x"), 64<<10)
