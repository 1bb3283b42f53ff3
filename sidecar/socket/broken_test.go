//go:build unix && !openbsd

package socket

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestBrokenByDeadlines reads from a socket and writes to it at once, while
// another goroutine breaks both again and again and looks at what is unread, as
// the watchdog does: whatever was broken tells how far it came, and no byte is
// lost, twice there or another's.
func TestBrokenByDeadlines(t *testing.T) {
	const size = 4 << 20
	server, client := pair(t)
	if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil { // of waiting for what is lost
		t.Fatal(err)
	}
	in, out := Of(server), Of(server)
	over := make(chan struct{})
	var breaks, all sync.WaitGroup
	breaks.Go(func() { breakOften(t, server, in, over) })
	all.Go(func() { feed(t, client, rand.NewChaCha8([32]byte{1}), size) })
	all.Go(func() { // what arrives
		want, got := rand.NewChaCha8([32]byte{1}), 0
		for got < size {
			buf, n, err := in.Fill(4<<10, heap{})
			if broken(err) {
				continue
			}
			if err != nil || n == 0 {
				t.Errorf("after %d bytes: %d, %v", got, n, err)
				_ = server.Close()
				return
			}
			if !follows(want, buf[:n]) {
				t.Errorf("after %d bytes: others", got)
				_ = server.Close()
				return
			}
			got += n
		}
	})
	all.Go(func() { // what is sent
		text := make([]byte, 100_000)
		source := rand.NewChaCha8([32]byte{2})
		for sent := 0; sent < size; {
			part := text[:min(len(text), size-sent)]
			_, _ = source.Read(part)
			sent += len(part)
			for len(part) > 0 {
				n, err := out.Write(part)
				if part = part[n:]; err == nil && len(part) > 0 || err != nil && !broken(err) {
					t.Errorf("%d are left, %v", len(part), err)
					_ = server.Close() // nobody waits for the rest
					return
				}
			}
		}
	})
	all.Go(func() {
		want, part := rand.NewChaCha8([32]byte{2}), make([]byte, 50_000)
		for got := 0; got < size; {
			n, err := client.Read(part)
			if err != nil || !follows(want, part[:n]) {
				t.Errorf("the peer, after %d bytes: others, or %v", got, err)
				_ = client.Close() // nobody waits for the rest
				return
			}
			got += n
		}
	})
	all.Wait()
	close(over)
	breaks.Wait()
}

func broken(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// breakOften lets deadlines pass and takes them back.
func breakOften(t *testing.T, c *net.TCPConn, s *Socket, over chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		default:
		}
		_ = s.Gone()
		_ = s.Unread()
		if err := errors.Join(c.SetDeadline(longAgo), c.SetDeadline(time.Time{})); err != nil {
			t.Error(err)
			return
		}
		for range n % 20 {
			runtime.Gosched()
		}
	}
}

// feed writes so many bytes of source.
func feed(t *testing.T, to io.Writer, source *rand.ChaCha8, size int64) {
	if n, err := io.CopyN(to, source, size); n != size || err != nil {
		t.Errorf("fed %d, %v", n, err)
	}
}

// follows tells whether part is what comes next.
func follows(want *rand.ChaCha8, part []byte) bool {
	next := make([]byte, len(part))
	_, _ = want.Read(next)
	return string(next) == string(part)
}
