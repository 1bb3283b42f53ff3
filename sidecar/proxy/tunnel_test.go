package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/authority"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
)

// proxied is a sidecar in proxy mode.
type proxied struct {
	*fixture
	directory string // of the agent
}

// startProxied starts one that carries the credential of document and serves
// nothing yet.
func startProxied(t testing.TB, do exchangeFunc, change ...func(*Options)) *proxied {
	t.Helper()
	p := &proxied{directory: t.TempDir()}
	root, err := os.OpenRoot(p.directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	o := Options{Authorities: authority.Open(authority.Options{Agent: root})}
	for _, do := range change {
		do(&o)
	}
	p.fixture = startFixture(t, do, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	p.server.Carry(theName)
	p.server.ListenProxy(l)
	return p
}

func newProxied(t testing.TB, do exchangeFunc, change ...func(*bundle.Credential)) *proxied {
	t.Helper()
	p := startProxied(t, do)
	c := document()
	for _, do := range change {
		do(c)
	}
	p.apply(c)
	return p
}

func (p *proxied) apply(credentials ...*bundle.Credential) {
	p.t.Helper()
	if errs := p.server.Apply(state(credentials...)); len(errs) > 0 {
		p.t.Fatal(errs)
	}
}

func (p *proxied) pool() *x509.CertPool {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.directory, authority.Directory, authority.File))
	if err != nil {
		p.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// opened is an agent whose CONNECT was granted.
func (p *proxied) opened(target string) *agent {
	p.t.Helper()
	a := p.agent()
	a.send("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	if got, err := http.ReadResponse(a.r, nil); err != nil || got.StatusCode != 200 {
		p.t.Fatalf("CONNECT %s: got %+v, %v", target, got, err)
	}
	return a
}

// tunnel is an agent in a tunnel to a host of the usual port.
func (p *proxied) tunnel(host string) *agent {
	p.t.Helper()
	a := p.opened(host + ":443")
	secured := tls.Client(a.Conn, &tls.Config{RootCAs: p.pool(), ServerName: host})
	if err := secured.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	a.Conn, a.r = secured, bufio.NewReader(secured)
	return a
}

func TestTunnel(t *testing.T) {
	p := newProxied(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nLocation: https://example.com/notes/2\r\nLink: </notes?page=2>; rel=next\r\n\r\nok"))
	a := p.tunnel("example.com")
	for range 2 {
		a.send(request("GET", "/notes") + "\r\n")
		got := a.read("GET")
		if got.StatusCode != 200 || got.body != "ok" || got.Header.Get("Location") != "https://example.com/notes/2" || got.Header.Get("Link") != "</notes?page=2>; rel=next" {
			t.Errorf("got %+v", got)
		}
		a.send("GET /users HTTP/1.1\r\nHost: example.com:443\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n")
		if got := a.read("GET"); got.StatusCode != 403 || got.reason() != "OutOfScope" {
			t.Errorf("got %+v", got)
		}
	}
	sent := p.upstream.bytes()
	if strings.Count(sent, "GET /notes HTTP/1.1\r\nHost: example.com\r\n") != 2 || strings.Contains(sent, "users") || strings.Contains(sent, theHandle) || !strings.Contains(sent, "Bearer "+theSecret) {
		t.Errorf("upstream got %q", sent)
	}
	if n := p.upstream.connections(); n != 1 {
		t.Errorf("%d connections to the upstream, want the first one again", n)
	}
	for i, r := range p.records.records(t) {
		want := record{Event: "decision", ID: r.ID, Credential: theName, Endpoint: "rest", Verdict: "Allow", Method: "GET", Path: "/notes", Grants: []string{"read"}}
		if i%2 == 1 {
			want = record{Event: "decision", ID: r.ID, Credential: theName, Endpoint: "rest", Verdict: "Deny", Reason: "OutOfScope", Method: "GET", Path: "/users"}
		}
		if r.Path != want.Path || r.Verdict != want.Verdict || r.Reason != want.Reason || r.Credential != want.Credential || r.Endpoint != want.Endpoint {
			t.Errorf("record %d is %+v", i, r)
		}
	}
}

// TestProxyRefuses sends the listener of the proxy what leads nowhere: nothing
// of it is connected to, and every refusal is recorded.
func TestProxyRefuses(t *testing.T) {
	p := newProxied(t, echo)
	connect := func(target string) string {
		return "CONNECT " + target + " HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
	}
	for name, test := range map[string]struct {
		why, raw string
		status   int
		reason   string
	}{
		"another host":       {"no credential is for it", "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 403, "OutOfScope"},
		"a name below":       {"it is another host", connect("x.example.com:443"), 403, "OutOfScope"},
		"an address":         {"only names lead anywhere", connect("93.184.216.34:443"), 403, "OutOfScope"},
		"metadata":           {"SSRF", connect("169.254.169.254:80"), 403, "OutOfScope"},
		"loopback":           {"SSRF", connect("127.0.0.1:443"), 403, "OutOfScope"},
		"address, version 6": {"SSRF", connect("[::1]:443"), 403, "OutOfScope"},
		"mapped address":     {"SSRF", connect("[::ffff:127.0.0.1]:443"), 403, "OutOfScope"},
		"another port":       {"another service", connect("example.com:22"), 403, "OutOfScope"},
		"no port":            {"which?", connect("example.com"), 403, "OutOfScope"},
		"empty port":         {"which?", connect("example.com:"), 403, "OutOfScope"},
		"port of five zeros": {"one spelling", connect("example.com:0443"), 403, "OutOfScope"},
		"user":               {"one spelling", connect("example.com@evil.example:443"), 403, "OutOfScope"},
		"user of the host":   {"one spelling", connect("user@example.com:443"), 403, "OutOfScope"},
		"upper case":         {"one spelling", connect("EXAMPLE.com:443"), 403, "OutOfScope"},
		"trailing dot":       {"one spelling", connect("example.com.:443"), 403, "OutOfScope"},
		"URL":                {"one spelling", connect("https://example.com:443"), 403, "OutOfScope"},
		"path behind it":     {"one spelling", connect("example.com:443/"), 403, "OutOfScope"},
		"encoded":            {"one spelling", connect("example%2Ecom:443"), 403, "OutOfScope"},
		"lower-case method":  {"methods have a letter case", "connect example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 400, "Malformed"},
		"another Host":       {"two readings", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 400, "Malformed"},
		"no Host":            {"RFC 9112, 3.2", "CONNECT example.com:443 HTTP/1.1\r\n\r\n", 400, "Malformed"},
		"two Hosts":          {"two readings", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nHost: example.com:443\r\n\r\n", 400, "Malformed"},
		"a body":             {"whose bytes?", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nContent-Length: 4\r\n\r\nabcd", 400, "Malformed"},
		"chunks":             {"whose bytes?", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Malformed"},
		"body of HTTP/1.0":   {"whose bytes?", "CONNECT example.com:443 HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd", 400, "Malformed"},
		"bytes behind it":    {"not what was granted", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n\x16\x03\x01", 400, "Malformed"},
		"request behind it":  {"not in a tunnel", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n" + request("GET", "/notes") + "\r\n", 400, "Malformed"},
		"an upgrade":         {"two protocols", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400, "Malformed"},
		"origin form":        {"to whom?", request("GET", "/notes") + "\r\n", 400, "Malformed"},
		"asterisk":           {"to whom?", request("OPTIONS", "*") + "\r\n", 400, "Malformed"},
		"https URL":          {"in the clear", request("GET", "https://example.com/notes") + "\r\n", 400, "Malformed"},
		"http URL":           {"the endpoint is an https one", request("GET", "http://example.com/notes") + "\r\n", 403, "OutOfScope"},
		"URL of TLS's port":  {"in the clear", request("GET", "http://example.com:443/notes") + "Connection: close\r\n\r\n", 400, "Malformed"},
		"ftp URL":            {"not spoken", request("GET", "ftp://example.com/notes") + "\r\n", 400, "Malformed"},
		"URL with user":      {"one spelling", request("GET", "http://u@example.com/notes") + "\r\n", 400, "Malformed"},
		"URL without path":   {"one spelling", request("GET", "http://example.com") + "\r\n", 400, "Malformed"},
		"URL with ? alone":   {"one spelling", request("GET", "http://example.com?x=y") + "\r\n", 400, "Malformed"},
		"URL, another Host":  {"two readings", "GET http://example.org/notes HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "Malformed"},
		"TRACE":              {"never", "TRACE http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 403, "OutOfScope"},
		"HTTP/2":             {"not spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "Malformed"},
		"HTTP/1.0":           {"not spoken", "GET http://example.com/notes HTTP/1.0\r\nHost: example.com\r\n\r\n", 505, "Malformed"},
		"TLS":                {"this is no TLS server", "\x16\x03\x01\x00\x05hello", 400, "Malformed"},
	} {
		before := len(p.records.records(t))
		a := p.agent()
		a.send(test.raw)
		got := a.read("GET")
		if got.StatusCode != test.status || got.reason() != test.reason || !a.closed() {
			t.Errorf("%s: got %d %s: %s", name, got.StatusCode, got.body, test.why)
		}
		records := p.records.records(t)
		if len(records) != before+1 || records[before].Reason != test.reason || records[before].Credential != "" {
			t.Errorf("%s: records %+v", name, records[before:])
		}
	}
	if n := p.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the upstream", n)
	}
}

// TestTunnelRefuses sends through a tunnel what is not for its host.
func TestTunnelRefuses(t *testing.T) {
	p := newProxied(t, echo)
	for name, test := range map[string]struct {
		why, raw string
		status   int
		reason   string
	}{
		"another Host":        {"the tunnel leads elsewhere", "GET /notes HTTP/1.1\r\nHost: b.example.com\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"another port":        {"the tunnel leads elsewhere", "GET /notes HTTP/1.1\r\nHost: example.com:8443\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"the listener's Host": {"the tunnel leads elsewhere", "GET /notes HTTP/1.1\r\nHost: " + p.address + "\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"Host with a dot":     {"one spelling", "GET /notes HTTP/1.1\r\nHost: example.com.\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"Host with zeros":     {"one spelling", "GET /notes HTTP/1.1\r\nHost: example.com:0443\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"two Hosts":           {"two readings", request("GET", "/notes") + "Host: b.example.com\r\n\r\n", 400, "Malformed"},
		"no Host":             {"RFC 9112, 3.2", "GET /notes HTTP/1.1\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"two slashes":         {"a host, to some", request("GET", "//b.example.com/notes") + "\r\n", 400, "Malformed"},
		"HTTP/1.0":            {"not spoken", "GET /notes HTTP/1.0\r\nHost: example.com\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 505, "Malformed"},
		"h2c":                 {"not spoken", request("GET", "/notes") + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", 400, "Malformed"},
		"another tunnel":      {"one is enough", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n", 400, "Malformed"},
		"a URL":               {"two authorities", request("GET", "https://example.com/notes") + "\r\n", 400, "Malformed"},
		"a URL elsewhere":     {"two authorities", request("GET", "http://b.example.com/notes") + "\r\n", 400, "Malformed"},
		"HTTP/2":              {"not spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "Malformed"},
		"no token":            {"nobody asks", "GET /notes HTTP/1.1\r\nHost: example.com\r\n\r\n", 401, "Unauthenticated"},
		"another's token":     {"of no credential for this host", "GET /notes HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer spt_another\r\n\r\n", 401, "Unauthenticated"},
		"token of the proxy":  {"not where the credential goes", "GET /notes HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Bearer " + theHandle + "\r\n\r\n", 401, "Unauthenticated"},
	} {
		a := p.tunnel("example.com")
		a.send(test.raw)
		if got := a.read("GET"); got.StatusCode != test.status || got.reason() != test.reason {
			t.Errorf("%s: got %d %s: %s", name, got.StatusCode, got.body, test.why)
		}
	}
	if n := p.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the upstream", n)
	}
}

// TestTunnelWithoutTLS sends through a tunnel what is no TLS, or TLS for somebody
// else: nothing is answered, and it is recorded.
func TestTunnelWithoutTLS(t *testing.T) {
	p := newProxied(t, echo, func(c *bundle.Credential) {
		c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "b", URL: "https://b.example.com", Inject: bundle.Inject{Bearer: &struct{}{}}})
	})
	client := func(c *tls.Config) func(a *agent) error {
		c.RootCAs = p.pool()
		return func(a *agent) error { return tls.Client(a.Conn, c).Handshake() }
	}
	for name, do := range map[string]func(a *agent) error{
		"plain HTTP":            func(a *agent) error { a.send(request("GET", "/notes") + "\r\n"); return io.EOF },
		"another host of ours":  client(&tls.Config{ServerName: "b.example.com"}),
		"another host":          client(&tls.Config{ServerName: "example.org"}),
		"in upper case":         client(&tls.Config{ServerName: "EXAMPLE.com"}),
		"an address":            client(&tls.Config{ServerName: "127.0.0.1"}),
		"an old version":        client(&tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}),
		"with early data":       earlyData,
		"no host":               client(&tls.Config{InsecureSkipVerify: true}),
		"HTTP/2 alone":          client(&tls.Config{ServerName: "example.com", NextProtos: []string{"h2"}}),
		"who does not trust us": func(a *agent) error { return tls.Client(a.Conn, &tls.Config{ServerName: "example.com"}).Handshake() },
		"who goes away":         func(a *agent) error { a.send("\x16\x03\x01"); a.Close(); return io.EOF },
	} {
		before := len(p.records.records(t))
		a := p.opened("example.com:443")
		if do(a) == nil {
			t.Errorf("%s: the handshake succeeded", name)
		}
		if name != "who goes away" {
			if rest, _ := io.ReadAll(a.r); strings.Contains(string(rest), "HTTP/") {
				t.Errorf("%s: got %q", name, rest)
			}
		}
		if !eventually(func() bool { return len(p.records.records(t)) == before+1 }) {
			t.Errorf("%s: records %+v", name, p.records.records(t)[before:])
			continue
		}
		if r := p.records.records(t)[before]; r.Verdict != "Deny" || r.Reason != "Malformed" || r.Method != "CONNECT" || r.Path != "example.com:443" {
			t.Errorf("%s: recorded %+v", name, r)
		}
	}
	if n := p.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the upstream", n)
	}
}

// earlyData says that a request comes with the handshake, and sends one (RFC
// 8446, 4.2.10). It is TLS otherwise, for the right host.
func earlyData(a *agent) error {
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		_ = tls.Client(here, &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS13}).Handshake()
	}()
	var head [5]byte
	if _, err := io.ReadFull(there, head[:]); err != nil {
		return nil
	}
	hello := slices.Concat(head[:], make([]byte, binary.BigEndian.Uint16(head[3:])))
	if _, err := io.ReadFull(there, hello[5:]); err != nil {
		return nil
	}
	at := 5 + 4 + 2 + 32                           // record, message, version, random
	at += 1 + int(hello[at])                       // session
	at += 2 + int(hello[at])<<8 + int(hello[at+1]) // ciphers
	at += 1 + int(hello[at])                       // compression
	for _, length := range []int{3, 7, at} {       // of the record, the message, the extensions
		binary.BigEndian.PutUint16(hello[length:], binary.BigEndian.Uint16(hello[length:])+4)
	}
	hello = slices.Insert(hello, at+2, 0, 42, 0, 0)
	early := request("GET", "/notes") + "\r\n"
	a.send(string(hello) + "\x17\x03\x03" + string([]byte{byte(len(early) >> 8), byte(len(early))}) + early)
	return io.EOF
}

// TestNothingIsResumed does every handshake whole: what was agreed on in one tunnel
// is worth nothing in another.
func TestNothingIsResumed(t *testing.T) {
	p := newProxied(t, echo, func(c *bundle.Credential) {
		c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "b", URL: "https://b.example.com", Inject: bundle.Inject{Bearer: &struct{}{}}})
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		kept := everySession{}
		for _, host := range []string{"example.com", "example.com", "b.example.com"} {
			a := p.opened(host + ":443")
			// Both protocols are offered, as browsers and SDKs do.
			secured := tls.Client(a.Conn, &tls.Config{RootCAs: p.pool(), ServerName: host, MaxVersion: version, ClientSessionCache: kept, NextProtos: []string{"h2", "http/1.1"}})
			a.Conn, a.r = secured, bufio.NewReader(secured)
			a.send("GET / HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n")
			if got := a.read("GET"); got.StatusCode != 403 {
				t.Errorf("%s: got %d %s", host, got.StatusCode, got.body)
			}
			if s := secured.ConnectionState(); s.DidResume || s.NegotiatedProtocol != "http/1.1" {
				t.Errorf("%s: resumed %t, speaks %s", host, s.DidResume, s.NegotiatedProtocol)
			}
		}
		if len(kept) > 0 {
			t.Errorf("version %x: a session was offered", version)
		}
	}
}

// everySession offers what it was given for one host to every other one.
type everySession map[string]*tls.ClientSessionState

func (e everySession) Put(_ string, s *tls.ClientSessionState) { e[""] = s }

func (e everySession) Get(string) (*tls.ClientSessionState, bool) { s, ok := e[""]; return s, ok }

// other is a second credential for the same host.
func other(inject bundle.Inject) *bundle.Credential {
	c := document()
	c.Name, c.UID, c.Secret = "other", "c2", secret.New("another-secret")
	c.Endpoints[0].Inject = inject
	c.Grants = []scope.Grant{{Name: "users", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/users"}}}}
	return c
}

const otherHandle = "spt_of-the-other"

func (p *proxied) carryOther() {
	p.server.options.Handles["agents/other"] = credential.HandleOf(otherHandle)
	p.server.Carry("agents/other")
}

// TestTwoCredentialsOfAHost tells them apart by the token alone: what the one
// grants, the token of the other does not reach.
func TestTwoCredentialsOfAHost(t *testing.T) {
	bearer := func(token string) string { return "Authorization: Bearer " + token + "\r\n" }
	for name, inject := range map[string]bundle.Inject{
		"the same place": {Bearer: &struct{}{}},
		"another header": {Header: &bundle.HeaderInjection{Name: "X-Api-Key"}},
		"the query":      {Query: &bundle.QueryInjection{Name: "key"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxied(t, echo)
			p.carryOther()
			p.apply(document(), other(inject))
			query, field := "", bearer(otherHandle)
			if inject.Header != nil {
				field = "X-Api-Key: " + otherHandle + "\r\n"
			} else if inject.Query != nil {
				query, field = "?key="+otherHandle, ""
			}
			a := p.tunnel("example.com")
			for _, test := range []struct {
				target, field string
				status        int
				reason, name  string
			}{
				{"/notes", bearer(theHandle), 200, "", theName},
				{"/users" + query, field, 200, "", "agents/other"},
				{"/users", bearer(theHandle), 403, "OutOfScope", theName},
				{"/notes" + query, field, 403, "OutOfScope", "agents/other"},
				{"/notes", "", 401, "Unauthenticated", ""},
				{"/notes", bearer("spt_nobodys"), 401, "Unauthenticated", ""},
				{"/notes", bearer(theHandle), 200, "", theName},
			} {
				before := len(p.records.records(t))
				a.send("GET " + test.target + " HTTP/1.1\r\nHost: example.com\r\n" + test.field + "\r\n")
				if got := a.read("GET"); got.StatusCode != test.status || got.reason() != test.reason {
					t.Errorf("%s %s: got %d %s", test.target, test.field, got.StatusCode, got.body)
				}
				if r := p.records.records(t)[before]; r.Credential != test.name || r.Reason != test.reason {
					t.Errorf("%s %s: recorded %+v", test.target, test.field, r)
				}
			}
			sent := p.upstream.bytes()
			if strings.Contains(sent, theHandle) || strings.Contains(sent, otherHandle) || strings.Count(sent, "another-secret") != 1 || strings.Count(sent, theSecret) != 2 {
				t.Errorf("upstream got %q", sent)
			}
			if name != "the same place" {
				a.send("GET /users" + query + " HTTP/1.1\r\nHost: example.com\r\n" + field + bearer(theHandle) + "\r\n")
				if got := a.read("GET"); got.StatusCode != 400 || got.reason() != "Malformed" {
					t.Errorf("the tokens of both: got %d %s", got.StatusCode, got.body)
				}
			}
		})
	}
}

// TestCarriedAreWithdrawn refuses a credential that is withdrawn, and cuts what
// is under way, while another one at the same host goes on.
func TestCarriedAreWithdrawn(t *testing.T) {
	p := startProxied(t, dripping)
	p.carryOther()
	second := other(bundle.Inject{Bearer: &struct{}{}})
	p.apply(document(), second)
	streams := map[string]io.Reader{}
	for _, token := range []string{theHandle, otherHandle} {
		a := p.tunnel("example.com")
		target := map[string]string{theHandle: "/notes", otherHandle: "/users"}[token]
		a.send("GET " + target + " HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer " + token + "\r\n\r\n")
		got, err := http.ReadResponse(a.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		streams[token] = got.Body
	}
	p.server.Revoke("c1", scope.Suspended)
	if _, err := io.ReadAll(streams[theHandle]); err == nil {
		t.Error("the stream of what was withdrawn ended as if it were whole")
	}
	if _, err := streams[otherHandle].Read(make([]byte, 1)); err != nil {
		t.Errorf("the other one was cut: %v", err)
	}
	a := p.tunnel("example.com")
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != 403 || got.reason() != "Suspended" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// TestHostsChange follows the documents: a tunnel leads where they say now.
func TestHostsChange(t *testing.T) {
	p := startProxied(t, echo)
	a := p.agent()
	a.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	if got := a.read("GET"); got.StatusCode != 503 || got.reason() != "NotReady" || p.server.Ready() {
		t.Errorf("before a document came: got %d %s, ready: %t", got.StatusCode, got.body, p.server.Ready())
	}
	p.apply(document())
	if !p.server.Ready() {
		t.Error("it is not ready")
	}
	ask := func(a *agent, host string) (int, string) {
		a.send("GET /notes HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n")
		got := a.read("GET")
		return got.StatusCode, got.reason()
	}
	before, pool := p.tunnel("example.com"), p.pool()
	if status, reason := ask(before, "example.com"); status != 200 {
		t.Errorf("got %d %s", status, reason)
	}
	p.awaitRest() // what is under way is cut
	moved := document()
	moved.Generation++
	moved.Endpoints[0].URL = "https://b.example.com"
	p.apply(moved)
	if status, reason := ask(before, "example.com"); status != 403 || reason != "OutOfScope" {
		t.Errorf("in a tunnel to where it was: got %d %s", status, reason)
	}
	a = p.agent()
	a.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	if got := a.read("GET"); got.StatusCode != 403 || got.reason() != "OutOfScope" {
		t.Errorf("to where it was: got %d %s", got.StatusCode, got.body)
	}
	if status, reason := ask(p.tunnel("b.example.com"), "b.example.com"); status != 200 {
		t.Errorf("to where it is: got %d %s", status, reason)
	}
	a = p.opened("b.example.com:443")
	if tls.Client(a.Conn, &tls.Config{RootCAs: pool, ServerName: "b.example.com"}).Handshake() == nil {
		t.Error("who read the file before trusts it for a host that came later")
	}
	back := document()
	back.Generation += 2
	p.apply(back)
	a = p.opened("example.com:443")
	if err := tls.Client(a.Conn, &tls.Config{RootCAs: pool, ServerName: "example.com"}).Handshake(); err != nil {
		t.Errorf("who read the file before does not know the host any more: %v", err)
	}
}

// TestBasePaths leads a request to the endpoint with the longest base path that
// fits, and to none where another reader could see another one.
func TestBasePaths(t *testing.T) {
	p := newProxied(t, echo, func(c *bundle.Credential) {
		c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "v3", URL: "https://example.com/api/v3", Inject: bundle.Inject{Header: &bundle.HeaderInjection{Name: "X-Key"}}})
		c.Grants = []scope.Grant{
			{Name: "all", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/{rest...}"}}},
			{Name: "notes", Endpoint: "v3", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/notes"}}},
		}
	})
	a := p.tunnel("example.com")
	get := func(target, field string) reply {
		a.send("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" + field + "\r\n")
		got := a.read("GET")
		if got.StatusCode == 400 {
			a = p.tunnel("example.com")
		}
		return got
	}
	bearer, key := "Authorization: Bearer "+theHandle+"\r\n", "X-Key: "+theHandle+"\r\n"
	for target, seen := range map[string]string{"/api/v3/notes": "GET /api/v3/notes"} {
		if got := get(target, key); got.StatusCode != 200 || got.Header.Get("X-Seen") != seen {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.body)
		}
	}
	for _, target := range []string{"/x", "/api/v3", "/api/v4/notes", "/api/v30/notes", "/API/v3/notes", "/x/api/v3/notes"} {
		if got := get(target, bearer); got.StatusCode != 200 || got.Header.Get("X-Seen") != "GET "+target {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.body)
		}
	}
	for target, reason := range map[string]string{
		"/api/v3/users":        "OutOfScope", // the other endpoint would allow it
		"/api/v3/":             "OutOfScope",
		"/%61pi/v3/users":      "Malformed",
		"/api%2fv3/users":      "Malformed",
		"/api%2Fv3%2Fusers":    "Malformed",
		"/api%252fv3/users":    "Malformed",
		"/api/v3%2f":           "Malformed",
		"/api/v%33":            "Malformed",
		"/api/v3/../v3/users":  "Malformed",
		"/api/./v3/users":      "Malformed",
		"//api/v3/users":       "Malformed",
		"/x/../api/v3/users":   "Malformed",
		"/api/v3/%2e%2e/users": "Malformed",
	} {
		for _, field := range []string{bearer, key} {
			got := get(target, field)
			if got.StatusCode < 400 || field == key && got.reason() != reason && got.reason() != "Unauthenticated" {
				t.Errorf("%s, %s: got %d %s", target, field, got.StatusCode, got.body)
			}
		}
	}
}

// TestSharedPlace judges endpoints of one address as one.
func TestSharedPlace(t *testing.T) {
	p := newProxied(t, echo, func(c *bundle.Credential) {
		c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "more", URL: "https://example.com:443", Inject: bundle.Inject{Bearer: &struct{}{}}})
		c.Grants = append(c.Grants, scope.Grant{Name: "users", Endpoint: "more", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/users"}}})
	})
	a := p.tunnel("example.com")
	for target, want := range map[string]int{"/notes": 200, "/users": 200, "/teams": 403} {
		a.send(request("GET", target) + "\r\n")
		if got := a.read("GET"); got.StatusCode != want {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.body)
		}
	}
	if r := p.records.records(t)[0]; r.Endpoint != "rest+more" {
		t.Errorf("recorded %+v", r)
	}
	apart := document()
	apart.Generation++
	apart.Endpoints = append(apart.Endpoints, bundle.Endpoint{Name: "more", URL: "https://example.com", Inject: bundle.Inject{Basic: &bundle.BasicInjection{Username: "x"}}})
	if errs := p.server.Apply(state(apart)); len(errs) != 1 || errs[0].Reason != bundle.SidecarRefused || !strings.Contains(errs[0].Detail, "inject") {
		t.Errorf("got %v", errs)
	}
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("what was served before does not go on: %d %s", got.StatusCode, got.body)
	}
}

// TestPlainUpstream takes a whole URL for an endpoint without TLS, as a proxy
// gets it.
func TestPlainUpstream(t *testing.T) {
	p := newProxied(t, echo, func(c *bundle.Credential) {
		c.Endpoints[0].URL, c.Endpoints[0].Plaintext = "http://notes.agents.svc:8080", true
	})
	ask := func(target, host string) reply {
		a := p.agent()
		a.send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + theHandle + "\r\nConnection: close\r\n\r\n")
		return a.read("GET")
	}
	// No such service is there: what was judged and recorded is what counts.
	if got := ask("http://notes.agents.svc:8080/notes", "notes.agents.svc:8080"); got.reason() != "UpstreamUnreachable" && got.reason() != "DestinationRefused" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if got := p.records.records(t); got[0].Verdict != "Allow" || got[0].Path != "/notes" || got[0].Credential != theName {
		t.Errorf("recorded %+v", got)
	}
	for target, host := range map[string]string{
		"http://notes.agents.svc:8080/users":  "notes.agents.svc:8080",
		"http://notes.agents.svc/notes":       "notes.agents.svc",
		"http://notes.agents.svc:80/notes":    "notes.agents.svc:80",
		"http://notes.agents.svc:8080/notes/": "notes.agents.svc:8080",
		"https://notes.agents.svc:8080/notes": "notes.agents.svc:8080",
		"HTTP://notes.agents.svc:8080/notes":  "notes.agents.svc:8080",
	} {
		if got := ask(target, host); got.StatusCode != 403 && got.StatusCode != 400 {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.body)
		}
	}
	if got := ask("http://notes.agents.svc:8080/notes", "example.com"); got.StatusCode != 400 {
		t.Errorf("another Host: got %d %s", got.StatusCode, got.body)
	}
	a := p.agent()
	a.send("CONNECT notes.agents.svc:8080 HTTP/1.1\r\nHost: notes.agents.svc:8080\r\n\r\n")
	if got := a.read("GET"); got.StatusCode != 403 {
		t.Errorf("a tunnel to it: got %d %s", got.StatusCode, got.body)
	}
}

// TestUnfinishedHandshakes opens more tunnels than may be under way and
// secures none of them: who comes later is served, and nothing stays behind.
func TestUnfinishedHandshakes(t *testing.T) {
	p := newProxied(t, echo)
	first := p.opened("example.com:443")
	for i := range maxHeads/defaultHeaderBytes + 20 {
		a := p.opened("example.com:443")
		if i%2 == 0 {
			a.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") // the start of a ClientHello
		}
	}
	if !first.closed() {
		t.Error("the one that waits for longest is open")
	}
	a := p.tunnel("example.com")
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if n := p.server.room.Taken(); n > maxConnections {
		t.Errorf("%d places are taken", n)
	}
}

// TestHandshakeTimeout ends a handshake whose time is up, and says so in the
// records.
func TestHandshakeTimeout(t *testing.T) {
	p := newProxied(t, echo)
	a := p.opened("example.com:443")
	a.send("\x16\x03\x01")
	over := time.Now().Add(handshakeTimeout + time.Second)
	if !eventually(func() bool {
		for _, l := range p.server.listening() {
			l.sweep(over)
		}
		return len(p.records.records(t)) > 0
	}) || !a.closed() {
		t.Fatal("it goes on")
	}
	if r := p.records.records(t)[0]; r.Reason != "TooSlow" || r.Method != "CONNECT" {
		t.Errorf("recorded %+v", r)
	}
}

// TestTunnelUnrecorded refuses where no record can be written, in a tunnel and
// before one.
func TestTunnelUnrecorded(t *testing.T) {
	p := newProxied(t, echo)
	a := p.tunnel("example.com")
	p.records.mu.Lock()
	p.records.full = true
	p.records.mu.Unlock()
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != 503 || got.reason() != "Unrecorded" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	b := p.agent()
	b.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
	if got := b.read("GET"); got.StatusCode != 503 || got.reason() != "Unrecorded" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if n := p.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the upstream", n)
	}
}

// TestTunnelCarriesWebSockets judges the messages of a WebSocket in a tunnel.
func TestTunnelCarriesWebSockets(t *testing.T) {
	p := newProxied(t, switching(""), withSocket)
	a := p.tunnel("example.com")
	a.send(opening(""))
	if got, err := http.ReadResponse(a.r, nil); err != nil || got.StatusCode != 101 {
		t.Fatalf("got %+v, %v", got, err)
	}
	a.send(message(0x81, `{"type":"ping"}`))
	frame := make([]byte, 17)
	if _, err := io.ReadFull(a.r, frame); err != nil || string(frame[2:]) != `{"type":"ping"}` {
		t.Errorf("got %q, %v", frame, err)
	}
	a.send(message(0x81, `{"type":"drop"}`))
	if rest, err := io.ReadAll(a.r); err != nil || !strings.Contains(string(rest), "\x03\xf0") { // 1008
		t.Errorf("got %q, %v", rest, err)
	}
	if strings.Contains(p.upstream.bytes(), "drop") {
		t.Error("a refused message went upstream")
	}
}

// TestAgentsUpload sends a long body through a tunnel.
func TestAgentsUpload(t *testing.T) {
	p := newProxied(t, echo)
	a := p.tunnel("example.com")
	body := strings.Repeat("0123456789abcdef", 32<<10)
	a.send(request("POST", "/notes") + "Content-Type: application/octet-stream\r\nContent-Length: 524288\r\n\r\n")
	a.send(body)
	if got := a.read("POST"); got.StatusCode != 200 || got.body != body {
		t.Errorf("got %d with %d bytes", got.StatusCode, len(got.body))
	}
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}
