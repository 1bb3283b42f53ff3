package corpus

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/websocket"
)

// opens tells a request for a WebSocket.
func (r *upstreamRequest) opens() bool {
	upgrade := r.values("Upgrade")
	return len(upgrade) == 1 && upgrade[0] == "websocket"
}

// socket opens a WebSocket with the mark in its head, and records what the
// messages say until it is closed.
func (u *upstream) socket(conn net.Conn, in *bufio.Reader, r *upstreamRequest) {
	key := strings.Join(r.values("Sec-WebSocket-Key"), "")
	u.mu.Lock()
	mark := u.mark
	u.sockets++
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		u.sockets--
		u.mu.Unlock()
	}()
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nX-Mark: %q\r\n\r\n", websocket.Accept(key), mark); err != nil {
		return
	}
	for {
		var head [6]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		data := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(in, data); err != nil {
			return
		}
		for i := range data {
			data[i] ^= head[2+i%4]
		}
		if head[0] != 0x88 {
			u.mu.Lock()
			u.bytes = append(u.bytes, data...)
			u.mu.Unlock()
		}
	}
}

// frames are what an agent sends on a WebSocket: text, unless the text says
// otherwise, masked with zeros, and a close behind it all.
func frames(list []string) []byte {
	var out []byte
	frame := func(first byte, text string) {
		out = append(out, first, 0x80|byte(len(text)), 0, 0, 0, 0)
		out = append(out, text...)
	}
	for _, text := range list {
		kind, rest, _ := strings.Cut(text, ":")
		switch kind {
		case "fragment":
			frame(0x01, rest)
		case "fragment-end":
			frame(0x80, rest)
		case "binary":
			frame(0x82, rest)
		default:
			frame(0x81, text)
		}
	}
	frame(0x88, "\x03\xe8")
	return out
}

// sendFrames plays the agent on a WebSocket that was opened, until the proxy
// closes it, and the upstream has seen that.
func (i *instance) sendFrames(conn net.Conn, in io.Reader, list []string) {
	_, _ = conn.Write(frames(list))
	_, _ = io.Copy(io.Discard, in)
	eventually(2*time.Second, func() bool {
		i.upstream.mu.Lock()
		defer i.upstream.mu.Unlock()
		return i.upstream.sockets == 0
	})
}
