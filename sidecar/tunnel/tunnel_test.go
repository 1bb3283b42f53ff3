package tunnel

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

func TestPlaceOf(t *testing.T) {
	for url, want := range map[string]Place{
		"https://api.example.com":             {"https://api.example.com:443", "api.example.com", "api.example.com", ""},
		"https://api.example.com:443/":        {"https://api.example.com:443", "api.example.com", "api.example.com", ""},
		"https://API.example.com:8443/api/v3": {"https://api.example.com:8443", "api.example.com", "api.example.com:8443", "/api/v3"},
		"http://notes.agents.svc":             {"http://notes.agents.svc:80", "notes.agents.svc", "notes.agents.svc", ""},
		"http://notes.agents.svc:443":         {"http://notes.agents.svc:443", "notes.agents.svc", "notes.agents.svc:443", ""},
		"https://[2001:db8::1]/a%20b":         {"https://[2001:db8::1]:443", "2001:db8::1", "[2001:db8::1]", "/a%20b"},
		"https://192.0.2.7:80":                {"https://192.0.2.7:80", "192.0.2.7", "192.0.2.7:80", ""},
	} {
		got, err := PlaceOf(&bundle.Endpoint{URL: url})
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", url, got, err)
		}
		if got.Secure() != strings.HasPrefix(url, "https") {
			t.Errorf("%s: secure: %t", url, got.Secure())
		}
	}
	for _, url := range []string{"", "api.example.com", "ftp://api.example.com", "https://", "https:///x", "://"} {
		if got, err := PlaceOf(&bundle.Endpoint{URL: url}); err == nil {
			t.Errorf("%s: got %+v", url, got)
		}
	}
}

