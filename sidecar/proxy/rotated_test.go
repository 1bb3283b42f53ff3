package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/secret"
	socket "github.com/sallyport-dev/sallyport/sidecar/websocket"
)

// keys are those that a credential has had, one after the other.
var keys = []string{theSecret, "SECOND-KEY-8Wv/2=", "THIRD-KEY-4Rt+6=="}

// rotate has the credential served with another of them.
func (f *fixture) rotate(n int) {
	f.t.Helper()
	c := document()
	withSocket(c)
	c.Secret, c.Upstream.Generation = secret.New(keys[n]), c.Upstream.Generation+int64(n)
	if errs := f.server.Apply(state(c)); len(errs) > 0 {
		f.t.Fatal(errs)
	}
}

// speaking sends what it is given, piece by piece, as the events of an answer or
// the messages of a WebSocket.
func speaking(pieces <-chan string) exchangeFunc {
	return func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		head, frame := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", func(p string) string { return p }
		if req.Header.Get("Upgrade") != "" {
			head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + socket.Accept(req.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"
			frame = func(p string) string { return string([]byte{0x81, byte(len(p))}) + p }
		}
		_, err = io.WriteString(c, head)
		for p := range pieces {
			if err == nil {
				_, err = io.WriteString(c, frame(p))
			}
		}
		return io.EOF
	}
}

// TestRotatedKeysAreMasked: what was begun with one key masks those that come
// after it, since others send them meanwhile, and goes on to mask its own.
func TestRotatedKeysAreMasked(t *testing.T) {
	for name, opened := range map[string]string{"events": request("GET", "/notes") + "\r\n", "WebSocket": opening("")} {
		t.Run(name, func(t *testing.T) {
			pieces := make(chan string)
			f := newFixture(t, speaking(pieces), withSocket)
			defer close(pieces)
			a := f.agent()
			a.send(opened)
			if _, err := http.ReadResponse(a.r, &http.Request{Method: "GET"}); err != nil {
				t.Fatal(err)
			}
			var in io.Reader = a.r
			if name == "events" {
				in = &unchunked{a.r}
			}
			for n := range keys {
				if n > 0 {
					f.rotate(n)
				}
				for _, key := range keys[:n+1] {
					said := "key " + key + ".\n"
					pieces <- said
					got := make([]byte, len(said))
					if name == "WebSocket" {
						_, text, _ := strings.Cut(a.frame(), " ")
						got = []byte(text)
					} else if _, err := io.ReadFull(in, got); err != nil {
						t.Fatal(err)
					}
					if want := "key " + strings.Repeat("*", len(key)) + ".\n"; string(got) != want {
						t.Fatalf("after %d rotations: got %q, want %q", n, got, want)
					}
				}
			}
		})
	}
}

// unchunked reads the content of chunks.
type unchunked struct{ r *bufio.Reader }

func (u *unchunked) Read(p []byte) (int, error) {
	var n int
	if _, err := fmt.Fscanf(u.r, "%x\r\n", &n); err != nil {
		return 0, err
	}
	chunk := make([]byte, n+2)
	if _, err := io.ReadFull(u.r, chunk); err != nil {
		return 0, err
	}
	return copy(p, chunk[:n]), nil
}

// TestKeyBeforeIsMasked: an upstream may have kept the key that it was shown
// before, which is often still good, and tell it in fields or text.
func TestKeyBeforeIsMasked(t *testing.T) {
	said := keys[0] + " " + keys[1]
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Seen: %s\r\nContent-Length: %d\r\n\r\n%s", said, len(said), said)
	f := newFixture(t, saying(answer))
	f.rotate(1)
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	got := a.read("GET")
	for _, text := range []string{got.body, got.Header.Get("X-Seen")} {
		if want := strings.Repeat("*", len(keys[0])) + " " + strings.Repeat("*", len(keys[1])); text != want {
			t.Errorf("got %q", text)
		}
	}
}
