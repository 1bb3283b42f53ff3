package caller

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// TestClosedBetween asks a server that closes each connection behind its first
// answer, without a word: the next request fails, and is not asked again behind the
// caller's back, and the one after it is asked on another connection.
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
	for i := range 6 {
		status, text, err := c.Call(t.Context(), http.MethodGet, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		if answered := status == http.StatusOK && string(text) == "ok" && err == nil; answered != (i%2 == 0) {
			t.Errorf("call %d: %d, %q, %v", i, status, text, err)
		}
	}
}