func TestAbsolute(t *testing.T) {
	for target, want := range map[string][2]string{
		"http://example.com/":           {"http://example.com:80", "/"},
		"http://example.com/a?b=c/d":    {"http://example.com:80", "/a?b=c/d"},
		"http://example.com:8080//a":    {"http://example.com:8080", "//a"},
		"http://[2001:db8::1]/a":        {"http://[2001:db8::1]:80", "/a"},
		"http://[2001:db8::1]:81/a":     {"http://[2001:db8::1]:81", "/a"},
		"http://u@example.com/a":        {"http://u@example.com:80", "/a"}, // an origin that nobody has
		"http:///a":                     {"http://:80", "/a"},
		"http://example.com/http://b/c": {"http://example.com:80", "/http://b/c"},
	} {
		origin, rest, err := Absolute(target)
		if err != nil || origin != want[0] || rest != want[1] {
			t.Errorf("%s: got %s, %s, %v", target, origin, rest, err)
		}
	}
	for target, want := range map[string]error{
		"/a": ErrOrigin, "*": ErrOrigin, "example.com:443": ErrOrigin, "": ErrOrigin, "/http://example.com/": ErrOrigin,
		"/a?x=http://example.com/": ErrOrigin, "?http://example.com/": ErrOrigin,
		"https://example.com/": ErrScheme, "HTTP://example.com/": ErrScheme, "ws://example.com/": ErrScheme, "://example.com/": ErrScheme,
		"http://example.com": ErrPath, "http://example.com?a=b": ErrPath, "http://example.com#/": ErrPath, "http://": ErrPath,
	} {
		if origin, rest, err := Absolute(target); !errors.Is(err, want) {
			t.Errorf("%s: got %s, %s, %v", target, origin, rest, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		host, origin string
		want         bool
	}{
		{"example.com", "https://example.com:443", true},
		{"example.com:443", "https://example.com:443", true},
		{"example.com:80", "https://example.com:443", false},
		{"example.com", "https://example.com:80", false},
		{"example.com", "http://example.com:80", true},
		{"example.com", "https://example.com:8443", false},
		{"example.com:8443", "https://example.com:8443", true},
		{"[2001:db8::1]", "https://[2001:db8::1]:443", true},
		{"EXAMPLE.com", "https://example.com:443", false},
		{"example.com.", "https://example.com:443", false},
		{"", "https://:443", false},
		{"", "https://example.com:443", false},
	} {
		if got := Names(test.host, test.origin); got != test.want {
			t.Errorf("%q names %s: got %t", test.host, test.origin, got)
		}
	}
}

func TestFit(t *testing.T) {
	for _, test := range []struct {
		base, target string
		want         Fit
	}{
		{"", "/", Below}, {"", "/a", Below}, {"", "*", Beside}, {"", "", Beside}, {"", "a", Beside},
		{"/api", "/api/", Below}, {"/api", "/api/x?y", Below}, {"/api", "/api", Beside}, {"/api", "/api?x", Beside},
		{"/api", "/apis/x", Beside}, {"/api", "/x/api/x", Beside}, {"/api", "/x?/api/", Beside}, {"/api", "/API/x", Beside},
		{"/api", "/%61pi/x", Unclear}, {"/api", "/api%2fx", Unclear}, {"/api", "/api%2Fx", Unclear}, {"/api", "/%2561pi/x", Beside},
		{"/api", "/ap%69", Unclear}, {"/api", "%2fapi/x", Unclear}, {"/api", "/ap%zz/x", Beside},
		{"/api/v3", "/api%2fv3/x", Unclear}, {"/api/v3", "/api/v3%2f", Unclear}, {"/a%20b", "/a%20b/x", Below}, {"/a%20b", "/a%2520b/x", Beside}, {"/a%20b", "/%61%20b/x", Unclear},
	} {
		if got := (Place{Base: test.base}).Fit(test.target); got != test.want {
			t.Errorf("%s, %s: got %d, want %d", test.base, test.target, got, test.want)
		}
	}
}

// FuzzFit: what is beside a base path is so behind the one decoding that a judge
// does.
func FuzzFit(f *testing.F) {
	for _, seed := range []string{"/api/x", "/%61pi/x", "/api%2fx", "/%2561pi", "/%%361pi/x", "%2fapi/"} {
		f.Add("/api", seed)
	}
	f.Fuzz(func(t *testing.T, base, target string) {
		if strings.ContainsAny(base, "%?") || base != "" && (base[0] != '/' || strings.HasSuffix(base, "/")) {
			return
		}
		raw, _, _ := strings.Cut(target, "?")
		path, err := url.PathUnescape(raw)
		if err == nil && (Place{Base: base}).Fit(target) == Beside && strings.HasPrefix(path, base+"/") {
			t.Fatalf("%q is below %q behind decoding, and was called beside it", target, base)
		}
	})
}

func two(change func(a, b *bundle.Endpoint)) *bundle.Credential {
	c := &bundle.Credential{
		Endpoints: []bundle.Endpoint{
			{Name: "a", URL: "https://example.com", Inject: bundle.Inject{Bearer: &struct{}{}}},
			{Name: "b", URL: "https://example.com:443/", Inject: bundle.Inject{Bearer: &struct{}{}}},
			{Name: "c", URL: "https://example.com/c", Inject: bundle.Inject{Basic: &bundle.BasicInjection{Username: "x"}}},
		},
		Grants:  []scope.Grant{{Name: "1", Endpoint: "a"}, {Name: "2", Endpoint: "b"}, {Name: "3", Endpoint: "c"}, {Name: "4", Endpoint: "none"}},
		Ceiling: &bundle.Ceiling{Grants: []scope.Grant{{Name: "1", Endpoint: "b"}}},
	}
	if change != nil {
		change(&c.Endpoints[0], &c.Endpoints[1])
	}
	return c
}

func TestMerge(t *testing.T) {
	c := two(func(_, b *bundle.Endpoint) {
		b.Profile = scope.Profile{SlashInTail: true, ReserveQuery: []string{"key"}}
	})
	got, err := Merge(c)
	if err != nil {
		t.Fatal(err)
	}
	want := two(nil)
	want.Endpoints = []bundle.Endpoint{want.Endpoints[0], want.Endpoints[2]}
	want.Endpoints[0].Name = "a+b"
	want.Endpoints[0].Profile = c.Endpoints[1].Profile // the one that knows more
	want.Grants[0].Endpoint, want.Grants[1].Endpoint, want.Ceiling.Grants[0].Endpoint = "a+b", "a+b", "a+b"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if diff := cmp.Diff(two(nil).Grants, c.Grants); diff != "" || c.Endpoints[0].Name != "a" {
		t.Errorf("what was given was changed: %s", diff)
	}
	if c.Ceiling = nil; true {
		if got, err := Merge(c); err != nil || got.Ceiling != nil {
			t.Errorf("without a ceiling: got %+v, %v", got.Ceiling, err)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	for what, change := range map[string]func(a, b *bundle.Endpoint){
		"inject":  func(_, b *bundle.Endpoint) { b.Inject = bundle.Inject{Query: &bundle.QueryInjection{Name: "k"}} },
		"headers": func(_, b *bundle.Endpoint) { b.Headers = map[string]string{"X": "y"} },
		"tls":     func(_, b *bundle.Endpoint) { b.MinTLS = "1.3" },
		"network": func(a, _ *bundle.Endpoint) { a.Private = true },
		"profile": func(a, b *bundle.Endpoint) {
			a.Profile.ForwardHeaders, b.Profile.ForwardHeaders = []string{"X-A"}, []string{"X-B"}
		},
		"scheme": func(_, b *bundle.Endpoint) { b.URL = "ftp://example.com" },
	} {
		if got, err := Merge(two(change)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
	}
}
