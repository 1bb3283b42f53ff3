//go:build unix && !openbsd

package http1

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// TestCopyBody relays answers between sockets, one behind the other, in all the
// sizes about which a buffer ends and however they are cut: what arrives is what
// was sent, to net/http, and nothing is between two answers.
func TestCopyBody(t *testing.T) {
	for _, test := range []struct {
		name    string
		secured bool
		f       Filter
	}{{"plain", false, nil}, {"secured", true, nil}, {"filtered", false, &late{}}, {"secured and filtered", true, &late{}}} {
		t.Run(test.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				copyBodies(t, test.secured, chunked, test.f)
			}
		})
	}
}

// late holds back a few bytes, as one that looks for something does.
type late struct{ held []byte }

func (l *late) Pass(part []byte) []byte {
	all := append(l.held, part...)
	n := max(0, len(all)-len(part)%7)
	l.held = bytes.Clone(all[n:])
	return all[:n]
}

func (l *late) Rest() []byte {
	all := l.held
	l.held = nil
	return all
}

var copiedSizes = []int{
	1, 511, smallBuffer - 100, smallBuffer, smallBuffer + 1, largeBuffer - 7, largeBuffer - 1, largeBuffer, largeBuffer + 1,
	2*largeBuffer - 1, 2 * largeBuffer, 2*largeBuffer + 1, 0xffff, 0x10000, 3*largeBuffer + 17, 300_000,
}

func copyBodies(t *testing.T, secured, chunked bool, f Filter) {
	upstream, from := ends(t, secured)
	to, agent := pair(t)
	random := rand.New(rand.NewPCG(1, uint64(len(copiedSizes))))
	var bodies [][]byte
	var raw bytes.Buffer
	for _, size := range copiedSizes {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		bodies = append(bodies, body)
		writeAnswer(&raw, body, chunked, random)
	}
	go func() {
		for rest := raw.Bytes(); len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(1<<random.IntN(18)))
			if _, err := upstream.Write(rest[:n]); err != nil {
				return // the reader tells
			}
			rest = rest[n:]
		}
	}()
	done := make(chan error, 1)
	go func() { done <- relayAnswers(from, to, len(bodies), f) }()
	in := bufio.NewReader(agent)
	for i, want := range bodies {
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("body of %d bytes: %v; %v", len(want), err, <-done)
		}
		if got, err := io.ReadAll(a.Body); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("body %d of %d bytes: got %d others, %v; %v", i, len(want), len(got), err, <-done)
		}
	}
	if err := <-done; err != nil || in.Buffered() > 0 {
		t.Errorf("%v, and %d bytes more", err, in.Buffered())
	}
}

// ends returns both ends of a connection, the second as an upstream's is read.
func ends(t *testing.T, secured bool) (upstream, from net.Conn) {
	far, near := pair(t)
	if !secured {
		return far, near
	}
	return tls.Server(far, serverConfig()), tls.Client(socket.Wrap(near), &tls.Config{InsecureSkipVerify: true})
}

func writeAnswer(w *bytes.Buffer, body []byte, chunked bool, random *rand.Rand) {
	if !chunked {
		fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return
	}
	fmt.Fprint(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(len(body), 1+random.IntN(1<<random.IntN(18)))
		fmt.Fprintf(w, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	fmt.Fprint(w, "0\r\n\r\n")
}

// relayAnswers passes so many answers on. It closes the connection to the agent
// where that fails.
func relayAnswers(from, to net.Conn, count int, f Filter) (err error) {
	r, w := NewReader(from, testLimit), NewWriter(to)
	var h ResponseHead
	for i := range count {
		if err = r.ReadResponse(&h, "GET"); err != nil {
			break
		}
		w.Response(200, "GET")
		w.Body(h.Framing)
		if _, err = w.CopyBody(r.Body(), f); err != nil {
			break
		}
		if err = w.End(); err == nil && (r.buf != nil && r.Buffered() == 0 || w.buf != nil) {
			err = fmt.Errorf("a buffer is held after body %d", i)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		_ = to.Close()
	}
	return err
}

// TestFlow lets the first bodies have huge buffers, those that come while they
// flow large ones, and takes back each.
func TestFlow(t *testing.T) {
	var w [few + 1]*Writer
	for i := range w {
		w[i] = NewWriter(io.Discard)
		w[i].most = flow()
	}
	for i, one := range w {
		want := hugeBuffer
		if i >= few {
			want = largeBuffer
		}
		if one.most != want {
			t.Errorf("body %d has %d bytes, want %d", i, one.most, want)
		}
		one.ebb()
		if one.most != largeBuffer {
			t.Errorf("what is written otherwise has %d bytes", one.most)
		}
	}
	if n := flowing.Load(); n != 0 {
		t.Errorf("%d bodies flow", n)
	}
	for _, size := range []int{1, smallBuffer, smallBuffer + 1, largeBuffer, largeBuffer + 1, hugeBuffer, hugeBuffer + 1} {
		b := getBuffer(size)
		if len(b) < size {
			t.Errorf("%d bytes for %d", len(b), size)
		}
		putBuffer(b)
	}
}
