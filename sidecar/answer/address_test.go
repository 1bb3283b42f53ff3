package answer_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
)

const listener = "http://127.0.0.1:41234"

func base(tb testing.TB, upstream string) answer.Base {
	tb.Helper()
	b, err := answer.NewBase(upstream, listener)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestValue(t *testing.T) {
	const host, below = "https://api.example.com", "https://example.com:8443/api/v3"
	tests := map[string]struct {
		why                         string
		upstream, name, value, want string
	}{
		"upstream":           {"it is the listener's", host, "Location", "https://api.example.com/x?page=2#f", listener + "/x?page=2#f"},
		"names have no case": {"nor have hosts and schemes", host, "location", "HTTPS://API.example.COM/x", listener + "/x"},
		"port written out":   {"the same place", host, "Location", "https://api.example.com:443/x", listener + "/x"},
		"no path":            {"as it is", host, "Location", "https://api.example.com", listener},
		"query alone":        {"as it is", host, "Location", "https://api.example.com?x", listener + "?x"},
		"elsewhere":          {"the agent's affair", host, "Location", "https://other.example.com/x", ""},
		"longer host":        {"another host", host, "Location", "https://api.example.com.evil.org/x", ""},
		"another port":       {"another place", host, "Location", "https://api.example.com:8443/x", ""},
		"another scheme":     {"another place", host, "Location", "http://api.example.com/x", ""},
		"user":               {"not the upstream alone", host, "Location", "https://a@api.example.com/x", ""},
		"host as user":       {"another host", host, "Location", "https://api.example.com:443@evil.org/x", ""},
		"backslash":          {"another host for some clients", host, "Location", `https://api.example.com\@evil.org/x`, ""},
		"no scheme":          {"the upstream's own", host, "Location", "//api.example.com/x", listener + "/x"},
		"path":               {"leads to the listener", host, "Location", "/x", ""},
		"relative":           {"leads to the listener", host, "Location", "../x?y", ""},
		"empty":              {"nothing", host, "Location", "", ""},
		"text":               {"no reference", host, "Location", "see https://api.example.com/x", ""},
		"content location":   {"a reference", host, "Content-Location", "https://api.example.com/x", listener + "/x"},
		"operation location": {"a reference", host, "Operation-Location", "https://api.example.com/x", listener + "/x"},
		"other field":        {"not known as a reference", host, "X-Url", "https://api.example.com/x", ""},
		"field as long":      {"not known as a reference", host, "X-Fooooo", "https://api.example.com/x", ""},

		"base":                 {"paths begin below it", below, "Location", "https://example.com:8443/api/v3/x", listener + "/x"},
		"base itself":          {"the root", below, "Location", "https://example.com:8443/api/v3", listener},
		"beside the base":      {"nothing at the listener", below, "Location", "https://example.com:8443/login", ""},
		"longer segment":       {"beside the base", below, "Location", "https://example.com:8443/api/v30", ""},
		"path of the base":     {"once is enough", below, "Location", "/api/v3/x?y", "/x?y"},
		"path is the base":     {"an empty reference would be the same page", below, "Location", "/api/v3", listener},
		"path, query alone":    {"would be the same page", below, "Location", "/api/v3?a", listener + "?a"},
		"path, slashes":        {"would be a host", below, "Location", "/api/v3//evil.org", listener + "//evil.org"},
		"path beside the base": {"named in full", below, "Location", "/login", "https://example.com:8443/login"},
		"IPv6":                 {"in brackets", "https://[2001:db8::1]/a", "Location", "/b", "https://[2001:db8::1]/b"},
		"IPv6 upstream":        {"in brackets", "https://[2001:db8::1]:444", "Location", "https://[2001:DB8::1]:444/b", listener + "/b"},

		"links":            {"each target", host, "Link", `<https://api.example.com/x?page=2>; rel="next", </y>; rel="a<https://api.example.com/>b", <https://o.org/>`, `<` + listener + `/x?page=2>; rel="next", </y>; rel="a<https://api.example.com/>b", <https://o.org/>`},
		"link, escapes":    {"quotes end where they end", host, "link", `</y>; t="\"", <https://api.example.com/>`, `</y>; t="\"", <` + listener + `/>`},
		"link, broken off": {"as it is", host, "Link", `<https://api.example.com/x`, ""},

		"refresh":            {"an address", host, "Refresh", "5; url=https://api.example.com/x", "5; url=" + listener + "/x"},
		"refresh, quoted":    {"an address", host, "refresh", "5;URL='https://api.example.com/x' ", "5;URL='" + listener + "/x' "},
		"refresh, bare":      {"browsers take it", host, "Refresh", "0, https://api.example.com/x", "0, " + listener + "/x"},
		"refresh, no target": {"as it is", host, "Refresh", "5", ""},
		"refresh, empty":     {"as it is", host, "Refresh", "5; url=", ""},
		"refresh, separator": {"as it is", host, "Refresh", "5;", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.want == "" {
				test.want = test.value
			}
			b := base(t, test.upstream)
			if got := b.Value(test.name, test.value); got != test.want {
				t.Errorf("%s: got %q, want %q", test.why, got, test.want)
			}
		})
	}
	if got := (&answer.Base{}).Value("Location", host); got != host {
		t.Errorf("the zero Base writes %q", got)
	}
}

