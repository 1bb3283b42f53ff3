package proxy

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
)

const host = "Host: example.com\r\n"

const bearer = "Authorization: Bearer " + theHandle + "\r\n"

// refused are requests of which nothing may reach the upstream.
var refused = map[string]struct {
	why, raw string
	status   int
	reason   string
	closed   bool
}{
	"no token":            {"always required", "GET /notes HTTP/1.1\r\n" + host + "\r\n", 401, "Unauthenticated", false},
	"wrong token":         {"one that is like ours", "GET /notes HTTP/1.1\r\n" + host + "Authorization: Bearer " + theHandle + "x\r\n\r\n", 401, "Unauthenticated", false},
	"the credential":      {"knowing it does not help", "GET /notes HTTP/1.1\r\n" + host + "Authorization: Bearer " + theSecret + "\r\n\r\n", 401, "Unauthenticated", false},
	"other scheme":        {"another place", "GET /notes HTTP/1.1\r\n" + host + "Authorization: Basic " + theHandle + "\r\n\r\n", 401, "Unauthenticated", false},
	"token twice":         {"whose is sent on?", request("GET", "/notes") + bearer + "\r\n", 400, "Malformed", true},
	"second spelling":     {"some servers take it for the place", request("GET", "/notes") + "authorization: Bearer x\r\n\r\n", 400, "Malformed", true},
	"method":              {"GET does not imply it", request("DELETE", "/notes") + "\r\n", 403, "OutOfScope", false},
	"method, other case":  {"methods are exact", request("get", "/notes") + "\r\n", 403, "OutOfScope", false},
	"path":                {"no grant", request("GET", "/admin") + "\r\n", 403, "OutOfScope", false},
	"query":               {"not listed", request("GET", "/notes?all=1") + "\r\n", 403, "ParameterRefused", false},
	"header":              {"listed, and of another value", request("GET", "/notes") + "X-Tenant: evil\r\n\r\n", 403, "ParameterRefused", false},
	"body":                {"none is granted", request("GET", "/notes") + "Content-Length: 5\r\n\r\nhello", 403, "ParameterRefused", false},
	"body, chunked":       {"none is granted", request("GET", "/notes") + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 403, "ParameterRefused", false},
	"body, expected":      {"it is not asked for", request("GET", "/notes") + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 403, "ParameterRefused", true},
	"body, long":          {"it is not read", request("GET", "/notes") + "Content-Length: 9999999\r\n\r\n", 403, "ParameterRefused", true},
	"body, malformed":     {"whoever read it would be misled", request("GET", "/notes") + "Transfer-Encoding: chunked\r\n\r\n5;x\nhello\r\n0\r\n\r\n", 400, "Malformed", true},
	"body, too long":      {"stated", request("POST", "/notes") + "Content-Length: 1048577\r\n\r\n", 413, "TooLarge", true},
	"dot segments":        {"another reader shortens it", request("GET", "/notes/../admin") + "\r\n", 400, "Malformed", true},
	"absolute form":       {"not a proxy", request("GET", "http://example.com/notes") + "\r\n", 400, "Malformed", true},
	"connect":             {"not a proxy", request("CONNECT", "example.com:443") + "\r\n", 400, "Malformed", true},
	"other host":          {"a rebound name", "GET /notes HTTP/1.1\r\nHost: evil.example\r\n" + bearer + "\r\n", 400, "Malformed", true},
	"host with a port":    {"another one", "GET /notes HTTP/1.1\r\nHost: example.com:444\r\n" + bearer + "\r\n", 400, "Malformed", true},
	"two hosts":           {"which one?", request("GET", "/notes") + host + "\r\n", 400, "Malformed", true},
	"two framings":        {"smuggling", request("POST", "/notes") + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Malformed", true},
	"unknown coding":      {"not understood", request("POST", "/notes") + "Transfer-Encoding: gzip\r\n\r\n", 501, "Malformed", true},
	"old version":         {"other rules", "GET /notes HTTP/1.0\r\n" + host + "\r\n", 505, "Malformed", true},
	"bare line feeds":     {"readers differ", "GET /notes HTTP/1.1\nHost: example.com\n\n", 400, "Malformed", true},
	"long target":         {"bounded", request("GET", "/notes/"+strings.Repeat("a", 40<<10)) + "\r\n", 414, "TooLarge", true},
	"long header":         {"bounded", request("GET", "/notes") + "X-Pad: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", 431, "TooLarge", true},
	"upgrade":             {"none is granted", request("GET", "/notes") + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400, "Malformed", true},
	"upgrade to HTTP/2":   {"never", request("GET", "/notes") + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400, "Malformed", true},
	"preface of HTTP/2":   {"never", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "Malformed", true},
	"other expectation":   {"nobody can meet it", request("POST", "/notes") + "Content-Length: 1\r\nExpect: 200-maybe\r\n\r\n", 400, "Malformed", true},
	"hop-by-hop, hostile": {"would be removed on the way", request("GET", "/notes") + "X-Tenant: acme\r\nConnection: X-Tenant\r\n\r\n", 400, "Malformed", true},
}

func TestRefused(t *testing.T) {
	f := newFixture(t, echo)
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			before := len(f.records.records(t))
			a := f.agent()
			go func() { _, _ = a.Write([]byte(test.raw)) }() // may be cut short
			method, _, _ := strings.Cut(test.raw, " ")
			got := a.read(method)
			if got.StatusCode != test.status || got.reason() != test.reason {
				t.Errorf("%s: got %d %s, want %d %s", test.why, got.StatusCode, got.body, test.status, test.reason)
			}
			if got.Close != test.closed || test.closed && !a.closed() {
				t.Errorf("%s: closed is %t, want %t", test.why, got.Close, test.closed)
			}
			checkProblem(t, f, got, before)
			if !test.closed {
				a.send(request("GET", "/notes") + "\r\n")
				if got := a.read("GET"); got.StatusCode != 200 {
					t.Errorf("the next request got %d", got.StatusCode)
				}
			}
		})
	}
	for line := range strings.Lines(f.upstream.bytes()) {
		if strings.Contains(line, "HTTP/") && line != "GET /notes HTTP/1.1\r\n" {
			t.Errorf("upstream got %q", line)
		}
	}
}

