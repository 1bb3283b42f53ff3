package proxy

import (
	"strings"
	"testing"
)

func TestForward(t *testing.T) {
	f := newFixture(t, echo)
	a := f.agent()
	for range 3 {
		a.send(request("GET", "/notes/7?q=a+b") + "Accept: */*\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\nX-Tenant: acme\r\n\r\n")
		if got := a.read("GET"); got.StatusCode != 200 || got.Header.Get("X-Seen") != "GET /notes/7?q=a%20b" {
			t.Fatalf("got %d %v %s", got.StatusCode, got.Header, got.body)
		}
	}
	want := "GET /notes/7?q=a%20b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nX-Tenant: acme\r\n" +
		"Accept-Encoding: identity\r\nAuthorization: Bearer " + theSecret + "\r\n\r\n"
	if got := f.upstream.bytes(); got != strings.Repeat(want, 3) {
		t.Errorf("upstream got %q", got)
	}
	if n := f.upstream.connections(); n != 1 {
		t.Errorf("%d connections to the upstream, want 1", n)
	}
	for _, r := range f.records.records(t) {
		if r.Verdict != "Allow" || r.Path != "/notes/7" || r.Credential != theName || len(r.Grants) != 1 || len(r.ID) != 32 {
			t.Errorf("recorded %+v", r)
		}
	}
}
