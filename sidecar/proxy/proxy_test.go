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
	records := f.records.records(t)
	if len(records) != 3 {
		t.Errorf("%d records of 3 requests", len(records))
	}
	for _, r := range records {
		if r.Verdict != "Allow" || r.Path != "/notes/7" || r.Credential != theName || len(r.Grants) != 1 || len(r.ID) != 32 {
			t.Errorf("recorded %+v", r)
		}
	}
}

// TestTrace has the record name the trace that an agent's request is part of,
// and the upstream hear nothing of it.
func TestTrace(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	const line = "traceparent: 00-" + trace + "-" + span + "-01\r\n"
	for name, test := range map[string]struct {
		why, path, fields string
		said              bool
	}{
		"allowed":   {"an agent's spans lead to what it did", "/notes", line, true},
		"refused":   {"and to what it could not do", "/admin", line, true},
		"malformed": {"nothing that is no id goes into a record", "/notes", "Traceparent: 00-" + trace + "\r\n", false},
		"twice":     {"which one?", "/notes", line + line, false},
		"none":      {"there need not be one", "/notes", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo)
			a := f.agent()
			a.send(request("GET", test.path) + test.fields + "\r\n")
			a.read("GET")
			got := f.records.records(t)
			if len(got) != 1 || (got[0].TraceID == trace && got[0].SpanID == span) != test.said || got[0].TraceID == "" == test.said {
				t.Errorf("%s: recorded %+v", test.why, got)
			}
			if strings.Contains(strings.ToLower(f.upstream.bytes()), "traceparent") {
				t.Errorf("the upstream got it")
			}
		})
	}
}
