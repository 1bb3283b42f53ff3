package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/peers"
)

// slices of a body that the upstream sends one at a time.
const (
	largeAnswer = 4 << 20
	slice       = 16 << 10
)

// answerOf is the body that belongs to a number: what another number's answer
// says differs from it.
func answerOf(n int) []byte {
	return bytes.Repeat([]byte("item "+strconv.Itoa(n)+"\n"), 1+n%200)
}

// itemOf is the body that is sent with a number.
func itemOf(n int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"text":"%s"}`, n, strings.Repeat("a", n%4000))
}

// upstream answers by HTTP and by HTTPS, which authority vouches for.
type upstream struct {
	plain, secure net.Listener
	authority     string
}

func startUpstream(ctx context.Context) (*upstream, error) {
	trust, err := peers.NewTrust()
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	pair, err := trust.Certificate(host)
	if err != nil {
		return nil, err
	}
	u := &upstream{authority: trust.PEM()}
	if u.plain, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if u.secure, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		_ = u.plain.Close()
		return nil, fmt.Errorf("listening: %w", err)
	}
	u.secure = tls.NewListener(u.secure, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	go serve(u.plain)
	go serve(u.secure)
	return u, nil
}

// stop ends what was started.
func (u *upstream) stop() {
	_ = u.plain.Close()
	_ = u.secure.Close()
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// serve answers at l until that is closed. It is cheaper than the server of
// net/http, since what it costs is taken from the load.
func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go converse(c)
	}
}

// converse answers what comes on a connection, as long as both sides go on.
func converse(c net.Conn) {
	defer func() { _ = c.Close() }()
	for from := bufio.NewReader(c); ; {
		request, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil || answer(c, request.Method, request.URL.Path, body) != nil {
			return
		}
	}
}

// answer answers each number with what belongs to it, breaks some answers off,
// and sends others slowly. With an error the connection is over.
func answer(c net.Conn, method, path string, body []byte) error {
	what, number, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	n, _ := strconv.Atoi(number) // the scope lets numbers pass alone
	switch {
	case method == http.MethodPost && path == "/items":
		return receive(c, body)
	case what == "items":
		return deliver(c, answerOf(n))
	case what == "resets":
		return reset(c)
	case path == "/large":
		return large(c)
	case path == "/drips":
		return drips(c)
	}
	_, err := io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	return err
}

func deliver(c net.Conn, body []byte) error {
	text := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body))
	_, err := c.Write(append(text, body...))
	return err
}

// receive wants each byte of an item.
func receive(c net.Conn, body []byte) error {
	number, _, _ := bytes.Cut(bytes.TrimPrefix(body, []byte(`{"id":`)), []byte(","))
	n, err := strconv.Atoi(string(number))
	if err == nil && bytes.Equal(body, itemOf(n)) {
		return deliver(c, answerOf(n))
	}
	_, err = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	return err
}

func large(c net.Conn) error {
	part := bytes.Repeat([]byte("x"), slice)
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", largeAnswer)
	for i := 0; i < largeAnswer/slice && err == nil; i++ {
		_, err = c.Write(part)
	}
	return err
}

// drips goes on until nobody listens.
func drips(c net.Conn) error {
	_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		if err == nil {
			_, err = io.WriteString(c, "5\r\ndrip\n\r\n")
		}
		if err != nil {
			tick.Stop()
			return err
		}
	}
}

// reset breaks an answer off in its middle.
func reset(c net.Conn) error {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // so that closing resets
		_ = tcp.Close()      // at once: TLS would end the stream first
	}
	return io.ErrUnexpectedEOF
}
