package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// hostile are the agents that misbehave, and how many of each do so at once.
var hostile = []struct {
	name  string
	many  int
	visit func(ctx context.Context, c *net.TCPConn, a access)
}{
	{"half a header, a byte at a time", 16, func(ctx context.Context, c *net.TCPConn, a access) {
		drip(ctx, c, a.head("GET", "/items/1")+"X-Slow: "+strings.Repeat("a", 1000))
	}},
	{"half a body", 16, func(ctx context.Context, c *net.TCPConn, a access) {
		drip(ctx, c, a.head("POST", "/items")+"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat(" ", 500))
	}},
	{"reset in the middle of a body", 4, func(_ context.Context, c *net.TCPConn, a access) {
		say(c, a.head("POST", "/items")+"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		_ = c.SetLinger(0)
	}},
	{"reset in the middle of an answer", 4, func(_ context.Context, c *net.TCPConn, a access) {
		say(c, a.head("GET", "/large")+"\r\n")
		_, _ = io.CopyN(io.Discard, c, 1000)
		_ = c.SetLinger(0)
	}},
	{"an answer that is not read", 8, func(ctx context.Context, c *net.TCPConn, a access) {
		say(c, a.head("GET", "/large")+"\r\n")
		until(ctx, time.Now().Add(patience))
	}},
	{"a stream that is left", 8, func(ctx context.Context, c *net.TCPConn, a access) {
		say(c, a.head("GET", "/drips")+"\r\n")
		until(ctx, time.Now().Add(patience))
	}},
	{"a header without an end", 2, func(_ context.Context, c *net.TCPConn, a access) {
		say(c, a.head("GET", "/items/1")+strings.Repeat("X-Bomb: "+strings.Repeat("b", 1000)+"\r\n", 200))
	}},
	{"two framings", 2, func(_ context.Context, c *net.TCPConn, a access) {
		say(c, a.head("POST", "/items")+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		_, _ = io.CopyN(io.Discard, c, 100)
	}},
	{"nothing at all", 32, func(ctx context.Context, _ *net.TCPConn, _ access) { until(ctx, time.Now().Add(patience)) }},
}

const patience = 4 * time.Second

func (a access) head(method, path string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, host, a.token)
}

// say writes what the other side may not want to read.
func say(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

// drip writes a text one byte at a time, for as long as it is listened to.
func drip(ctx context.Context, c net.Conn, text string) {
	for i := 0; i < len(text) && until(ctx, time.Now().Add(10*time.Millisecond)); i++ {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
	}
}

// harass lets all of them misbehave until ctx is done, beside so many connections
// that are kept without a word, and counts their visits. Each pauses between two.
func harass(ctx context.Context, a access, idle int, pause time.Duration) (visits int64, err error) {
	var all sync.WaitGroup
	var count atomic.Int64
	var failed error
	all.Go(func() { failed = keep(ctx, a.addresses[0], idle) })
	for _, h := range hostile {
		for i := range h.many {
			all.Go(func() {
				for until(ctx, time.Now().Add(pause)) {
					c, err := net.Dial("tcp", a.addresses[i%len(a.addresses)])
					if err != nil {
						continue // too many at once is an answer, too
					}
					h.visit(ctx, c.(*net.TCPConn), a)
					_ = c.Close()
					count.Add(1)
				}
			})
		}
	}
	all.Wait()
	return count.Load(), failed
}

// keep opens connections, a thousand a second, and says nothing on them until ctx
// is done.
func keep(ctx context.Context, address string, many int) error {
	const each = time.Millisecond
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for start := time.Now(); len(open) < many && until(ctx, start.Add(time.Duration(len(open))*each)); {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return fmt.Errorf("opening connection %d of %d: %w", len(open)+1, many, err)
		}
		open = append(open, c)
	}
	<-ctx.Done()
	return nil
}
