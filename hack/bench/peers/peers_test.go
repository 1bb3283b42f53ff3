package peers

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/hack/bench/isolate"
	"github.com/sallyport-dev/sallyport/internal/bundle"
)

func newBroker(t *testing.T) *Broker {
	t.Helper()
	b, err := NewBroker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// setups are both, with tokens.
func setups(t *testing.T, grants int) (plain, secure Setup) {
	t.Helper()
	b := newBroker(t)
	trust, err := NewTrust()
	if err != nil {
		t.Fatal(err)
	}
	common := Setup{Dir: t.TempDir(), Key: "the-real-key", Broker: b, Grants: grants}
	plain, secure = common, common
	plain.Upstream = netip.MustParseAddrPort("198.18.0.1:80")
	secure.Upstream, secure.CA = netip.MustParseAddrPort("198.18.0.1:443"), trust.PEM()
	if plain, err = plain.WithToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if secure, err = secure.WithToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	return plain, secure
}

// TestManifests compiles what the sidecar is given, as the operator does.
func TestManifests(t *testing.T) {
	for _, grants := range []int{0, 100} {
		plain, secure := setups(t, grants)
		for _, s := range []Setup{plain, secure} {
			c, err := s.compiled(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			e := c.Endpoints[0]
			if len(c.Grants) != 3+grants || e.URL != s.URL() || e.CABundle != s.CA || e.Plaintext != (s.CA == "") || c.Secret.Reveal() != s.Key {
				t.Errorf("%d grants, endpoint %+v", len(c.Grants), e)
			}
		}
		if len(plain.Token) != len(secure.Token) {
			t.Errorf("tokens are %d and %d bytes long", len(plain.Token), len(secure.Token))
		}
	}
}

// TestConfigurations holds what cannot be started everywhere to what it is told:
// whom to trust, and what to look for. That it heeds this is checked before each
// benchmark.
func TestConfigurations(t *testing.T) {
	plain, secure := setups(t, 0)
	for name, verifies := range map[string][]string{
		"haproxy.cfg": {"ssl verify required", "ca-file " + secure.CAFile(), "verifyhost " + isolate.UpstreamName},
		"nginx.conf":  {"proxy_ssl_verify on", "proxy_ssl_trusted_certificate " + secure.CAFile(), "proxy_ssl_name " + isolate.UpstreamName},
	} {
		without, err := plain.rendered(name)
		if err != nil {
			t.Fatal(err)
		}
		with, err := secure.rendered(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range verifies {
			if !strings.Contains(string(with), text) || strings.Contains(string(without), text) {
				t.Errorf("%s says %q where it should not, or does not where it should", name, text)
			}
		}
		for _, text := range []string{plain.Token, plain.Key, plain.Upstream.String()} {
			if !strings.Contains(string(without), text) {
				t.Errorf("%s does not say %q", name, text)
			}
		}
	}
}

// TestBroker gives its one state to who shows the identity, and to nobody else.
func TestBroker(t *testing.T) {
	b := newBroker(t)
	s, err := Setup{Dir: t.TempDir(), Key: "k", Broker: b, Upstream: netip.MustParseAddrPort("198.18.0.1:80")}.WithToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.compiled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.serve(c); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(b.trust.PEM()))
	_, port, _ := net.SplitHostPort(b.address)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: isolate.BrokerName}}}
	ask := func(identity string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1:"+port+"/v1/stream", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+identity)
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	stranger := ask("other")
	defer func() { _ = stranger.Body.Close() }()
	if stranger.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger is answered %d", stranger.StatusCode)
	}
	a := ask(b.identity)
	defer func() { _ = a.Body.Close() }()
	line, err := bufio.NewReader(a.Body).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	f, err := bundle.DecodeFrame(line)
	if err != nil || f.State == nil {
		t.Fatalf("%v in %.200s", err, line)
	}
	if got := f.State.Credentials[0]; got.Token != s.Token || got.ScopeHash != c.ScopeHash || len(got.Grants) != 3 {
		t.Errorf("the state holds %+v", got)
	}
}