// checkProblem holds a refusal to its form, and to its record.
func checkProblem(t *testing.T, f *fixture, got reply, before int) {
	t.Helper()
	if got.Header.Get("Content-Type") != "application/problem+json; charset=utf-8" {
		t.Errorf("media type %q", got.Header.Get("Content-Type"))
	}
	var p struct {
		Type, Title, Detail, Credential, Reason, RequestID string
		Status                                             int
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.Credential != theName || p.Status != got.StatusCode {
		t.Errorf("problem %s", got.body)
	}
	if challenge := got.Header.Get("WWW-Authenticate"); (got.StatusCode == 401) != (challenge != "") {
		t.Errorf("challenge %q with %d", challenge, got.StatusCode)
	}
	records := f.records.records(t)[before:]
	if len(records) != 1 || records[0].ID != p.RequestID || records[0].Reason != p.Reason || records[0].Verdict != "Deny" {
		t.Errorf("recorded %+v, told %s", records, got.body)
	}
}

// A second request on a connection is judged like the first, however it came.
func TestPipelined(t *testing.T) {
	f := newFixture(t, echo)
	a := f.agent()
	a.send(request("GET", "/notes/1") + "\r\n" + request("GET", "/admin") + "\r\n" + request("POST", "/notes") + "Content-Length: 2\r\n\r\nhi" + request("GET", "/notes/../x") + "\r\n")
	for i, want := range []int{200, 403, 200, 400} {
		if got := a.read("GET"); got.StatusCode != want {
			t.Errorf("answer %d is %d, want %d", i+1, got.StatusCode, want)
		}
	}
	if strings.Contains(f.upstream.bytes(), "admin") || strings.Contains(f.upstream.bytes(), "..") {
		t.Error("an out-of-scope request went upstream")
	}
}

// What cannot be recorded does not happen.
func TestUnrecorded(t *testing.T) {
	f := newFixture(t, echo)
	f.records.mu.Lock()
	f.records.full = true
	f.records.mu.Unlock()
	for _, raw := range []string{"GET /notes", "GET /admin"} {
		method, target, _ := strings.Cut(raw, " ")
		a := f.agent()
		a.send(request(method, target) + "\r\n")
		if got := a.read("GET"); got.StatusCode != 503 || got.reason() != "Unrecorded" || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
	}
	if got := f.upstream.bytes(); got != "" {
		t.Errorf("upstream got %q", got)
	}
}

func TestRefusedHEADHasNoBody(t *testing.T) {
	f := newFixture(t, echo)
	a := f.agent()
	a.send(request("HEAD", "/admin") + "\r\n" + request("GET", "/notes") + "\r\n")
	if got := a.read("HEAD"); got.StatusCode != 403 || got.ContentLength <= 0 {
		t.Errorf("got %d with a length of %d", got.StatusCode, got.ContentLength)
	}
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("the next got %d", got.StatusCode)
	}
}

