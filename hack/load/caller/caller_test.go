package caller

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// TestClosedBetween asks a server that closes each connection behind its first
// answer, without a word: the next request is repeated on another one, once.
func TestClosedBetween(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			c.Close()
		}
	}()
	c := Caller{Address: l.Addr().String()}
	defer c.Close()
	const calls = 3
	for range calls {
		status, text, err := c.Call(t.Context(), http.MethodGet, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		if status != http.StatusOK || string(text) != "ok" || err != nil {
			t.Errorf("%d, %q, %v", status, text, err)
		}
	}
	if c.Again != calls-1 {
		t.Errorf("%d requests were repeated, not %d", c.Again, calls-1)
	}
	l.Close()
	if _, _, err := c.Call(t.Context(), http.MethodGet, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err == nil {
		t.Error("nobody answered, and there is an answer")
	}
}
