//go:build unix && !openbsd

package http1

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
)

// connected is a connection to an upstream, and the upstream's end of it.
var connected = map[string]func(t *testing.T) (client, upstream net.Conn){
	"plain":   func(t *testing.T) (net.Conn, net.Conn) { c, u := pair(t); return c, u },
	"secured": func(t *testing.T) (net.Conn, net.Conn) { c, u := securedPair(t); return c, u },
}

// TestAsk sends a request exactly on a connection that is reusable, and reads what
// comes after it as the answer.
func TestAsk(t *testing.T) {
	for kind, connect := range connected {
		for what, test := range map[string]struct {
			then  func(c net.Conn) // nil: nothing
			first string           // answer to what was asked before; empty: okAnswer
			want  bool
		}{
			"quiet":  {want: true},
			"closed": {then: func(c net.Conn) { c.Close() }},
			"speaks": {then: func(c net.Conn) { io.WriteString(c, okAnswer) }},
			"begins": {then: begin},
			"follow": {first: okAnswer + okAnswer},
			"bit":    {first: okAnswer + "H"},
		} {
			t.Run(kind+" "+what, func(t *testing.T) {
				client, upstream := connect(t)
				if test.first == "" {
					test.first = okAnswer
				}
				go io.WriteString(upstream, test.first)
				r := readFirst(t, client)
				if test.then != nil {
					test.then(upstream)
					arrived(t, r)
				}
				ask(t, r, upstream, test.want)
			})
		}
	}
}

// begin sends the beginning of something: of a record, where there is TLS.
func begin(c net.Conn) {
	if s, ok := c.(*tls.Conn); ok {
		c = s.NetConn()
	}
	c.Write([]byte{23, 3, 3})
}

func readFirst(t *testing.T, src io.Reader) *Reader {
	t.Helper()
	r := NewReader(src, testLimit)
	var h ResponseHead
	if err := r.ReadResponse(&h, "GET"); err != nil {
		t.Fatal(err)
	}
	if sent, err := r.Ask(func() error { t.Error("asked within an answer"); return nil }); sent || err == nil {
		t.Errorf("within an answer: sent %t, %v", sent, err)
	}
	if body, err := io.ReadAll(r.Body()); string(body) != "ok" || err != nil {
		t.Fatalf("got %q, %v", body, err)
	}
	return r
}

func ask(t *testing.T, r *Reader, upstream io.Writer, want bool) {
	t.Helper()
	const second = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
	sent, err := r.Ask(func() error {
		if !want {
			t.Error("it was asked")
		}
		go io.WriteString(upstream, second)
		return nil
	})
	if sent != want || err != nil {
		t.Errorf("sent %t, %v", sent, err)
	}
	var h ResponseHead
	if err := r.ReadResponse(&h, "GET"); (err == nil) != want || want && h.Status != 201 {
		t.Errorf("then %d, %v", h.Status, err)
	}
}

// What is no socket cannot be asked about, and is not asked.
func TestAskNothing(t *testing.T) {
	r := NewReader(strings.NewReader(okAnswer), testLimit)
	if sent, err := r.Ask(func() error { t.Error("it was asked"); return nil }); sent || err != nil {
		t.Errorf("sent %t, %v", sent, err)
	}
}
