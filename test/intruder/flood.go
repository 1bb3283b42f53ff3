//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// flood opens, begins and sends too much of everything at once, and prints how
// far it got.
func flood(args []string) error {
	f := flag.NewFlagSet("flood", flag.ContinueOnError)
	addr := f.String("addr", "", "")
	health := f.String("health", "", "")
	conns := f.Int("conns", 4000, "")
	duration := f.Duration("for", 20*time.Second, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	token := os.Getenv("GITHUB_TOKEN")
	head := "GET /repos/acme/docs HTTP/1.1\r\nHost: " + *addr + "\r\nAuthorization: Bearer " + token + "\r\n"
	long := head + strings.Repeat("X-Fill: "+strings.Repeat("x", 1000)+"\r\n", 30)
	body := strings.Replace(head, "GET", "POST", 1) + "Content-Length: 1000000000\r\n\r\n"
	end := time.Now().Add(*duration)
	var running sync.WaitGroup
	var tallies []*tally
	start := func(name, addr string, n int, do func(*tally, net.Conn)) {
		t := &tally{name: name}
		tallies = append(tallies, t)
		for range n {
			running.Go(func() { t.again(addr, end, do) })
		}
	}
	start("idle", *addr, *conns, func(_ *tally, c net.Conn) { wait(c) })
	start("half a header", *addr, *conns, func(_ *tally, c net.Conn) {
		_, _ = io.WriteString(c, long) // it may be cut off
		wait(c)
	})
	start("endless body", *addr, 300, func(t *tally, c net.Conn) {
		_, _ = io.WriteString(c, body) // it may be cut off
		pour(t, c, strings.Repeat("x", 64<<10))
	})
	start("pipelined", *addr, 300, func(t *tally, c net.Conn) {
		pour(t, c, strings.Repeat(strings.Replace(head, "GET", "DELETE", 1)+"\r\n", 50))
	})
	start("health", *health, 400, func(_ *tally, c net.Conn) {
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\n") // it may be cut off
		wait(c)
	})
	running.Wait()
	for _, t := range tallies {
		fmt.Fprintf(os.Stdout, "%s: %d connections, %d failed, %d bytes\n", t.name, t.opened.Load(), t.failed.Load(), t.sent.Load())
	}
	return nil
}

// tally counts what one kind of flood did.
type tally struct {
	name                 string
	opened, failed, sent atomic.Int64
}

// again connects until end, each time that it is cut off.
func (t *tally) again(addr string, end time.Time, do func(*tally, net.Conn)) {
	for time.Now().Before(end) {
		c, err := net.DialTimeout("tcp", addr, time.Until(end))
		if err != nil {
			t.failed.Add(1)
			<-time.After(100 * time.Millisecond)
			continue
		}
		t.opened.Add(1)
		_ = c.SetDeadline(end) // a socket takes one
		do(t, c)
		_ = c.Close() // all was sent that could be
	}
}

// wait reads until the other side has had enough.
func wait(c net.Conn) {
	_, _ = io.Copy(io.Discard, c) // as long as it lasts
	<-time.After(50 * time.Millisecond)
}

// pour writes until it is cut off, and never reads.
func pour(t *tally, c net.Conn, text string) {
	for {
		n, err := io.WriteString(c, text)
		t.sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}
