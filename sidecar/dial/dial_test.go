package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/destination"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// nameServer answers every question for an A record with addresses, on
// loopback, until the test ends.
func nameServer(t *testing.T, addresses ...string) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, err := resolve(buf[:n], addresses); err == nil {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func resolve(question []byte, addresses []string) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	q := m.Questions[0]
	for _, text := range addresses {
		a := netip.MustParseAddr(text)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}

// open opens a connection for an endpoint.
func open(t *testing.T, o Options, e bundle.Endpoint) error {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	target, err := d.Target(&e, 1<<15, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := target.Open(ctx)
	if err == nil {
		_ = c.Close()
	}
	return err
}

// TestNames refuses the whole answer of a name for one address in it.
func TestNames(t *testing.T) {
	for name, test := range map[string]struct {
		why       string
		addresses []string
		private   bool
	}{
		"loopback":          {"a rebound name", []string{"127.0.0.1"}, false},
		"loopback, private": {"nothing allows it", []string{"127.0.0.1"}, true},
		"metadata, private": {"nothing allows it", []string{"169.254.169.254"}, true},
		"private":           {"the UpstreamSecret does not allow it", []string{"10.0.0.1"}, false},
		"spoiled":           {"half of the answers would lead to metadata", []string{"192.0.2.1", "169.254.169.254"}, true},
		"spoiled, IPv6":     {"the other family counts as well", []string{"192.0.2.1", "fd00:ec2::254"}, true},
		"none":              {"there is nowhere to go", nil, true},
		"too many":          {"not all would be looked at", many(), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := open(t, Options{Resolver: nameServer(t, test.addresses...)},
				bundle.Endpoint{Name: "x", URL: "https://upstream.example", Private: test.private})
			var e *Error
			if !errors.As(err, &e) || e.Reason != scope.DestinationRefused && len(test.addresses) > 0 {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}

func many() []string {
	var all []string
	for i := range destination.MaxAddresses + 1 {
		all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String())
	}
	return all
}

// server is an HTTPS server on loopback for example.com, and its authority.
func server(t *testing.T, version uint16) (address, ca string) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.TLS = &tls.Config{MaxVersion: version}
	s.StartTLS()
	t.Cleanup(s.Close)
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	return s.Listener.Addr().String(), string(pem.EncodeToMemory(block))
}

// TestTLS verifies name, authority and version, wherever the connection goes.
func TestTLS(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1") // nobody asks for it
	address, ca := server(t, 0)
	old, oldCA := server(t, tls.VersionTLS11)
	twelve, twelveCA := server(t, tls.VersionTLS12)
	for name, test := range map[string]struct {
		why, url, to, ca, min string
		passes                bool
	}{
		"right":         {why: "all fits", url: "https://example.com", to: address, ca: ca, passes: true},
		"other name":    {why: "the certificate is for example.com", url: "https://example.org", to: address, ca: ca},
		"other roots":   {why: "nobody vouches for it", url: "https://example.com", to: address},
		"old":           {why: "TLS 1.1 is broken", url: "https://example.com", to: old, ca: oldCA},
		"enough":        {why: "TLS 1.2 is the least", url: "https://example.com", to: twelve, ca: twelveCA, passes: true},
		"not enough":    {why: "the UpstreamSecret asks for 1.3", url: "https://example.com", to: twelve, ca: twelveCA, min: "1.3"},
		"1.3 and there": {why: "the server has it", url: "https://example.com", to: address, ca: ca, min: "1.3", passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			host := strings.TrimPrefix(test.url, "https://")
			err := open(t, Options{ConnectTo: map[string]string{host + ":443": test.to}},
				bundle.Endpoint{Name: "x", URL: test.url, CABundle: test.ca, MinTLS: test.min})
			if (err == nil) != test.passes {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}

// TestConnectToIsForThatPlace leaves every other place to the rules.
func TestConnectToIsForThatPlace(t *testing.T) {
	address, ca := server(t, 0)
	err := open(t, Options{ConnectTo: map[string]string{"example.com:443": address}},
		bundle.Endpoint{Name: "x", URL: "https://127.0.0.1:443", CABundle: ca, Private: true})
	var e *Error
	if !errors.As(err, &e) || e.Reason != scope.DestinationRefused {
		t.Errorf("another place: %v", err)
	}
}

func TestTargetRefuses(t *testing.T) {
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for url, why := range map[string]string{
		"http://x.svc":         "plain text was not allowed",
		"ftp://x":              "no such scheme",
		"https://":             "no host",
		"https://u:p@x":        "a credential in the URL",
		"https://x/?q=1":       "a query",
		"https://x/#f":         "a fragment",
		"https://x/base/":      "paths would have two slashes",
		"https://x\r\nHost: y": "two lines",
	} {
		if _, err := d.Target(&bundle.Endpoint{URL: url}, 1, nil); err == nil {
			t.Errorf("%q passes: %s", url, why)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error quotes the URL: %v", err)
		}
	}
	if _, err := d.Target(&bundle.Endpoint{URL: "https://x", MinTLS: "1.1"}, 1, nil); err == nil {
		t.Error("TLS 1.1 passes")
	}
	if _, err := d.Target(&bundle.Endpoint{URL: "https://x", CABundle: "none"}, 1, nil); err == nil {
		t.Error("a CA bundle without a certificate passes")
	}
}

// TestIdle keeps connections for a while, the last used first, and none of
// another target.
func TestIdle(t *testing.T) {
	address, ca := server(t, 0)
	d, err := New(Options{ConnectTo: map[string]string{"example.com:443": address}})
	if err != nil {
		t.Fatal(err)
	}
	target := func() *Target {
		one, err := d.Target(&bundle.Endpoint{URL: "https://example.com", CABundle: ca}, 1<<15, nil)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	one, other := target(), target()
	defer one.Close()
	c, err := one.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	other.Put(c, now)
	if other.take() != nil {
		t.Error("a target keeps another's connection")
	}
	if c, err = one.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.Put(c, now)
	one.Sweep(now.Add(idleTimeout - 1))
	again, err := one.Get(t.Context())
	if err != nil || again != c || !again.Used {
		t.Errorf("Get = %p, %v, want the idle one %p", again, err, c)
	}
	one.Put(again, now)
	one.Sweep(now.Add(idleTimeout))
	if one.take() != nil {
		t.Error("a connection outlives its time")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"resolver": {Resolver: "dns.example:53"},
		"from":     {ConnectTo: map[string]string{"example.com": "127.0.0.1:1"}},
		"to":       {ConnectTo: map[string]string{"example.com:443": "localhost:1"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("a bad %s passes", name)
		}
	}
	if _, err := New(Options{Roots: []*x509.Certificate{}}); err != nil {
		t.Error(err)
	}
}
