//go:build unix && !openbsd

package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestSendWaits writes more than the kernel takes to a peer that begins to read
// only when it is full: every byte arrives, in order, while the same socket is
// read from.
func TestSendWaits(t *testing.T) {
	server, client := pair(t)
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	s := Of(server)
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(text)
		sent <- err
	}()
	await(t, client)
	go io.WriteString(client, "answer")
	if buf, n, err := s.Fill(100, heap{}); err != nil || !bytes.HasPrefix([]byte("answer"), buf[:n]) || n == 0 {
		t.Errorf("reading meanwhile: %q, %v", buf[:n], err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("not what was sent: %v", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// await waits until c has something to read, and takes nothing.
func await(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN)
	}); err != nil {
		t.Fatal(err)
	}
}

// sendEnds are the ways in which a write that waits ends.
var sendEnds = map[string]struct {
	end  func(server, client *net.TCPConn) error
	want error
}{
	"deadline":    {func(server, _ *net.TCPConn) error { return server.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	"closed here": {func(server, _ *net.TCPConn) error { return server.Close() }, net.ErrClosed},
	"reset":       {func(_, client *net.TCPConn) error { return errors.Join(client.SetLinger(0), client.Close()) }, syscall.ECONNRESET},
}

func TestSendEnds(t *testing.T) {
	for name, test := range sendEnds {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			s := Of(server)
			sent := make(chan error, 1)
			go func() {
				_, err := s.Write(make([]byte, 64<<20))
				sent <- err
			}()
			await(t, client)
			if err := test.end(server, client); err != nil {
				t.Fatal(err)
			}
			if err := <-sent; !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A peer that is gone is an error, and no signal that ends the process.
func TestSendToNobody(t *testing.T) {
	server, client := pair(t)
	client.Close()
	s := Of(server)
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err := s.Write([]byte("x")); errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("writing goes on")
		}
	}
}
