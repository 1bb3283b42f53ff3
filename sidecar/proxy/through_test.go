package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

func tunnelling(o *Options) { o.Tunnel = true }

// newTunnelling is a sidecar in proxy mode whose operator lets tunnels lead past
// endpoints.
func newTunnelling(t testing.TB, do exchangeFunc, change ...func(*bundle.Credential)) *proxied {
	t.Helper()
	p := startProxied(t, do, tunnelling)
	c := document()
	for _, do := range change {
		do(c)
	}
	p.apply(c)
	return p
}

// ask asks for a tunnel, and tells how that was answered.
func (p *proxied) ask(target string) (*agent, reply) { return p.askAs(target, target) }

// askAs asks with another Host.
func (p *proxied) askAs(target, host string) (*agent, reply) {
	p.t.Helper()
	a := p.agent()
	a.send("CONNECT " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	got, err := http.ReadResponse(a.r, &http.Request{Method: "CONNECT"})
	if err != nil {
		p.t.Fatal(err)
	}
	if got.StatusCode == 200 {
		return a, reply{Response: got}
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return a, reply{got, string(body)}
}

// secured is the agent's own TLS with the upstream.
func (p *proxied) secured(a *agent) *agent {
	p.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(p.upstream.cert)
	c := tls.Client(a.Conn, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	return &agent{t: p.t, Conn: c, r: bufio.NewReader(c)}
}

// TestThrough leads past all endpoints: what is in the tunnel is the agent's own,
// with no credential in it, and is recorded before it opens and when it has ended.
func TestThrough(t *testing.T) {
	p := newTunnelling(t, echo)
	a, got := p.ask("other.example:443")
	if got.StatusCode != 200 {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	first := p.records.records(t)
	if len(first) != 1 || first[0].Event != "decision" || first[0].Verdict != "Allow" || first[0].Method != "CONNECT" || first[0].Path != "other.example:443" || first[0].Credential != "" || first[0].BytesOut != nil {
		t.Errorf("recorded %+v", first)
	}
	a = p.secured(a)
	a.send("POST /anything HTTP/1.1\r\nHost: whatever\r\nAuthorization: Bearer " + theHandle + "\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000))
	if got := a.read("POST"); got.StatusCode != 200 || len(got.body) != 70000 {
		t.Errorf("got %d with %d bytes", got.StatusCode, len(got.body))
	}
	if sent := p.upstream.bytes(); strings.Contains(sent, theSecret) || !strings.HasPrefix(sent, "POST /anything") {
		t.Errorf("upstream got %.80q", sent)
	}
	if n := p.server.tunnels.Load(); n != 1 {
		t.Errorf("%d tunnels are open", n)
	}
	a.Close()
	if !eventually(func() bool { return len(p.records.records(t)) == 2 && p.server.tunnels.Load() == 0 }) {
		t.Fatalf("recorded %+v", p.records.records(t))
	}
	if r := p.records.records(t)[1]; r.ID != first[0].ID || r.Event != "outcome" || r.Verdict != "Allow" || r.Reason != "" || r.Path != "other.example:443" || r.BytesOut == nil || *r.BytesOut < 70000 || *r.BytesIn < 70000 || *r.BytesOut > 90000 {
		t.Errorf("recorded %+v", r)
	}
}

// TestThroughRefuses asks for what no tunnel leads to, however open the operator
// is: nothing is connected to, and every refusal is recorded.
func TestThroughRefuses(t *testing.T) {
	p := newTunnelling(t, echo, func(c *bundle.Credential) {
		c.Endpoints = append(c.Endpoints,
			bundle.Endpoint{Name: "v4", URL: "https://192.0.2.7", Inject: bundle.Inject{Bearer: &struct{}{}}},
			bundle.Endpoint{Name: "v6", URL: "https://[2001:db8:0:0::7]:8443", Inject: bundle.Inject{Bearer: &struct{}{}}},
			bundle.Endpoint{Name: "plain", URL: "http://plain.example", Plaintext: true, Inject: bundle.Inject{Bearer: &struct{}{}}})
	})
	_, own, _ := net.SplitHostPort(p.address)
	for target, test := range map[string]struct {
		why    string
		status int
		reason string
	}{
		"example.com:22":                          {"a host of an endpoint", 403, "OutOfScope"},
		"example.com:80":                          {"a host of an endpoint, in the clear", 403, "OutOfScope"},
		"EXAMPLE.com:22":                          {"one spelling", 403, "OutOfScope"},
		"EXAMPLE.COM:443":                         {"one spelling", 403, "OutOfScope"},
		"example.com.:443":                        {"a host of an endpoint, with the root's dot", 403, "OutOfScope"},
		"example.com..:443":                       {"no name", 403, "OutOfScope"},
		"[example.com]:443":                       {"no address", 403, "OutOfScope"},
		"example.com%2e:443":                      {"one spelling", 403, "OutOfScope"},
		"x@example.com:443":                       {"one spelling", 403, "OutOfScope"},
		"example.com\x00.other:443":               {"no name", 400, "Malformed"},
		"example.com:0443":                        {"one spelling", 403, "OutOfScope"},
		"example.com:+443":                        {"one spelling", 403, "OutOfScope"},
		"example.com:65979":                       {"443, to who counts in 16 bits", 403, "OutOfScope"},
		"example.com:443:443":                     {"which port?", 403, "OutOfScope"},
		"example.com:https":                       {"one spelling", 403, "OutOfScope"},
		"\uff45xample.com:443":                    {"an e, to who maps letters", 400, "Malformed"},
		"example\u3002com:443":                    {"a dot, to who maps letters", 400, "Malformed"},
		"other.example":                           {"which port?", 403, "OutOfScope"},
		"other.example:":                          {"which port?", 403, "OutOfScope"},
		"other.example:0":                         {"no port", 403, "OutOfScope"},
		"other.example:65536":                     {"no port", 403, "OutOfScope"},
		"https://other.example:443":               {"one spelling", 403, "OutOfScope"},
		"other.example:443/":                      {"one spelling", 403, "OutOfScope"},
		"192.0.2.7:80":                            {"an address of an endpoint", 403, "OutOfScope"},
		"[::ffff:192.0.2.7]:443":                  {"one spelling", 403, "OutOfScope"},
		"[::ffff:c000:207]:443":                   {"one spelling", 403, "OutOfScope"},
		"192.0.2.07:443":                          {"one spelling", 403, "OutOfScope"},
		"0xc0000207:443":                          {"an address, to some", 403, "OutOfScope"},
		"3221225991:443":                          {"an address, to some", 403, "OutOfScope"},
		"192.0.519:443":                           {"an address, to some", 403, "OutOfScope"},
		"192.0.2.0x7:443":                         {"an address, to some", 403, "OutOfScope"},
		"[2001:db8::7]:443":                       {"an address of an endpoint, in its shortest form", 403, "OutOfScope"},
		"[2001:DB8::7]:8443":                      {"one spelling", 403, "OutOfScope"},
		"[2001:db8::7%25eth0]:443":                {"a zone", 403, "OutOfScope"},
		"[2001:db8::8%eth0]:443":                  {"a zone", 403, "OutOfScope"},
		"2001:db8::8:443":                         {"without brackets", 403, "OutOfScope"},
		"plain.example:80":                        {"an endpoint without TLS is asked by URL", 403, "OutOfScope"},
		"plain.example:443":                       {"a host of an endpoint", 403, "OutOfScope"},
		"localhost:" + own:                        {"the cluster's domains are searched", 403, "OutOfScope"},
		"kubernetes:443":                          {"the cluster's domains are searched", 403, "OutOfScope"},
		"127.0.0.1:" + own:                        {"the proxy itself", 502, "DestinationRefused"},
		"127.8.8.8:80":                            {"loopback", 502, "DestinationRefused"},
		"0.0.0.0:" + own:                          {"loopback, to the kernel", 502, "DestinationRefused"},
		"[::1]:" + own:                            {"loopback", 502, "DestinationRefused"},
		"[::]:" + own:                             {"loopback, to the kernel", 502, "DestinationRefused"},
		"169.254.169.254:80":                      {"metadata", 502, "DestinationRefused"},
		"[fd00:ec2::254]:80":                      {"metadata", 502, "DestinationRefused"},
		"100.100.100.200:80":                      {"metadata", 502, "DestinationRefused"},
		"[fe80::1]:80":                            {"link-local", 502, "DestinationRefused"},
		"10.96.0.1:443":                           {"the cluster", 502, "DestinationRefused"},
		"192.168.1.1:443":                         {"private", 502, "DestinationRefused"},
		"100.64.0.1:443":                          {"shared", 502, "DestinationRefused"},
		"[fd00::1]:443":                           {"private", 502, "DestinationRefused"},
		"[64:ff9b::7f00:1]:443":                   {"loopback, translated", 502, "DestinationRefused"},
		"[64:ff9b::a9fe:a9fe]:80":                 {"metadata, translated", 502, "DestinationRefused"},
		"[2002:7f00:1::]:443":                     {"loopback, tunnelled", 502, "DestinationRefused"},
		"255.255.255.255:80":                      {"broadcast", 502, "DestinationRefused"},
		"[ff02::1]:80":                            {"multicast", 502, "DestinationRefused"},
		strings.Repeat("a.", 127) + "example:443": {"longer than a name may be", 403, "OutOfScope"},
	} {
		before := len(p.records.records(t))
		host := target
		if test.status != 502 {
			host = "other.example:443" // one that is well-formed
		}
		_, got := p.askAs(target, host)
		if got.StatusCode != test.status || got.reason() != test.reason {
			t.Errorf("%s: got %d %s: %s", target, got.StatusCode, got.body, test.why)
		}
		records := p.records.records(t)[before:]
		if last := len(records) - 1; last < 0 || records[last].Reason != test.reason || records[last].Verdict != "Deny" {
			t.Errorf("%s: records %+v", target, records)
		}
	}
	for name, raw := range map[string]string{
		"another Host":   "CONNECT other.example:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
		"bytes behind":   "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n\x16\x03\x01",
		"an upgrade":     "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"a body":         "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\nContent-Length: 1\r\n\r\nx",
		"no Host":        "CONNECT other.example:443 HTTP/1.1\r\n\r\n",
		"a plain URL":    "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n",
		"a secure URL":   "GET https://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"a URL of a git": "GET git://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
	} {
		a := p.agent()
		a.send(raw)
		if got := a.read("GET"); got.StatusCode != 400 && got.StatusCode != 403 || !a.closed() {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.body)
		}
	}
	if !eventually(func() bool { return p.server.tunnels.Load() == 0 }) {
		t.Errorf("%d tunnels are counted", p.server.tunnels.Load())
	}
	if n := p.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the upstream", n)
	}
}

// TestNoTunnelByDefault refuses what the operator's setting would let through.
func TestNoTunnelByDefault(t *testing.T) {
	p := newProxied(t, echo)
	if _, got := p.ask("other.example:443"); got.StatusCode != 403 || got.reason() != "OutOfScope" || p.upstream.connections() != 0 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// TestEndpointsAreJudgedBesideTunnels holds that the setting changes nothing for
// hosts of endpoints.
func TestEndpointsAreJudgedBesideTunnels(t *testing.T) {
	p := newTunnelling(t, echo)
	a := p.tunnel("example.com")
	for target, want := range map[string]int{"/notes": 200, "/users": 403} {
		a.send(request("GET", target) + "\r\n")
		if got := a.read("GET"); got.StatusCode != want {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.body)
		}
	}
	a.send("CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n")
	if got := a.read("CONNECT"); got.StatusCode != 400 || p.server.tunnels.Load() != 0 {
		t.Errorf("a tunnel in a tunnel: got %d %s", got.StatusCode, got.body)
	}
}

// TestThroughFollowsTheDocuments opens no tunnel that might lead to an endpoint,
// and cuts one that does by a later document, or whose pod is served nothing.
func TestThroughFollowsTheDocuments(t *testing.T) {
	moved := func() *bundle.Credential {
		c := document()
		c.Generation++
		c.Endpoints[0].URL = "https://other.example"
		return c
	}
	for name, test := range map[string]struct {
		do     func(p *proxied)
		reason string
		opens  bool // another one, afterwards
	}{
		"it becomes an endpoint's": {func(p *proxied) { p.apply(moved()) }, "OutOfScope", false},
		"withdrawn":                {func(p *proxied) { p.server.Revoke("c1", scope.Suspended) }, "NotReady", false},
		"not in the document":      {func(p *proxied) { p.apply() }, "NotReady", false},
		"expired": {func(p *proxied) {
			c := document()
			c.Generation++
			c.ExpiresAt = time.Now().Add(-time.Minute)
			p.apply(c)
		}, "NotReady", false},
		"a document that cannot be served": {func(p *proxied) {
			c := moved()
			c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "x", URL: "https://other.example", Inject: bundle.Inject{Basic: &bundle.BasicInjection{Username: "x"}}})
			p.server.Apply(state(c))
		}, "NotReady", false},
		"nobody can be told whom to trust": {func(p *proxied) {
			if err := os.RemoveAll(p.directory); err != nil {
				p.t.Fatal(err)
			}
			c := document()
			c.Generation++
			c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "more", URL: "https://other.example", Inject: bundle.Inject{Bearer: &struct{}{}}})
			p.server.Apply(state(c))
		}, "NotReady", false},
		"another that is not known": {func(p *proxied) { p.carryOther(); p.apply(document()) }, "NotReady", false},
		"a later one of the same":   {func(p *proxied) { c := document(); c.Generation++; p.apply(c) }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTunnelling(t, echo)
			a, got := p.ask("other.example:443")
			if got.StatusCode != 200 {
				t.Fatalf("got %d %s", got.StatusCode, got.body)
			}
			test.do(p)
			if test.opens {
				for _, l := range p.server.listening() { // as the watchdog does
					l.each(p.server.holdTunnel)
				}
				a = p.secured(a)
				a.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if got := a.read("GET"); got.StatusCode != 200 {
					t.Errorf("got %d %s", got.StatusCode, got.body)
				}
				return
			}
			if !a.closed() || !eventually(func() bool { return len(p.records.records(t)) == 2 }) {
				t.Fatalf("it goes on, recorded %+v", p.records.records(t))
			}
			if r := p.records.records(t)[1]; r.Event != "outcome" || r.Verdict != "Deny" || r.Reason != test.reason || r.BytesOut == nil {
				t.Errorf("recorded %+v", r)
			}
			if _, got := p.ask("other.example:22"); got.StatusCode == 200 {
				t.Error("another one opens")
			}
		})
	}
}

