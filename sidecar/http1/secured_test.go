//go:build unix && !openbsd

package http1

import (
	"crypto/tls"
	"errors"
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
	client = tls.Client(socket.Wrap(near), &tls.Config{InsecureSkipVerify: true})
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