// injections are the places of a credential, and what the upstream gets.
var injections = map[string]struct {
	why      string
	inject   bundle.Inject
	raw      string
	status   int
	upstream string
}{
	"header": {"the field alone", bundle.Inject{Header: &bundle.HeaderInjection{Name: "X-Api-Key", Template: "{secret}"}},
		"GET /notes HTTP/1.1\r\n" + host + "x-api-key: " + theHandle + "\r\nAuthorization: Bearer other\r\n\r\n", 200, "X-Api-Key: " + theSecret + "\r\n\r\n"},
	"header, spelled": {"CGI takes it for the other", bundle.Inject{Header: &bundle.HeaderInjection{Name: "X-Api-Key", Template: "{secret}"}},
		"GET /notes HTTP/1.1\r\n" + host + "x-api-key: " + theHandle + "\r\nX_Api_Key: other\r\n\r\n", 400, ""},
	"template": {"around the secret", bundle.Inject{Header: &bundle.HeaderInjection{Name: "Authorization", Template: "token {secret};v=1"}},
		"GET /notes HTTP/1.1\r\n" + host + "Authorization: Token " + theHandle + ";v=1\r\n\r\n", 200, "Authorization: token " + theSecret + ";v=1\r\n\r\n"},
	"basic": {"any user name", bundle.Inject{Basic: &bundle.BasicInjection{Username: "x-access-token"}},
		"GET /notes HTTP/1.1\r\n" + host + "Authorization: basic Z2l0OnNwdF90aGUtYWdlbnRzLW93bg==\r\n\r\n", 200, "Authorization: Basic eC1hY2Nlc3MtdG9rZW46Q0FOQVJZLTdReC8zdytacDk9\r\n\r\n"},
	"basic, no password": {"empty is missing", bundle.Inject{Basic: &bundle.BasicInjection{Username: "x"}},
		"GET /notes HTTP/1.1\r\n" + host + "Authorization: Basic Z2l0Og==\r\n\r\n", 401, ""},
	"basic, spare bits": {"one spelling", bundle.Inject{Basic: &bundle.BasicInjection{Username: "x"}},
		"GET /notes HTTP/1.1\r\n" + host + "Authorization: Basic Z2l0OnNwdF90aGUtYWdlbnRzLW93bh==\r\n\r\n", 401, ""},
	"query": {"escaped, behind the others", bundle.Inject{Query: &bundle.QueryInjection{Name: "key"}},
		"GET /notes?key=" + theHandle + "&q=1 HTTP/1.1\r\n" + host + "\r\n", 200, "GET /notes?q=1&key=CANARY-7Qx%2F3w%2BZp9%3D HTTP/1.1\r\n"},
	"query, alone": {"the first of its query", bundle.Inject{Query: &bundle.QueryInjection{Name: "key"}},
		"GET /notes?key=" + theHandle + " HTTP/1.1\r\n" + host + "\r\n", 200, "GET /notes?key=CANARY-7Qx%2F3w%2BZp9%3D HTTP/1.1\r\n"},
	"query, twice": {"which one?", bundle.Inject{Query: &bundle.QueryInjection{Name: "key"}},
		"GET /notes?key=" + theHandle + "&key=x HTTP/1.1\r\n" + host + "\r\n", 400, ""},
	"query, in a field": {"another place", bundle.Inject{Query: &bundle.QueryInjection{Name: "key"}}, request("GET", "/notes") + "\r\n", 401, ""},
}

