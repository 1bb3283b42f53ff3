package check

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/hack/bench/peers"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func upstream(t *testing.T) *Upstream {
	t.Helper()
	u, err := NewUpstream(loopback, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	return u
}

// try checks a proxy made from the honest one, which judges JSON.
func try(t *testing.T, u *Upstream, s peers.Setup, f func(http.Handler) http.Handler) error {
	t.Helper()
	s.Upstream, s.Token, s.Key = u.Addr, "a-token-that-is-long", "the-real-key"
	proxy := httptest.NewServer(f(peers.ReverseProxy(s, io.Discard)))
	defer proxy.Close()
	return EqualWork(t.Context(), Proxy{
		Addr: netip.MustParseAddrPort(proxy.Listener.Addr().String()), Token: s.Token, Key: s.Key, Authority: s.Authority(), Reads: true,
	}, u)
}

func honest(h http.Handler) http.Handler { return h }

func TestHonest(t *testing.T) {
	if err := try(t, upstream(t), peers.Setup{}, honest); err != nil {
		t.Error(err)
	}
}

// before changes requests before the honest proxy sees them.
func before(change func(*http.Request)) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			change(r)
			h.ServeHTTP(w, r)
		})
	}
}

// unread has the honest proxy send as a blob what judges would let pass by the
// text of its body.
func unread(pass func(body string) bool) func(http.Handler) http.Handler {
	return before(func(r *http.Request) {
		if r.URL.Path != records {
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if pass(string(body)) {
			r.URL.Path = blobs
		}
	})
}

const bearer = "Bearer a-token-that-is-long"

// TestLiars saves each a part of the work. Every one is found out, and said to
// do what it does.
func TestLiars(t *testing.T) {
	for name, test := range map[string]struct {
		f    func(http.Handler) http.Handler
		says string
	}{
		"takes any token": {before(func(r *http.Request) { r.Header.Set("Authorization", bearer) }), "no token"},
		"takes any token of that length": {before(func(r *http.Request) {
			if len(r.Header.Get("Authorization")) == len(bearer) {
				r.Header.Set("Authorization", bearer)
			}
		}), "same length"},
		"takes any method": {before(func(r *http.Request) {
			if r.Method == http.MethodDelete {
				r.Method = http.MethodGet
			}
		}), "another method"},
		"takes any repository": {before(func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "secrets", "web", 1) }), "another repository"},
		"takes any owner":      {before(func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "other", "acme", 1) }), "another owner"},
		"takes longer paths":   {before(func(r *http.Request) { r.URL.Path = strings.TrimSuffix(r.URL.Path, "/1") }), "a longer path"},
		"takes shorter paths": {before(func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/web") {
				r.URL.Path = path
			}
		}), "a shorter path"},
		"takes any kind":                {unread(func(string) bool { return true }), "another kind"},
		"takes a kind from anywhere":    {unread(func(body string) bool { return strings.Contains(body, `"kind":"record"`) }), "another kind"},
		"takes the beginning of a kind": {unread(func(body string) bool { return strings.Contains(body, `],"kind":"record`) }), "a kind that goes on"},
		"takes JSON without a kind":     {unread(func(body string) bool { return strings.HasSuffix(body, "]}") }), "no kind of its own"},
		"takes no JSON at all": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == records {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "in scope is answered 403"},
		"tells the token": {before(func(r *http.Request) { r.Header.Set("X-Token", r.Header.Get("Authorization")) }), "token came to the upstream"},
		"loses the body": {before(func(r *http.Request) {
			r.Body, r.ContentLength = http.NoBody, 0
		}), "with 0"},
		"answers itself": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && r.URL.Path == path && r.Header.Get("Authorization") == bearer {
					_, _ = io.WriteString(w, Body)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "of one request 0"},
		"ends connections of agents": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				h.ServeHTTP(w, r)
			})
		}, "in scope is answered"},
		"holds events back": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != streamPath {
					h.ServeHTTP(w, r)
					return
				}
				kept := httptest.NewRecorder()
				h.ServeHTTP(kept, r) // until the agent has given up
				_, _ = io.Copy(w, bytes.NewReader(kept.Body.Bytes()))
			})
		}, "asking for events"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := try(t, upstream(t), peers.Setup{}, test.f); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("found %v, not that it says %q", err, test.says)
			}
		})
	}
}

// TestReads asks a proxy for no more than it claims.
func TestReads(t *testing.T) {
	u := upstream(t)
	s := peers.Setup{Upstream: u.Addr, Token: "a-token-that-is-long", Key: "the-real-key"}
	blind := unread(func(string) bool { return true })
	proxy := httptest.NewServer(blind(peers.ReverseProxy(s, io.Discard)))
	defer proxy.Close()
	p := Proxy{Addr: netip.MustParseAddrPort(proxy.Listener.Addr().String()), Token: s.Token, Key: s.Key, Authority: s.Authority()}
	if err := EqualWork(t.Context(), p, u); err != nil {
		t.Error(err)
	}
}

// TestConnections finds a proxy that connects anew for each request.
func TestConnections(t *testing.T) {
	u := upstream(t)
	s := peers.Setup{Upstream: u.Addr, Token: "a-token-that-is-long", Key: "the-real-key"}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { peers.ReverseProxy(s, io.Discard).ServeHTTP(w, r) }))
	defer proxy.Close()
	p := Proxy{Addr: netip.MustParseAddrPort(proxy.Listener.Addr().String()), Token: s.Token, Key: s.Key, Authority: s.Authority()}
	if err := EqualWork(t.Context(), p, u); err == nil || !strings.Contains(err.Error(), "connections to the upstream") {
		t.Errorf("found %v", err)
	}
}

// TestWrongKey is what a proxy does that sends another header.
func TestWrongKey(t *testing.T) {
	u := upstream(t)
	s := peers.Setup{Upstream: u.Addr, Token: "a-token-that-is-long", Key: "the-real-key"}
	proxy := httptest.NewServer(peers.ReverseProxy(s, io.Discard))
	defer proxy.Close()
	p := Proxy{Addr: netip.MustParseAddrPort(proxy.Listener.Addr().String()), Token: s.Token, Key: "another-key", Authority: s.Authority()}
	if err := EqualWork(t.Context(), p, u); err == nil || !strings.Contains(err.Error(), "the key did not come") {
		t.Errorf("found %v", err)
	}
}

// TestDistrusts tells a proxy that verifies its upstream from one that was
// given another authority's word, or none.
func TestDistrusts(t *testing.T) {
	var ours, theirs peers.Trust
	for _, to := range []*peers.Trust{&ours, &theirs} {
		made, err := peers.NewTrust()
		if err != nil {
			t.Fatal(err)
		}
		*to = made
	}
	certificate, err := theirs.Certificate(peers.Setup{}.Host())
	if err != nil {
		t.Fatal(err)
	}
	u, err := NewUpstream(loopback, &certificate)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	for _, test := range []struct {
		trusts  peers.Trust
		correct bool
	}{{ours, true}, {theirs, false}} {
		s := peers.Setup{Upstream: u.Addr, Token: "a-token-that-is-long", Key: "the-real-key", CA: test.trusts.PEM()}
		proxy := httptest.NewServer(peers.ReverseProxy(s, io.Discard))
		err := Distrusts(t.Context(), Proxy{Addr: netip.MustParseAddrPort(proxy.Listener.Addr().String()), Token: s.Token}, u)
		if (err == nil) != test.correct {
			t.Errorf("trusts the right one: %t, found %v", test.correct, err)
		}
		proxy.Close()
	}
}
