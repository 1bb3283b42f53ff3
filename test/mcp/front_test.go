package mcp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

// entry is a request as the upstream has seen it.
type entry struct {
	method, session, version, event string // of the head
	body                            string
}

// front is the upstream: a server behind TLS and a key.
type front struct {
	address, authority string

	mu   sync.Mutex
	log  []entry
	open map[int]*exchange // those under way

	answers map[*exchange]bool // that the server has not ended
	ended   sync.Cond          // one of them has
}

// exchange is a request under way.
type exchange struct {
	method string
	cancel context.CancelFunc // of the request to the server

	broken   context.Context // done when the answer is broken off
	breakOff context.CancelFunc
}

// underWay is the key of an exchange in a context.
type underWay struct{}

// newFront puts a server behind TLS and a key, which comes as a Bearer token or
// as key in the query.
func newFront(t testing.TB, server string) *front {
	t.Helper()
	f := &front{open: map[int]*exchange{}, answers: map[*exchange]bool{}}
	f.ended.L = &f.mu
	certificate, pem, err := upstream.Certificate("mcp.example")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(f.handler(&url.URL{Scheme: "http", Host: server}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	f.address, f.authority = s.Listener.Addr().String(), filepath.Join(t.TempDir(), "ca.pem")
	write(t, f.authority, string(pem))
	return f
}

func (f *front) handler(to *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // what breaks off is meant to
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.URL.RawQuery = ""
			r.Out.Header.Del("Authorization")
		},
		ModifyResponse: func(r *http.Response) error {
			if e := r.Request.Context().Value(underWay{}).(*exchange); e.method == http.MethodPost {
				r.Body = f.breakable(e, r.Body)
			}
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key && r.URL.Query().Get("key") != key {
			http.Error(w, "no key", http.StatusUnauthorized)
			return
		}
		if r.Header.Get("Last-Event-Id") != "" {
			f.awaitBroken() // then there is something to go on with
		}
		r, leave := f.enter(r)
		defer leave()
		proxy.ServeHTTP(w, r)
	})
}

// enter takes note of a request. What goes to the server ends with it, unless
// its answer was broken off.
func (f *front) enter(r *http.Request) (_ *http.Request, leave func()) {
	body, _ := io.ReadAll(r.Body) // half of one is passed on as half of one
	r.Body = io.NopCloser(bytes.NewReader(body))
	h := r.Header
	e := &exchange{method: r.Method}
	e.broken, e.breakOff = context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(r.Context()), underWay{}, e))
	e.cancel = cancel
	left := context.AfterFunc(r.Context(), e.left)
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.log)
	f.log = append(f.log, entry{
		method: r.Method, session: h.Get("Mcp-Session-Id"), version: h.Get("Mcp-Protocol-Version"), event: h.Get("Last-Event-Id"),
		body: string(body),
	})
	f.open[n] = e
	return r.WithContext(ctx), func() {
		left()
		e.left()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, n)
	}
}

// left ends the request to the server when who has sent it is gone.
func (e *exchange) left() {
	if e.broken.Err() == nil {
		e.cancel()
	}
}

// breakable is an answer that can be broken off. The server is read to its end,
// so that all that it has to say has been said when the client asks again:
// server-everything tells on a stream that goes on what there was in between,
// and nothing that comes.
func (f *front) breakable(e *exchange, body io.ReadCloser) io.ReadCloser {
	from, to := io.Pipe()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[e] = true
	go func() {
		defer f.end(e)
		defer e.cancel()
		defer body.Close()
		_, err := io.Copy(to, body)
		if errors.Is(err, errBroken) {
			_, _ = io.Copy(io.Discard, body) // its end is waited for
		}
		_ = to.CloseWithError(err) // it always succeeds
	}()
	context.AfterFunc(e.broken, func() { _ = from.CloseWithError(errBroken) })
	return from
}

func (f *front) end(e *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.answers, e)
	f.ended.Broadcast()
}

// awaitBroken waits until the server has ended what was broken off.
func (f *front) awaitBroken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for slices.ContainsFunc(slices.Collect(maps.Keys(f.answers)), func(e *exchange) bool { return e.broken.Err() != nil }) {
		f.ended.Wait()
	}
}

// breakOff breaks off the answers to messages.
func (f *front) breakOff() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.open {
		if e.method == http.MethodPost {
			e.breakOff()
		}
	}
}

// underWay counts the requests of a method that are not done.
func (f *front) underWay(method string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.open {
		if e.method == method {
			n++
		}
	}
	return n
}

// seen returns the requests that came so far.
func (f *front) seen() []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log[:len(f.log):len(f.log)]
}

var errBroken = errors.New("broken off")
