package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// Nothing of the agent's stands beside a credential in the query, in no
// spelling that some servers take for its name.
func TestCredentialBesideTheKey(t *testing.T) {
	f := newFixture(t, echo, func(c *bundle.Credential) {
		c.Endpoints[0].Inject = bundle.Inject{Query: &bundle.QueryInjection{Name: "api_key"}}
		c.Grants[0].Query.UnlistedAllow = true
	})
	for _, beside := range []string{"API_KEY=mine", "Api_Key=mine", "api_key[]=mine", "api_key%5B0%5D=mine", "api_key=mine", "api_key="} {
		for _, query := range []string{"api_key=" + theHandle + "&" + beside, beside + "&api_key=" + theHandle} {
			a := f.agent()
			a.send("GET /notes?" + query + " HTTP/1.1\r\n" + host + "\r\n")
			if got := a.read("GET"); got.StatusCode != 400 || got.reason() != "Malformed" {
				t.Errorf("%s: got %d %s", query, got.StatusCode, got.body)
			}
		}
	}
	if got := f.upstream.bytes(); got != "" {
		t.Errorf("upstream got %q", got)
	}
	a := f.agent()
	a.send("GET /notes?api_key=" + theHandle + "&api_key2=x&api=y HTTP/1.1\r\n" + host + "\r\n")
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("other names: got %d %s", got.StatusCode, got.body)
	}
}

// What an older version bounds more narrowly than the one that is held is
// bounded so: a body, and the headers that go upstream.
func TestOlderVersionBounds(t *testing.T) {
	older, newer := document(), document()
	older.Generation, newer.Generation = 3, 4
	older.Grants[0].Headers = nil
	older.Grants[1].Body.MaxBytes = 4
	f := startFixture(t, echo, Options{})
	for _, c := range []*bundle.Credential{newer, older} {
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	for name, raw := range map[string]string{
		"stated":  post("Content-Length: 5\r\n") + "hello",
		"chunked": post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n",
	} {
		a := f.agent()
		a.send(raw)
		if got := a.read("POST"); got.StatusCode != 413 || got.reason() != "TooLarge" {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.body)
		}
	}
	if strings.Contains(f.upstream.bytes(), "hello") {
		t.Error("a body went upstream that the older version does not allow")
	}
	a := f.agent()
	a.send(request("GET", "/notes") + "X-Tenant: acme\r\nAccept: a/b\r\n\r\n")
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if got := f.upstream.bytes(); strings.Contains(got, "X-Tenant") || !strings.Contains(got, "Accept: a/b") {
		t.Errorf("upstream got %q", got)
	}
}

// An answer that nobody asked for is given to nobody, even where it arrives
// with the one before and lies in the layer of TLS.
func TestQueuedAnswer(t *testing.T) {
	const good, poison = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for name, send := range map[string]func(c net.Conn) error{
		"in one record": func(c net.Conn) error { _, err := io.WriteString(c, good+poison); return err },
		"in the next record": func(c net.Conn) error {
			if _, err := io.WriteString(c, good); err != nil {
				return err
			}
			_, err := io.WriteString(c, poison)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan struct{}, 1)
			f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
				if _, err := http.ReadRequest(r); err != nil {
					return err
				}
				defer func() { sent <- struct{}{} }()
				return send(c)
			})
			a := f.agent()
			for range 20 {
				a.send(request("GET", "/notes") + "\r\n")
				if got := a.read("GET"); got.body != "good" {
					t.Fatalf("got %q", got.body)
				}
				<-sent
			}
		})
	}
}

// A stream that is open does not outlive the time of its credential: nobody
// else will end it where the broker is out of reach.
func TestStreamsEndWithTheirTime(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*bundle.Credential, time.Time)
		reason string
	}{
		"lease":  {func(c *bundle.Credential, _ time.Time) { c.MaxOffline = 10 * time.Minute }, "LeaseExpired"},
		"expiry": {func(c *bundle.Credential, now time.Time) { c.ExpiresAt = now.Add(10 * time.Minute) }, "Expired"},
	} {
		t.Run(name, func(t *testing.T) {
			var c clock
			f := startFixture(t, dripping, Options{Now: c.now})
			d := document()
			test.change(d, c.now())
			if errs := f.server.Apply(state(d)); len(errs) > 0 {
				t.Fatal(errs)
			}
			a := f.agent()
			a.send(request("GET", "/notes") + "\r\n")
			res, err := http.ReadResponse(a.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.set(11 * time.Minute)
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("the stream ended as if it were whole")
			}
			if !a.closed() {
				t.Error("the connection is open")
			}
			if !eventually(func() bool { return len(f.records.records(t)) == 2 }) || f.records.records(t)[1].Reason != test.reason {
				t.Errorf("recorded %+v", f.records.records(t))
			}
		})
	}
}

// A mistake of ours, here a view that is not whole, ends the connection that it
// happens on, and no other.
func TestPanic(t *testing.T) {
	var said lockedText
	f := startFixture(t, echo, Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
	if errs := f.server.Apply(state(document())); len(errs) > 0 {
		t.Fatal(errs)
	}
	l := f.server.listening()[0]
	whole := l.view.Load()
	broken := *whole
	broken.swap = nil
	l.view.Store(&broken)
	for range 20 { // more than may be under way at once
		a := f.agent()
		a.send(request("GET", "/notes") + "\r\n")
		if !a.closed() {
			t.Error("the connection is open, or was answered")
		}
	}
	if got := f.upstream.bytes(); got != "" {
		t.Errorf("upstream got %q", got)
	}
	l.view.Store(whole)
	f.want("another connection", 200, "")
	if text := said.String(); !strings.Contains(text, "serving a connection failed") || strings.Contains(text, theSecret) || strings.Contains(text, theHandle) {
		t.Errorf("logged %q", text)
	}
}

type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
