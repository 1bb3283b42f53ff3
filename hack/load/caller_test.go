package main

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"testing"
)

// TestLoad asks the upstream itself what agents ask: each kind of answer, and one
// on a connection that was closed in between.
func TestLoad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go serve(l)
	a := newAgents(l.Addr().String(), "")
	c := &caller{address: a.address}
	defer c.close()
	ask := func(method, path string, body []byte) (int, []byte, error) {
		return c.call(t.Context(), method, a.request(method, path, body))
	}
	for _, n := range []int{0, 1, 199, 3999, 123456} {
		for range 2 {
			if status, text, err := ask(http.MethodGet, "/items/"+strconv.Itoa(n), nil); a.whole(n)(status, text, err) != "" {
				t.Errorf("item %d: %d, %.40q, %v", n, status, text, err)
			}
			if status, text, err := ask(http.MethodPost, "/items", itemOf(n)); a.whole(n)(status, text, err) != "" {
				t.Errorf("posting %d: %d, %.40q, %v", n, status, text, err)
			}
		}
	}
	if status, _, _ := ask(http.MethodPost, "/items", bytes.ToUpper(itemOf(5))); status != http.StatusBadRequest {
		t.Errorf("an item that was changed: %d", status)
	}
	if status, text, err := ask(http.MethodGet, "/resets/1", nil); broken(status, text, err) != "" {
		t.Errorf("broken off: %d, %q, %v", status, text, err)
	}
	if status, text, err := ask(http.MethodGet, "/large", nil); len(text) != largeAnswer {
		t.Errorf("large: %d, %d bytes, %v", status, len(text), err)
	}
	if c.again > 0 {
		t.Errorf("%d requests were repeated", c.again)
	}
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if status, text, err := ask(http.MethodGet, "/items/7", nil); a.whole(7)(status, text, err) != "" || c.again != 1 {
		t.Errorf("on a connection that was closed: %d, %q, %v, repeated %d times", status, text, err, c.again)
	}
}