// TestThroughWaitsForDocuments opens none before it is known where endpoints are.
func TestThroughWaitsForDocuments(t *testing.T) {
	p := startProxied(t, echo, tunnelling)
	p.carryOther()
	for range 2 {
		if _, got := p.ask("other.example:443"); got.StatusCode != 503 || got.reason() != "NotReady" {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
		p.apply(document()) // of one of the two
	}
	p.apply(document(), other(bundle.Inject{Bearer: &struct{}{}}))
	if _, got := p.ask("other.example:443"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// TestThroughUnrecorded connects to nothing where no record can be written.
func TestThroughUnrecorded(t *testing.T) {
	p := newTunnelling(t, echo)
	p.records.mu.Lock()
	p.records.full = true
	p.records.mu.Unlock()
	if _, got := p.ask("other.example:443"); got.StatusCode != 503 || got.reason() != "Unrecorded" || p.upstream.connections() != 0 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// TestTunnelsAreBounded opens more than there may be: credentials are served
// beside them, and one that ends makes room.
func TestTunnelsAreBounded(t *testing.T) {
	p := newTunnelling(t, echo)
	var open []*agent
	for range maxTunnels {
		a, got := p.ask("other.example:443")
		if got.StatusCode != 200 {
			t.Fatalf("got %d %s", got.StatusCode, got.body)
		}
		open = append(open, a)
	}
	if _, got := p.ask("other.example:443"); got.StatusCode != 429 || got.reason() != "RateLimited" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	a := p.tunnel("example.com")
	a.send(request("GET", "/notes") + "\r\n")
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	for range maxConnections { // of agents that say nothing
		p.agent()
	}
	if _, got := p.ask("example.com:22"); got.StatusCode != 403 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	b := p.secured(open[1])
	b.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := b.read("GET"); got.StatusCode != 200 {
		t.Errorf("beside too many: got %d %s", got.StatusCode, got.body)
	}
	open[0].Close()
	if !eventually(func() bool { return p.server.tunnels.Load() < maxTunnels }) {
		t.Fatal("one that has ended is counted")
	}
	if _, got := p.ask("other.example:443"); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// TestSilentTunnel ends one in which nobody speaks, not one in which somebody
// does, and passes the end of one side on.
func TestSilentTunnel(t *testing.T) {
	p := newTunnelling(t, func(c net.Conn, r *bufio.Reader) error {
		if _, err := io.ReadAll(r); err != nil {
			return err
		}
		_, err := io.WriteString(c, "that was all")
		c.Close()
		return err
	})
	a, _ := p.ask("other.example:443")
	sweep := func(at time.Time) {
		for _, l := range p.server.listening() {
			l.sweep(at)
		}
	}
	a = p.secured(a)
	sweep(time.Now().Add(tunnelTimeout - time.Minute))
	a.send("something")
	if err := a.Conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(a.r); err != nil || string(text) != "that was all" {
		t.Errorf("got %q, %v", text, err)
	}
	b, got := p.ask("other.example:443")
	if got.StatusCode != 200 {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	over := time.Now().Add(tunnelTimeout + time.Minute)
	if !eventually(func() bool { sweep(over); return p.server.tunnels.Load() == 0 }) || !b.closed() {
		t.Fatal("it goes on")
	}
	for _, r := range p.records.records(t) {
		if r.Verdict != "Allow" {
			t.Errorf("recorded %+v", r)
		}
	}
}

// TestHalfClosedTunnel passes the end of the agent's side on, below TLS.
func TestHalfClosedTunnel(t *testing.T) {
	p := newTunnelling(t, echo)
	a, _ := p.ask("other.example:443")
	if err := a.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if !a.closed() {
		t.Error("the upstream's end is not passed on")
	}
}
