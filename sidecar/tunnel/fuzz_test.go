package tunnel

import (
	"net/url"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// FuzzAbsolute: a URL whose origin is one that there is names that host and port
// to every reader, and no user; what is left of it is its path and query.
func FuzzAbsolute(f *testing.F) {
	origins := map[string][2]string{ // host and port, as readers of URLs tell them
		"http://example.com:80": {"example.com", "80"}, "http://example.com:8080": {"example.com", "8080"}, "http://[2001:db8::1]:80": {"2001:db8::1", "80"},
	}
	for _, seed := range []string{
		"http://example.com/a?b=c", "http://example.com:80/", "http://example.com:8080/a/../b", "http://[2001:db8::1]/x", "http://example.com:080/",
		"http://user@example.com/", "http://example.com\\@evil/", "http://evil/http://example.com/", "http:///example.com/", "http://example.com:80:80/", "http://example.com/\\..\\a#b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		origin, rest, err := Absolute(target)
		if err != nil {
			if origin != "" || rest != "" {
				t.Errorf("%q: %q, %q with %v", target, origin, rest, err)
			}
			return
		}
		want, known := origins[origin]
		if !known {
			return // nobody is led there
		}
		if !strings.HasSuffix(target, rest) || rest == "" || rest[0] != '/' || !Names(strings.TrimPrefix(origin, "http://"), origin) {
			t.Errorf("%q: %q is left, at %q", target, rest, origin)
		}
		if strings.ContainsAny(rest, "\t\r\n") {
			return // the WHATWG's readers remove them; no request line has them
		}
		port := func(s string) string {
			if s == "" {
				return "80"
			}
			return s
		}
		if u, err := url.Parse(target); err == nil && (u.Hostname() != want[0] || port(u.Port()) != want[1] || u.User != nil || u.Scheme != "http") {
			t.Errorf("%q: at %q, and net/url reads %+v", target, origin, u)
		}
		u, err := whatwg.Parse(target)
		if err != nil {
			t.Fatalf("%q: at %q, and the WHATWG's reader says %v", target, origin, err)
		}
		if host := strings.Trim(u.Hostname(), "[]"); host != want[0] || port(u.Port()) != want[1] || u.Username() != "" || u.Password() != "" {
			t.Errorf("%q: at %q, and the WHATWG's reader finds %q, port %q, user %q", target, origin, host, u.Port(), u.Username())
		}
	})
}

// FuzzNames: a Host field that names an origin is its authority, or that without
// the port that its scheme has anyhow; so is what CONNECT asks for.
func FuzzNames(f *testing.F) {
	for _, seed := range [][2]string{
		{"example.com", "example.com:443"}, {"example.com:443", "example.com:443"}, {"example.com:4430", "example.com:443"}, {"", ":443"},
		{"[2001:db8::1]", "[2001:db8::1]:443"}, {"a:443", "a:443:443"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, target string) {
		origin := Connect(target)
		if !strings.HasPrefix(origin, "https://") || !strings.HasSuffix(origin, target) {
			t.Errorf("CONNECT %q leads to %q", target, origin)
		}
		if Names(host, origin) && (host == "" || host != target && host+":443" != target) {
			t.Errorf("%q names %q", host, origin)
		}
	})
}
