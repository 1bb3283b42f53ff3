package parsers

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/profile"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// TestRead: the parsers are not so lenient that nothing would be seen.
func TestRead(t *testing.T) {
	const end = " HTTP/1.1\r\nHost: a\r\n"
	for name, test := range map[string]struct {
		why, raw string
		want     int // requests; 0: they read it differently
	}{
		"plain":          {"it is one request", "GET /a?b=c" + end + "\r\n", 1},
		"pipelined":      {"two", "POST /a" + end + "Content-Length: 1\r\n\r\nxGET /b" + end + "\r\n", 2},
		"chunked":        {"one", "POST /a" + end + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 1},
		"dot segments":   {"some resolve them", "GET /a/../b" + end + "\r\n", 0},
		"hidden dots":    {"the same", "GET /a/%2e%2e/b" + end + "\r\n", 0},
		"empty segment":  {"some drop it", "GET //a" + end + "\r\n", 0},
		"backslash":      {"a slash to browsers", `GET /a\b` + end + "\r\n", 0},
		"quote":          {"browsers encode it", `GET /a"b` + end + "\r\n", 0},
		"semicolon":      {"an error to some", "GET /a?b=c;d=e" + end + "\r\n", 0},
		"broken triplet": {"an error to some", "GET /a?b=%zz" + end + "\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read([]byte(test.raw))
			if len(got) != test.want || (err == nil) != (test.want > 0) {
				t.Errorf("%s: read %+v, %v", test.why, got, err)
			}
		})
	}
}

// open allows all that can be allowed, so that nothing but its form keeps a
// request from being forwarded.
func open(t testing.TB, p scope.Profile) *scope.Policy {
	t.Helper()
	policy, err := scope.Compile(p, []scope.Grant{{
		Name:  "open",
		HTTP:  &scope.HTTP{Methods: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}, Paths: []string{"/", "/{all...}", "/{all...}/"}},
		Query: scope.Query{UnlistedAllow: true},
		Body:  &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// FuzzForwarded: whatever an agent sends, what is forwarded of it all parsers
// read as what was judged.
func FuzzForwarded(f *testing.F) {
	const end = " HTTP/1.1\r\nHost: a\r\n"
	for _, raw := range []string{
		"GET /" + end + "\r\n", "GET /repos/Acme/web/contents/a%2Fb?q=a%20b+c&q=%26" + end + "\r\n",
		"POST /a" + end + "Content-Length: 3\r\n\r\nabc", "GET /a" + end + "Content-Length: 20\r\n\r\nGET /b HTTP/1.1\r\n\r\n.",
		"DELETE /a/" + end + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"PUT /%C3%A9'()*!$&+,:=@;~ %7C" + end + "\r\n", "GET /a?%5B=%5D&'=%27&\"=%22" + end + "\r\n", "GET /a?b=%2525&c=%00" + end + "\r\n",
		"GET /%EF%BB%BF/%E2%80%AE/a..b/.a/..." + end + "Accept: a\xffb\r\n\r\n", "GET /a?a[]=b&a[b]=c" + end + "\r\n",
	} {
		f.Add([]byte(raw), false)
		f.Add([]byte(raw), true)
	}
	github, _ := profile.Lookup("github-rest")
	policies := map[bool]*scope.Policy{false: open(f, scope.Profile{}), true: open(f, github.Scope)}
	f.Fuzz(func(t *testing.T, raw []byte, folding bool) {
		p := &scope.Profile{}
		if folding {
			p = &github.Scope
		}
		sent, want, err := forward(policies[folding], p, raw)
		if err != nil {
			return // it is refused
		}
		got, err := Read(sent)
		if err != nil || len(got) != 1 {
			t.Fatalf("%q is forwarded as %q: %d requests, %v", raw, sent, len(got), err)
		}
		if err := agree(&got[0], &want, "the judge"); err != nil {
			t.Fatalf("%q is forwarded as %q: %v", raw, sent, err)
		}
	})
}

var errRefused = errors.New("refused")

// forward reads a request as the sidecar does, judges it, and returns the bytes
// that go upstream with what was judged.
func forward(policy *scope.Policy, p *scope.Profile, raw []byte) (sent []byte, judged Message, err error) {
	const limit = 32 << 10
	in := http1.NewReader(bytes.NewReader(raw), limit)
	var h http1.RequestHead
	if err := in.ReadRequest(&h); err != nil {
		return nil, judged, err
	}
	defer h.Release()
	var r scope.Request
	head := scope.Head{Method: h.Method, Target: h.Target, Fields: h.Fields, HasBody: !h.Framing.Empty()}
	if err := r.Parse(&head, p); err != nil {
		return nil, judged, err
	}
	d := policy.Decide(&r)
	if d.Verdict != scope.Allow {
		return nil, judged, errRefused
	}
	body, err := io.ReadAll(in.Body())
	if err != nil {
		return nil, judged, err
	}
	var out bytes.Buffer
	w := http1.NewWriter(&out)
	target := string(scope.AppendTarget(nil, "", &r, &d))
	w.Request(r.Method(), []byte(target), "upstream.example")
	for _, f := range h.Fields {
		if scope.Forwards(&d, f.Name) {
			w.Field(f.Name, f.Value)
		}
	}
	w.Body(h.Framing)
	if _, err := w.Write(body); err != nil {
		return nil, judged, err
	}
	if err := w.End(); err != nil {
		return nil, judged, err
	}
	return out.Bytes(), judgedAs(&r, target, string(body)), w.Flush()
}

func judgedAs(r *scope.Request, target, body string) Message {
	path, _, _ := strings.Cut(target, "?")
	m := Message{Method: r.Method(), Path: decoded(path), Body: body}
	for _, p := range r.Query() {
		m.Query = append(m.Query, Pair{p.Name, p.Value})
	}
	m.Query = sorted(slices.Clone(m.Query))
	return m
}
