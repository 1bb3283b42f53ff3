//go:build unix && !openbsd

package http1

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// Five thousand connections wait without a buffer.
func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	server, client := pair(t)
	r := NewReader(server, testLimit)
	var h RequestHead
	for range 3 {
		send(t, client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if err := r.ReadRequest(&h); err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r.Body()); string(body) != "abc" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
		if r.buf != nil {
			t.Error("a buffer is held after the message")
		}
	}
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting past the deadline: %v", err)
	}
	if r.buf != nil {
		t.Error("a buffer is held while waiting")
	}
}

// socketEnds are the ways in which a connection ends.
var socketEnds = map[string]struct {
	why, raw string
	end      func(*net.TCPConn) error
	want     func(error) bool
}{
	"closed between requests": {"a clean end", "", (*net.TCPConn).Close, func(err error) bool { return err == io.EOF }},
	"closed within one":       {"an error to answer", "GET / HTTP/1.1\r\n", (*net.TCPConn).CloseWrite, func(err error) bool { return is(err, errHeadCut) }},
	"reset between requests": {"nothing to answer", "", func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
		func(err error) bool { e := (*Error)(nil); return err != nil && err != io.EOF && !errors.As(err, &e) }},
}

func TestSocketEnds(t *testing.T) {
	for name, test := range socketEnds {
		server, client := pair(t)
		send(t, client, test.raw)
		if err := test.end(client); err != nil {
			t.Fatal(err)
		}
		var h RequestHead
		if err := NewReader(server, testLimit).ReadRequest(&h); !test.want(err) {
			t.Errorf("%s: %s: got %v", name, test.why, err)
		}
	}
}

func TestSlowSocket(t *testing.T) {
	server, client := pair(t)
	r := NewReader(server, testLimit)
	send(t, client, "GET / HTTP/1.1\r\nHo")
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var h RequestHead
	if err := r.ReadRequest(&h); !is(err, errHeadSlow) {
		t.Errorf("got %v, want %v", err, errHeadSlow)
	}
}

// idleUpstreams are what can happen after an answer.
var idleUpstreams = map[string]struct {
	why  string
	then func(c *net.TCPConn) error
	want bool
}{
	"quiet":   {"nothing happened", func(*net.TCPConn) error { return nil }, true},
	"closed":  {"it closed", (*net.TCPConn).Close, false},
	"speaks":  {"an answer to nothing", func(c *net.TCPConn) error { _, err := io.WriteString(c, okAnswer); return err }, false},
	"one bit": {"one byte is enough", func(c *net.TCPConn) error { _, err := io.WriteString(c, "H"); return err }, false},
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// An upstream that closed, or that speaks unasked, is not asked again.
func TestReusable(t *testing.T) {
	for name, test := range idleUpstreams {
		t.Run(name, func(t *testing.T) {
			client, upstream := pair(t)
			send(t, upstream, okAnswer)
			r := readOK(t, client)
			if err := test.then(upstream); err != nil {
				t.Fatal(err)
			}
			if !test.want {
				arrived(t, r)
			}
			if got := r.Reusable(); got != test.want {
				t.Errorf("%s: reusable is %t", test.why, got)
			}
			var h ResponseHead
			if !test.want && r.ReadResponse(&h, "GET") == nil {
				t.Errorf("%s: read an answer to nothing", test.why)
			}
		})
	}
}

// readOK reads okAnswer to its end.
func readOK(t *testing.T, src io.Reader) *Reader {
	t.Helper()
	r := NewReader(src, testLimit)
	var h ResponseHead
	if err := r.ReadResponse(&h, "GET"); err != nil {
		t.Fatal(err)
	}
	if r.Reusable() {
		t.Error("reusable within an answer")
	}
	if body, err := io.ReadAll(r.Body()); string(body) != "ok" || err != nil {
		t.Fatalf("got %q, %v", body, err)
	}
	return r
}

func TestNotReusable(t *testing.T) {
	client, upstream := pair(t)
	send(t, upstream, okAnswer)
	r := NewReader(client, testLimit)
	var h ResponseHead
	if err := r.ReadResponse(&h, "HEAD"); err != nil || r.Reusable() {
		t.Errorf("a body behind the answer to HEAD: %v, reusable %t", err, r.Reusable())
	}
	if NewReader(strings.NewReader(""), testLimit).Reusable() {
		t.Error("what cannot be asked is not reusable")
	}
}

// arrived waits until the kernel has something for r, and takes nothing.
func arrived(t *testing.T, r *Reader) {
	t.Helper()
	src := r.src
	if c, ok := src.(*tls.Conn); ok {
		src = c.NetConn()
	}
	if c, ok := src.(*socket.Conn); ok {
		src = c.Conn
	}
	raw, err := src.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		var err error
		if e := raw.Control(func(fd uintptr) {
			_, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		}); e != nil {
			t.Fatal(e)
		}
		if err != syscall.EAGAIN {
			return
		}
	}
	t.Fatal("nothing arrived")
}

