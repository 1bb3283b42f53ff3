// Package caller is a client of HTTP/1.1 that is cheaper than that of net/http,
// since what it costs is taken from the load.
package caller

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// longest is how long an answer may take before it counts as none.
const longest = time.Minute

// Caller is one agent's connection. Its zero value with an Address is ready. It is
// not safe for concurrent use.
type Caller struct {
	Address string

	conn net.Conn
	from *bufio.Reader
	text bytes.Buffer
}

// Call sends a request and reads its answer, whose text is valid until the next
// call. Nothing is asked again: a connection that is closed without an answer is an
// error, and the next call opens another one.
func (c *Caller) Call(ctx context.Context, method string, request []byte) (status int, text []byte, err error) {
	if err := c.dial(ctx); err != nil {
		return 0, nil, fmt.Errorf("connecting: %w", err)
	}
	_ = c.conn.SetDeadline(time.Now().Add(longest)) // where that fails, so does what follows
	if _, err := c.conn.Write(request); err != nil {
		c.Close()
		return 0, nil, fmt.Errorf("asking: %w", err)
	}
	return c.receive(method)
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
