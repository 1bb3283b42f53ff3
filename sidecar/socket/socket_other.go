//go:build !unix || openbsd

package socket

import "io"

// Socket is not available: reads go through the connection's own Read.
type Socket struct{ found bool }

// Of returns nil.
func Of(any) *Socket { return nil }

// Fill is not called, like all below.
func (*Socket) Fill(int, Buffers) (buf []byte, n int, err error) { return nil, 0, io.ErrUnexpectedEOF }

func (*Socket) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (*Socket) Write([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (*Socket) WriteNow([]byte) int { return 0 }

func (*Socket) Quiet() bool { return false }

func (*Socket) Gone() bool { return false }

func (*Socket) Unread() bool { return false }

func (*Socket) Waits() bool { return false }

func (*Socket) Park(bool) {}

func (*Socket) Hurry() {}

func (*Socket) Relax() (found bool) { return true }

func (*Socket) Ask(func() error) {}

func (*Socket) Asked() (called bool, err error) { return false, nil }
