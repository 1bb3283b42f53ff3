//go:build unix && !openbsd

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAsk asks a peer that is silent, and no other: of what was there before it is
// not known what it answers.
func TestAsk(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		before func(s *Socket, server, client *net.TCPConn)
		fails  error
		called bool
		text   string
		err    error
	}{
		"silent": {called: true, text: "answer"},
		"speaks": {
			before: func(_ *Socket, server, client *net.TCPConn) { io.WriteString(client, "unasked"); await(t, server) },
			text:   "unasked",
		},
		"closed": {
			before: func(_ *Socket, server, client *net.TCPConn) { client.Close(); await(t, server) },
			err:    io.EOF,
		},
		"late": {
			before: func(_ *Socket, server, _ *net.TCPConn) { server.SetReadDeadline(longAgo) },
			err:    os.ErrDeadlineExceeded,
		},
		"not sent": {fails: refused, called: true, err: os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			s := Of(server)
			if test.before != nil {
				test.before(s, server, client)
			}
			calls := 0
			s.Ask(func() error {
				if calls++; test.fails != nil {
					return test.fails
				}
				_, err := io.WriteString(client, "answer")
				return err
			})
			buf, n, err := s.Fill(10, heap{})
			if string(buf[:n]) != test.text || !errors.Is(err, test.err) {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			called, err := s.Asked()
			if called != test.called || calls > 1 || (calls == 1) != called || !errors.Is(err, test.fails) {
				t.Errorf("called %t, %d times, %v", called, calls, err)
			}
		})
	}
}

// TestAskOnce asks nothing in the middle of what somebody says unasked, however it
// is cut, and waits for no more of it.
func TestAskOnce(t *testing.T) {
	server, client := pair(t)
	c, ok := Wrap(server).(*Conn)
	if !ok {
		t.Fatal("it is no plain socket")
	}
	if _, err := io.WriteString(client, "ab"); err != nil {
		t.Fatal(err)
	}
	await(t, server)
	c.Ask(func() error { t.Error("it was asked"); return nil })
	for _, want := range []string{"a", "b", ""} {
		part := make([]byte, 1)
		n, err := c.Read(part)
		if string(part[:n]) != want || (want == "") != errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v, want %q", part[:n], err, want)
		}
	}
	if called, err := c.Asked(); called || err != nil {
		t.Errorf("called %t, %v", called, err)
	}
	go io.WriteString(client, "c")
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("after that: read %d, %v", n, err)
	}
}

// TestAskMissesNothing has answers come at once, before the one who asks waits.
func TestAskMissesNothing(t *testing.T) {
	var all sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		server, client := pair(t)
		all.Go(func() { _, _ = io.Copy(client, client) }) // up to the end of the other
		all.Go(func() {
			defer server.Close()
			s, word := Of(server), make([]byte, 8)
			for i := range 5000 {
				if err := server.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
					t.Error(err)
					return
				}
				s.Ask(func() error { _, err := s.Write(word[:4]); return err })
				n, err := s.Read(word)
				if called, failed := s.Asked(); n != 4 || !called || errors.Join(err, failed) != nil {
					t.Errorf("word %d: read %d, called %t, %v", i, n, called, errors.Join(err, failed))
					return
				}
			}
		})
	}
	all.Wait()
}

// TestWhole follows records however they are cut.
func TestWhole(t *testing.T) {
	record := func(kind byte, n int) string {
		return string([]byte{kind, 3, 3, byte(n >> 8), byte(n)}) + strings.Repeat("\x15", n)
	}
	for text, want := range map[string]bool{
		"":                                true,
		record(23, 300):                   true,
		record(23, 0) + record(22, 1):     true,
		record(23, 300)[:304]:             false,
		record(23, 300) + "\x17":          false,
		record(23, 7) + record(23, 7)[:5]: false,
		record(21, 2) + record(23, 7):     false, // TLS may have looked behind it
	} {
		for size := 1; size <= len(text)+1; size++ {
			var c Conn
			for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				c.records.pass(rest[:min(size, len(rest))])
			}
			if c.Whole() != want {
				t.Errorf("%q, %d bytes at once: whole is %t", text, size, c.Whole())
			}
		}
	}
}
