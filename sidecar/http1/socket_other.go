//go:build !unix || openbsd

package http1

import "io"

// socket is not available: reads go through the connection's own Read.
type socket struct{}

func newSocket(any) *socket { return nil }

func sender(dst io.Writer) io.Writer { return dst }

func (*socket) fill(int) (buf []byte, n int, err error) { return nil, 0, io.ErrUnexpectedEOF }

func (*socket) quiet() bool { return false }

func (*socket) gone() bool { return false }

func (*socket) unread() bool { return false }

func (*socket) waits() bool { return false }

func (*socket) park(bool) {}