// A TLS connection is read through its own buffers, and seen through below,
// whatever it reads from.
func TestReusableTLS(t *testing.T) {
	for below, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c }, "wrapped": socket.Wrap,
	} {
		for what, then := range map[string]func(net.Conn){
			"closed": func(c net.Conn) { c.Close() },
			"speaks": func(c net.Conn) { io.WriteString(c, okAnswer) },
			"begins": func(c net.Conn) { c.(*tls.Conn).NetConn().Write([]byte{23, 3, 3}) }, // a record
		} {
			t.Run(below+" "+what, func(t *testing.T) { reusableTLS(t, wrap, then) })
		}
	}
}

func reusableTLS(t *testing.T, wrap func(net.Conn) net.Conn, then func(net.Conn)) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	now := make(chan struct{})
	defer func() { <-now }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, okAnswer)
		now <- struct{}{}
		then(c)
		now <- struct{}{}
		c.Close()
	}()
	below, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(wrap(below), &tls.Config{InsecureSkipVerify: true})
	defer c.Close()
	r := readOK(t, c)
	for range 2 { // asking changes nothing
		if !r.Reusable() {
			t.Error("quiet, but not reusable")
		}
	}
	<-now
	arrived(t, r)
	if r.Reusable() {
		t.Error("not quiet, but reusable")
	}
}

func serverConfig() *tls.Config {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Clone()
}

func TestHasPrefix(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for raw, want := range map[string]bool{
		preface + "frames":               true,
		preface:                          true,
		"GET / HTTP/1.1\r\nHost: x\r\n":  false,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\n": false,
		"P ":                             false, // more may come, but it no longer matters
	} {
		server, client := pair(t)
		send(t, client, raw)
		r := NewReader(server, testLimit)
		if got, err := r.HasPrefix(preface); got != want || err != nil {
			t.Errorf("%q: %t, %v", raw, got, err)
		}
		client.Close()
		if all, err := io.ReadAll(r.Tunnel()); string(all) != raw || err != nil {
			t.Errorf("%q: then %q, %v", raw, all, err)
		}
	}
	if _, err := NewReader(strings.NewReader("PRI"), testLimit).HasPrefix(preface); err != io.EOF {
		t.Errorf("cut off: %v", err)
	}
}

// Who has closed is gone, and who has merely sent something is not.
func TestGone(t *testing.T) {
	for name, test := range map[string]struct {
		why  string
		then func(c *net.TCPConn) error
		want bool
	}{
		"quiet":       {"it is there", func(*net.TCPConn) error { return nil }, false},
		"speaks":      {"it is there", func(c *net.TCPConn) error { _, err := io.WriteString(c, "GET"); return err }, false},
		"closed":      {"nothing is read any more", (*net.TCPConn).Close, true},
		"half closed": {"nothing more is said", (*net.TCPConn).CloseWrite, true},
		"reset":       {"nothing is read any more", func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			r := NewReader(server, testLimit)
			if r.Gone() {
				t.Error("it is gone before anything has happened")
			}
			if err := test.then(client); err != nil {
				t.Fatal(err)
			}
			if name != "quiet" {
				arrived(t, r)
			}
			if got := r.Gone(); got != test.want {
				t.Errorf("%s: gone is %t", test.why, got)
			}
			if name == "speaks" {
				if b, err := r.src.(*net.TCPConn).Read(make([]byte, 8)); b != 3 || err != nil {
					t.Errorf("%d bytes are left to read, %v", b, err)
				}
			}
		})
	}
	server, _ := pair(t)
	r := NewReader(server, testLimit)
	_ = server.Close() // our own
	if !r.Gone() {
		t.Error("a connection that we have closed is there")
	}
	if NewReader(strings.NewReader(""), testLimit).Gone() {
		t.Error("what is no socket is gone")
	}
}

// TestUnread tells a peer that has done its part, since something of it was not read
// or is being dealt with, from one that is waited for.
func TestUnread(t *testing.T) {
	server, client := pair(t)
	r := NewReader(server, testLimit)
	read := make(chan error)
	var h RequestHead
	go func() { read <- r.ReadRequest(&h) }()
	for _, text := range []string{"GET / HTTP/1.1\r\n", "Host: x\r\n\r\n"} {
		for deadline := time.Now().Add(10 * time.Second); r.Unread(); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("before %q it is not waited for", text)
			}
		}
		send(t, client, text)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if !r.Unread() {
		t.Error("a request that was read, and not answered yet, is waited for")
	}
}
