//go:build unix && !openbsd

package http1

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// securedPair is a connection secured by TLS as those to upstreams are.
func securedPair(t *testing.T) (client, upstream *tls.Conn) {
	t.Helper()
	near, far := pair(t)
	return secure(t, near, far, tls.VersionTLS13)
}

func secure(t *testing.T, near, far net.Conn, version uint16) (client, upstream *tls.Conn) {
	t.Helper()
	client = tls.Client(socket.Wrap(near), &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	upstream = tls.Server(far, serverConfig())
	done := make(chan error, 1)
	go func() { done <- upstream.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return client, upstream
}

// TestSecuredWaitsWithoutBuffer awaits answers without memory for them, and reads
// them whatever the records are that they come in.
func TestSecuredWaitsWithoutBuffer(t *testing.T) {
	for name, records := range map[string][]string{
		"whole":         {okAnswer},
		"one byte each": split(okAnswer, 1),
		"cut in two":    {okAnswer[:20], okAnswer[20:]},
		"two at once":   {okAnswer + okAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			client, upstream := securedPair(t)
			r := NewReader(client, testLimit)
			if err := client.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if err := r.begin(true); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("waiting past the deadline: %v", err)
			}
			if r.buf != nil {
				t.Error("a buffer is held while nothing has come")
			}
			if err := client.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			r = NewReader(client, testLimit) // a deadline is the end of the other
			go func() {
				for _, text := range records {
					io.WriteString(upstream, text)
				}
			}()
			var h ResponseHead
			if err := r.ReadResponse(&h, "GET"); err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r.Body()); string(body) != "ok" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			if more := name == "two at once"; more != (r.Buffered() > 0) {
				t.Errorf("%d bytes are left", r.Buffered())
			}
		})
	}
}

// TestSecuredEnds tells apart the ends of a connection that TLS has told of behind
// the last bytes.
func TestSecuredEnds(t *testing.T) {
	client, upstream := securedPair(t)
	send(t, upstream, okAnswer[:30])
	if err := upstream.Close(); err != nil {
		t.Fatal(err)
	}
	var h ResponseHead
	if err := NewReader(client, testLimit).ReadResponse(&h, "GET"); !is(err, errHeadCut.ofAnswer()) {
		t.Errorf("got %v", err)
	}
	client, upstream = securedPair(t)
	if err := upstream.NetConn().(*net.TCPConn).Close(); err != nil {
		t.Fatal(err)
	}
	if err := NewReader(client, testLimit).Wait(); err == nil {
		t.Error("a connection that was cut has something to read")
	}
}

func split(text string, size int) (parts []string) {
	for ; len(text) > size; text = text[size:] {
		parts = append(parts, text[:size])
	}
	return append(parts, text)
}

// held keeps what is written to it, once it is to.
type held struct {
	net.Conn
	hold bool
	text []byte
}

func (h *held) Write(p []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(p)
	}
	h.text = append(h.text, p...)
	return len(p), nil
}

// TestSecuredBegun sends nothing behind the beginning of a record that came with the
// last answer, and that TLS holds: the rest of it would be taken for the answer.
func TestSecuredBegun(t *testing.T) {
	const first, unasked = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 299 X\r\nContent-Length: 0\r\n\r\n"
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		for cut := 1; cut < 9; cut += 3 {
			for how, sends := range map[string]func(r *Reader) bool{
				"ask":   func(r *Reader) bool { sent, _ := r.Ask(func() error { return nil }); return sent },
				"reuse": (*Reader).Reusable,
			} {
				t.Run(fmt.Sprintf("%s %s %d", name, how, cut), func(t *testing.T) {
					near, far := pair(t)
					h := &held{Conn: far}
					client, upstream := secure(t, near, h, version)
					h.hold = true
					send(t, upstream, first)
					whole := len(h.text)
					send(t, upstream, unasked)
					send(t, far, string(h.text[:whole+cut]))
					r := NewReader(client, testLimit)
					var answer ResponseHead
					if err := r.ReadResponse(&answer, "GET"); err != nil {
						t.Fatal(err)
					}
					if err := client.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
						t.Fatal(err)
					}
					if sends(r) {
						t.Error("it carries another request")
					}
				})
			}
		}
	}
}

// TestSecuredAlert sends nothing behind a byte that TLS handed out while it looked
// for the rest of an alert.
func TestSecuredAlert(t *testing.T) {
	near, far := pair(t)
	h := &held{Conn: far}
	client, upstream := secure(t, near, h, tls.VersionTLS12)
	r := NewReader(client, testLimit)
	h.hold = true
	send(t, upstream, "H")
	send(t, far, string(h.text)+"\x15\x03\x03")
	arrived(t, r)
	if sent, err := r.Ask(func() error { return nil }); sent || err != nil {
		t.Errorf("sent %t, %v", sent, err)
	}
}
