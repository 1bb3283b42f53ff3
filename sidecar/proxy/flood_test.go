package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// These are the bounds of a sidecar with a twentieth of the usual memory, of which
// a test reaches each.
const (
	fewPlaces    = maxConnections / 20
	fewHeads     = maxHeads / 20 / (32 << 10)
	fewExchanges = maxExchanges / 20
)

// newSmallFixture is newFixture with these bounds.
func newSmallFixture(t *testing.T, do exchangeFunc, change ...func(*bundle.Credential)) *fixture {
	t.Helper()
	before := debug.SetMemoryLimit(128 << 20 / 100 * 85 / 20)
	f := newFixture(t, do, change...)
	debug.SetMemoryLimit(before)
	return f
}

// get asks for something, and wants it.
func (a *agent) get(why string) {
	a.t.Helper()
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != http.StatusOK {
		a.t.Errorf("%s: got %d %s", why, got.StatusCode, got.body)
	}
}

// TestSilentConnectionsMakeRoom opens more connections than there may be and says
// nothing on them. They push each other out, those first that have been silent for
// longest, and neither what was served before and rests nor what comes later.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	f := newSmallFixture(t, echo)
	rests := f.agent()
	rests.get("before")
	first := f.agent()
	for range 2 * fewPlaces {
		f.agent()
	}
	if !first.closed() {
		t.Error("the one that was silent for longest is open")
	}
	rests.get("a connection that was served before")
	f.agent().get("a new one")
	if n := f.server.room.Taken(); n > fewPlaces {
		t.Errorf("%d places are taken of %d", n, fewPlaces)
	}
}

// TestRestingConnectionsMakeRoom lets more connections be served than there may
// be. They push each other out, not one that is new.
func TestRestingConnectionsMakeRoom(t *testing.T) {
	f := newSmallFixture(t, echo)
	first, later := f.agent(), f.agent()
	first.get("the first")
	for range 2 * fewPlaces {
		f.agent().get("another")
	}
	if !first.closed() {
		t.Error("the one that rests for longest is open")
	}
	later.get("one that was opened before, and is new")
}

// TestUnfinishedHeadsMakeRoom begins more heads than may be read at a time. Who
// has been at one for longest is pushed out; what was admitted goes on, and a
// request that is sent at once is served.
func TestUnfinishedHeadsMakeRoom(t *testing.T) {
	f := newSmallFixture(t, func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		if req.URL.Path != "/notes/drip" {
			_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return err
		}
		if _, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"); err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return orEOF(err)
	})
	admitted := f.agent()
	admitted.send(request("GET", "/notes/drip") + "\r\n")
	if _, err := http.ReadResponse(admitted.r, nil); err != nil {
		t.Fatal(err)
	}
	first := f.agent()
	first.send(request("GET", "/notes"))
	for range 2 * fewHeads {
		f.agent().send(request("GET", "/notes"))
	}
	if !first.closed() {
		t.Error("the one that is waited for longest is open")
	}
	f.agent().get("a sound request")
	if _, err := admitted.r.ReadByte(); err != nil {
		t.Errorf("what was admitted was cut off: %v", err)
	}
}

// events begins an answer that is given up when its agent leaves.
func events(c net.Conn, r *bufio.Reader) error {
	if _, err := http.ReadRequest(r); err != nil {
		return err
	}
	_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: x\n\n")
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return orEOF(err)
}

// TestExchangesAreBounded refuses what is too much for all credentials together,
// whatever each of them allows.
func TestExchangesAreBounded(t *testing.T) {
	f := newSmallFixture(t, events, func(c *bundle.Credential) { c.Limits.Concurrency = 10 * fewExchanges })
	var last *agent
	for range fewExchanges {
		last = f.agent()
		last.send(request("GET", "/notes") + "\r\n")
		if res, err := http.ReadResponse(last.r, nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("got %+v, %v", res, err)
		}
	}
	one := f.agent()
	one.send(request("GET", "/notes") + "\r\n")
	if got := one.read("GET"); got.StatusCode != http.StatusTooManyRequests || got.reason() != "RateLimited" || got.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	_ = last.Close()
	if !eventually(func() bool {
		a := f.agent()
		defer func() { _ = a.Close() }()
		a.send(request("GET", "/notes") + "\r\n")
		res, err := http.ReadResponse(a.r, nil)
		return err == nil && res.StatusCode == http.StatusOK
	}) {
		t.Error("the place of one that has left is not free")
	}
}

// TestSilentAgentsKeepFewUpstreamConnections has many agents be served and fall
// silent. Their connections to the upstream go to others beyond a bound.
func TestSilentAgentsKeepFewUpstreamConnections(t *testing.T) {
	f := newSmallFixture(t, echo)
	for range fewPlaces / 2 {
		f.agent().get("one of many")
	}
	if n := f.upstream.connections(); n > 2*fewExchanges {
		t.Errorf("%d connections were opened to the upstream", n)
	}
	if n := f.server.room.Pins(); n > fewExchanges {
		t.Errorf("%d are kept", n)
	}
}

// TestDescriptorsBoundConnections keeps half of the descriptors for upstreams,
// where a process may have few.
func TestDescriptorsBoundConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, echo)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	first := f.agent()
	for range 100 {
		f.agent()
	}
	if !first.closed() {
		t.Error("more than 100 connections are kept")
	}
	f.agent().get("a new one")
}
