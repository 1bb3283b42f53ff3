//go:build unix && !openbsd

package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// longAgo is a deadline that lets nothing wait.
var longAgo = time.Unix(1, 0)

// pair returns both ends of a connection over loopback.
func pair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// heap are buffers that nobody gives back.
type heap struct{}

func (heap) Get(n int) []byte { return make([]byte, n) }
func (heap) Put([]byte)       {}

// TestParkedAreNotForgotten has a few pairs talk for ever, so that somebody can
// always go on, and one who has been silent for long: once its peer speaks it goes
// on after a few words of the others. On one processor the scheduler asks the kernel
// only when nobody has anything to do, and else every 10 ms: nobody may wait for its
// peer without letting it.
func TestParkedAreNotForgotten(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	silent, speaker := pair(t)
	var said, woken atomic.Int64 // words of the others until then; 0: not yet
	var words atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := Of(silent).Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		woken.Store(words.Load())
	})
	const enough = 100_000
	for range 4 {
		a, b := pair(t)
		for _, end := range []*net.TCPConn{a, b} {
			all.Go(func() {
				for s, word := Of(end), make([]byte, 1); woken.Load() == 0 && words.Load() < enough; {
					if _, err := s.Write(word); err != nil {
						t.Error(err)
						return
					}
					if words.Add(1) == enough/10 {
						said.Store(enough / 10)
						if _, err := speaker.Write(word); err != nil {
							t.Error(err)
						}
					}
					if _, err := s.Read(word); err != nil && woken.Load() == 0 {
						t.Error(err)
						return
					}
				}
				_ = end.CloseWrite() // the other end may wait
			})
		}
	}
	all.Wait()
	if after := woken.Load() - said.Load(); said.Load() == 0 || after > 500 {
		t.Errorf("it went on after %d words of the others", after)
	}
}

// TestHurry reads nothing where nothing has come, loses nothing, and tells.
func TestHurry(t *testing.T) {
	server, client := pair(t)
	c, ok := Wrap(server).(*Conn)
	if !ok {
		t.Fatal("it is no plain socket")
	}
	part := make([]byte, 10)
	c.Hurry()
	if n, err := c.Read(part); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
	if c.Relax() {
		t.Error("something was found")
	}
	if _, err := io.WriteString(client, "abc"); err != nil {
		t.Fatal(err)
	}
	await(t, server)
	c.Hurry()
	if n, err := c.Read(part[:2]); string(part[:n]) != "ab" || err != nil {
		t.Errorf("read %q, %v", part[:n], err)
	}
	if !c.Relax() {
		t.Error("nothing was found")
	}
	if n, err := c.Read(part); string(part[:n]) != "c" || err != nil {
		t.Errorf("read %q, %v", part[:n], err)
	}
	client.Close()
	if _, err := c.Read(part); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// TestWriteNow writes to a pipe what it takes, and waits for nobody.
func TestWriteNow(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s, text := Of(w), bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sent := 0
	for n := -1; n != 0; sent += n {
		n = s.WriteNow(text[sent:])
	}
	if sent == 0 || sent == len(text) {
		t.Fatalf("%d of %d bytes went into a pipe that nobody reads", sent, len(text))
	}
	got := make([]byte, sent)
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, text[:sent]) {
		t.Errorf("not what was sent: %v", err)
	}
	if n := s.WriteNow([]byte("more")); n != 4 {
		t.Errorf("%d of 4 bytes went into a pipe that has room", n)
	}
	r.Close()
	if n := s.WriteNow([]byte("more")); n != 0 {
		t.Errorf("%d of 4 bytes went to nobody", n)
	}
}

// TestReadNothing into no room is no end.
func TestReadNothing(t *testing.T) {
	server, _ := pair(t)
	if n, err := Of(server).Read(nil); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if Of(bytes.NewReader(nil)) != nil || Wrap(nil) != nil {
		t.Error("what is no socket is one")
	}
}
