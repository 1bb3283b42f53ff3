// Package caller is a client of HTTP/1.1 that is cheaper than that of net/http,
// since what it costs is taken from the load.
package caller

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// longest is how long an answer may take before it counts as none.
const longest = time.Minute

// Caller is one agent's connection. Its zero value with an Address is ready. It is
// not safe for concurrent use.
type Caller struct {
	Address string
	Again   int // requests that were repeated

	conn net.Conn
	from *bufio.Reader
	text bytes.Buffer
}

// Call sends a request and reads its answer, whose text is valid until the next
// call. A connection that others closed before they read the request is no
// answer: it is asked again on a new one, as RFC 9112, section 9.3.1, has it.
func (c *Caller) Call(ctx context.Context, method string, request []byte) (status int, text []byte, err error) {
	kept := c.conn != nil
	if err = c.send(ctx, request); err != nil && kept && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.Again++
		err = c.send(ctx, request)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("asking: %w", err)
	}
	return c.receive(method)
}

// send writes a request, and returns when something of the answer is there.
func (c *Caller) send(ctx context.Context, request []byte) error {
	if err := c.dial(ctx); err != nil {
		return err
	}
	_ = c.conn.SetDeadline(time.Now().Add(longest)) // where that fails, so does what follows
	_, err := c.conn.Write(request)
	if err == nil {
		_, err = c.from.Peek(1)
	}
	if err != nil {
		c.Close()
	}
	return err
}

func (c *Caller) receive(method string) (status int, text []byte, err error) {
	answer, err := http.ReadResponse(c.from, &http.Request{Method: method})
	if err != nil {
		c.Close()
		return 0, nil, fmt.Errorf("reading an answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read to its end, or cannot be
	c.text.Reset()
	if _, err = c.text.ReadFrom(answer.Body); err != nil || answer.Close {
		c.Close()
	}
	return answer.StatusCode, c.text.Bytes(), err
}

func (c *Caller) dial(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return err
	}
	c.conn, c.from = conn, bufio.NewReader(conn)
	return nil
}

// Close closes the connection; the next call opens another one.
func (c *Caller) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}
