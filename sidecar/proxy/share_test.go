package proxy

import (
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// TestListenersOfOneEndpoint share what is compiled of a document, since it is most
// of what a sidecar keeps, and go on sharing when a key is rotated.
func TestListenersOfOneEndpoint(t *testing.T) {
	d, err := dial.New(dial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Dialer: d, Audit: audit.NewLog(io.Discard), WithoutLeases: true})
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	verifier, err := token.NewVerifier(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{name: theName, handle: credential.HandleOf(theHandle)}
	listeners := []*listener{{holder: h, endpoint: "rest", authority: "127.0.0.1:1"}, {holder: h, endpoint: "rest", authority: "[::1]:1"}}
	var last *credential.Swap
	for _, key := range []string{"ghp_first", "ghp_second"} {
		c := document()
		c.Secret = secret.New(key)
		o := newOffer(h, c, nil, verifier)
		var views []*view
		for _, l := range listeners {
			v, err := s.build(l, o)
			if err != nil {
				t.Fatal(err)
			}
			views = append(views, v)
		}
		a, b := views[0], views[1]
		if a.rules.Policy == nil || a.rules.Policy != b.rules.Policy || a.swap != b.swap {
			t.Errorf("with %s they have two of a kind", key)
		}
		if a.swap == last || a.hosts == b.hosts {
			t.Errorf("with %s they are the same, or as before", key)
		}
		last = a.swap
		for i, l := range listeners {
			l.view.Store(views[i])
		}
	}
}

// TestRests holds that nobody looks at the clock while no agent is connected and
// nothing is kept open, that a connection wakes whoever does, and that its time is
// kept then.
func TestRests(t *testing.T) {
	f := newFixture(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"), func(c *bundle.Credential) { c.Limits.RequestTimeout = 2 * tick })
	for range 3 {
		if !eventually(f.server.pulse.Rests) {
			t.Fatal("it does not rest")
		}
		a := f.agent()
		a.send("GET /") // and no more
		if !eventually(func() bool { return !f.server.pulse.Rests() }) {
			t.Fatal("nobody looks at a connection")
		}
		if _, err := io.Copy(io.Discard, a); os.IsTimeout(err) { // up to its end
			t.Error("its time is not kept")
		}
	}
	// What is kept of an upstream is looked after, too.
	a := f.agent()
	a.send(request("GET", "/notes") + "\r\n")
	if r := a.read("GET"); r.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	a.Close()
	if !eventually(func() bool { return f.server.connections() == 0 }) {
		t.Fatal("it is still connected")
	}
	if f.server.pulse.Rests() {
		t.Error("nobody looks after the connection to the upstream")
	}
}