func TestInjection(t *testing.T) {
	for name, test := range injections {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo, func(c *bundle.Credential) { c.Endpoints[0].Inject = test.inject })
			a := f.agent()
			a.send(test.raw)
			if got := a.read("GET"); got.StatusCode != test.status {
				t.Errorf("%s: got %d %s", test.why, got.StatusCode, got.body)
			}
			got := f.upstream.bytes()
			if !strings.Contains(got, test.upstream) || test.upstream == "" && got != "" {
				t.Errorf("%s: upstream got %q, want %q", test.why, got, test.upstream)
			}
			if strings.Contains(got, theHandle) || strings.Contains(got, "other") {
				t.Errorf("%s: upstream got the agent's own: %q", test.why, got)
			}
		})
	}
}

// What the endpoint sets, the agent cannot.
func TestFixedHeaders(t *testing.T) {
	f := newFixture(t, echo, func(c *bundle.Credential) {
		c.Endpoints[0].Headers = map[string]string{"Accept": "application/json", "Notion-Version": "2022-06-28"}
	})
	a := f.agent()
	a.send(request("GET", "/notes") + "accept: text/html\r\n\r\n")
	a.read("GET")
	if got := f.upstream.bytes(); strings.Contains(got, "text/html") || !strings.Contains(got, "\r\nAccept: application/json\r\nNotion-Version: 2022-06-28\r\n") {
		t.Errorf("upstream got %q", got)
	}
}

// TestUnrecordedKinds: nor do those that are told in words of their own, and those
// whose body was judged.
func TestUnrecordedKinds(t *testing.T) {
	const push = "00850000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/agent/a\x00report-status side-band-64k\n0000"
	for name, test := range map[string]struct {
		raw, media string
		status     int
	}{
		"opaque body": {request("POST", "/notes") + "Content-Length: 1\r\n\r\nx", "application/problem+json; charset=utf-8", 503},
		"judged body": {request("POST", "/judged") + "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}", "application/problem+json; charset=utf-8", 503},
		"WebSocket":   {opening(""), "application/problem+json; charset=utf-8", 503},
		"MCP":         {tell(initialize), "application/json", 200},
		"git":         {request("GET", "/acme/docs.git/info/refs?service=git-upload-pack") + "\r\n", "text/plain; charset=utf-8", 503},
		"git push":    {request("POST", "/acme/docs.git/git-receive-pack") + "Content-Type: application/x-git-receive-pack-request\r\nContent-Length: " + strconv.Itoa(len(push)) + "\r\n\r\n" + push, "text/plain; charset=utf-8", 503},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo, withSocket, withMCP, func(c *bundle.Credential) {
				c.Grants = append(c.Grants, scope.Grant{Name: "judged", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/judged"}},
					Body: &scope.Body{Media: scope.JSON, MaxBytes: 100, Fields: map[string]scope.Matcher{"a": {Type: scope.Integer}}}},
					scope.Grant{Name: "git", Endpoint: "rest", Git: &git.Spec{Repos: scope.Matcher{Equals: ptr("acme/docs")}, Fetch: true, FetchBytes: 1 << 20,
						Push: &git.Push{Refs: []string{"refs/heads/**"}, Actions: []git.Action{git.Create}, MaxBytes: 1 << 20, MaxCommands: 10}}})
			})
			f.records.mu.Lock()
			f.records.full = true
			f.records.mu.Unlock()
			a := f.agent()
			a.send(test.raw)
			got := a.read("GET")
			if got.StatusCode != test.status || got.Header.Get("Content-Type") != test.media {
				t.Errorf("got %d %s %q", got.StatusCode, got.Header.Get("Content-Type"), got.body)
			}
			if !strings.Contains(got.body, "could not be recorded") {
				t.Errorf("told %q", got.body)
			}
			if sent := f.upstream.bytes(); sent != "" {
				t.Errorf("upstream got %q", sent)
			}
		})
	}
}