// FuzzReference: a reference that net/url resolves to the upstream, below its
// base path, leads to the listener afterwards, and to the same path there; what
// leads elsewhere never does.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{"https://example.com:8443/api/v3/x", "/api/v3/x?y", "//example.com:8443/api/v3#a", "https://u@example.com:8443/", "http:/x", "x:y"} {
		f.Add(seed)
	}
	const upstream = "https://example.com:8443/api/v3"
	b := base(f, upstream)
	here, there := must(url.Parse(upstream+"/a/b")), must(url.Parse(listener+"/a/b"))
	f.Fuzz(func(t *testing.T, ref string) {
		before, err := here.Parse(ref)
		if err != nil || strings.Contains(ref, "..") || strings.Contains(ref, "/.") || strings.HasPrefix(ref, "///") {
			return // resolving cleans up, and differs between clients
		}
		got := b.Reference(ref)
		after, err := there.Parse(got)
		if err != nil {
			t.Fatalf("%q became %q: %v", ref, got, err)
		}
		path, below := strings.CutPrefix(before.EscapedPath(), "/api/v3")
		inside := before.Scheme == "https" && text.EqualFold(before.Host, "example.com:8443") && before.User == nil &&
			below && (path == "" || path[0] == '/')
		if toListener := after.Host == there.Host && after.Scheme == "http"; inside != toListener && ref != "" {
			t.Fatalf("%q became %q", ref, got)
		}
		if inside && strings.TrimPrefix(after.EscapedPath(), "/") != strings.TrimPrefix(path, "/") {
			t.Fatalf("%q became %q", ref, got)
		}
	})
}

func must(u *url.URL, err error) *url.URL {
	if err != nil {
		panic(err)
	}
	return u
}

// FuzzLinks: each target of a Link field, and the address of a Refresh, becomes
// what it would become by itself; all else stays as it is.
func FuzzLinks(f *testing.F) {
	f.Add("https://example.com:8443/api/v3/x?page=2", `a<https://example.com:8443/>"\`, "/api/v3/y")
	f.Add("/y", ", <", "https://o.org/")
	f.Add("", "rel", "//example.com:8443/api/v3")
	b := base(f, "https://example.com:8443/api/v3")
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, first, title, second string) {
		if strings.Contains(first+second, ">") {
			return // it would end there
		}
		link := func(first, second string) string {
			return `<` + first + `>; rel=next; title="` + quote.Replace(title) + `", <` + second + `>;rel="a b"`
		}
		if got, want := b.Value("Link", link(first, second)), link(b.Reference(first), b.Reference(second)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if strings.ContainsAny(first, `'"`) || strings.HasPrefix(strings.TrimLeft(first, " \t"), "=") || strings.Trim(first, " \t") != first {
			return
		}
		if got, want := b.Value("Refresh", "5; url="+first), "5; url="+b.Reference(first); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
