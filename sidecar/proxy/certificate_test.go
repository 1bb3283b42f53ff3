package proxy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// clientCA signs the certificates of clients.
type clientCA struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newClientCA(t *testing.T) *clientCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of clients"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &clientCA{t, key, cert}
}

// pair is a certificate for a client of this name, with its key, as a Secret.
func (a *clientCA) pair(name string, key crypto.Signer, until time.Time) secret.Value {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	block := func(kind string, der []byte) secret.Value {
		return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	return bundle.CertificateSecret(block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8))
}

func (a *clientCA) client(name string) secret.Value {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.pair(name, key, time.Now().Add(time.Hour))
}

// guarded is an upstream that takes no connection without a certificate of the
// authority, and answers with whose it was.
type guarded struct {
	*httptest.Server
	connections atomic.Int64
	seen        atomic.Pointer[http.Header]
}

func newGuarded(t *testing.T, a *clientCA, version uint16) *guarded {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	g := &guarded{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Clone()
		g.seen.Store(&header)
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	g.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: version}
	g.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			g.connections.Add(1)
		}
	}
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

// certified is the document of a credential that is a certificate.
func certified(pair secret.Value) *bundle.Credential {
	c := document()
	c.Endpoints[0].Inject = bundle.Inject{ClientCertificate: &struct{}{}}
	c.Secret = pair
	return c
}

// startGuarded starts a sidecar before g.
func startGuarded(t *testing.T, g *guarded, o Options) *fixture {
	t.Helper()
	f := &fixture{t: t, records: &ledger{}}
	d, err := dial.New(dial.Options{
		Roots:     []*x509.Certificate{g.Certificate()},
		ConnectTo: map[string]string{"example.com:443": g.Listener.Addr().String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Dialer, o.Audit, o.PodUID = d, audit.NewLog(f.records), "p1"
	o.Handles = map[string]credential.Handle{theName: credential.HandleOf(theHandle)}
	f.server = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	f.server.Listen(theName, "rest", l)
	t.Cleanup(func() { _ = f.server.Shutdown(t.Context()) })
	return f
}

// put serves this document.
func (f *fixture) put(c *bundle.Credential) {
	f.t.Helper()
	if errs := f.server.Apply(state(c)); len(errs) > 0 {
		f.t.Fatal(errs)
	}
}

// ask asks once on this connection.
func (a *agent) ask() reply {
	a.t.Helper()
	a.send(request("GET", "/notes") + "\r\n")
	return a.read("GET")
}

// TestClientCertificate shows the certificate to an upstream that wants one, for
// every kind of key, and nothing of the token.
func TestClientCertificate(t *testing.T) {
	ca := newClientCA(t)
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	for name, pair := range map[string]secret.Value{
		"ECDSA": ca.client("agent"), "RSA": ca.pair("agent", old, soon), "Ed25519": ca.pair("agent", edwards, soon),
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			g := newGuarded(t, ca, version)
			f := startGuarded(t, g, Options{})
			f.put(certified(pair))
			if got := f.agent().ask(); got.StatusCode != 200 || got.body != "agent" {
				t.Errorf("%s, %x: %d %s", name, version, got.StatusCode, got.body)
			}
			if seen := g.seen.Load(); seen == nil || seen.Get("Authorization") != "" {
				t.Errorf("%s: upstream gets %v", name, seen)
			}
		}
	}
}

// TestClientCertificateIsNotEnough wants the agent's token all the same: where
// Bearer has it, once.
func TestClientCertificateIsNotEnough(t *testing.T) {
	ca := newClientCA(t)
	g := newGuarded(t, ca, 0)
	f := startGuarded(t, g, Options{})
	f.put(certified(ca.client("agent")))
	for name, test := range map[string]struct {
		fields string
		status int
	}{
		"none":  {"", 401},
		"wrong": {"Authorization: Bearer spt_other\r\n", 401},
		"basic": {"Authorization: Basic " + theHandle + "\r\n", 401},
		"twice": {"Authorization: Bearer " + theHandle + "\r\nAuthorization: Bearer x\r\n", 400},
	} {
		a := f.agent()
		a.send("GET /notes HTTP/1.1\r\nHost: example.com\r\n" + test.fields + "\r\n")
		if got := a.read("GET"); got.StatusCode != test.status {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
	if g.connections.Load() > 0 {
		t.Error("the upstream was connected to")
	}
}

// TestClientCertificateOfAnother is refused by the upstream, and told as such.
func TestClientCertificateOfAnother(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		g := newGuarded(t, newClientCA(t), version)
		f := startGuarded(t, g, Options{})
		f.put(certified(newClientCA(t).client("stranger")))
		if got := f.agent().ask(); got.StatusCode != 502 || got.reason() != "UpstreamUnreachable" {
			t.Errorf("%x: %d %s", version, got.StatusCode, got.body)
		}
	}
}

// TestRotatedCertificate is shown from the next request on: no connection and no
// TLS session of the one before is used again, not even by an agent that has kept
// one.
func TestRotatedCertificate(t *testing.T) {
	ca := newClientCA(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		g := newGuarded(t, ca, version)
		f := startGuarded(t, g, Options{})
		f.put(certified(ca.client("first")))
		pinned, pooled := f.agent(), f.agent()
		if a, b := pinned.ask(), pooled.ask(); a.body != "first" || b.body != "first" {
			t.Fatalf("%s, %s", a.body, b.body)
		}
		f.awaitRest()
		_ = pooled.Close() // its connection goes to the pool
		same := certified(f.server.applied.state.Credentials[0].Secret)
		same.Generation++
		f.put(same)
		if got := pinned.ask(); got.body != "first" || g.connections.Load() != 2 {
			t.Errorf("the same certificate: %s, on connection %d", got.body, g.connections.Load())
		}
		next := certified(ca.client("second"))
		next.Generation = same.Generation
		next.Upstream.Generation++
		f.put(next)
		for _, a := range []*agent{pinned, f.agent(), f.agent()} {
			if got := a.ask(); got.body != "second" {
				t.Errorf("after the rotation: %d %s", got.StatusCode, got.body)
			}
		}
	}
}

// TestRevokedCertificate is shown no more, and what was connected with it is not
// used when the credential comes back with the same one.
func TestRevokedCertificate(t *testing.T) {
	ca := newClientCA(t)
	g := newGuarded(t, ca, 0)
	f := startGuarded(t, g, Options{})
	c := certified(ca.client("agent"))
	f.put(c)
	a := f.agent()
	if got := a.ask(); got.StatusCode != 200 {
		t.Fatal(got.body)
	}
	f.awaitRest()
	f.server.Revoke(c.UID, "Revoked")
	if got := a.ask(); got.StatusCode != 403 {
		t.Errorf("revoked: %d %s", got.StatusCode, got.body)
	}
	f.put(c)
	if got := a.ask(); got.StatusCode != 200 || g.connections.Load() != 2 {
		t.Errorf("back: %d, on connection %d", got.StatusCode, g.connections.Load())
	}
}

// TestExpiredCertificate ends the credential with its own time, also while it is
// served.
func TestExpiredCertificate(t *testing.T) {
	ca := newClientCA(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuarded(t, ca, 0)
	var ahead atomic.Int64
	f := startGuarded(t, g, Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	c := certified(ca.pair("agent", key, time.Now().Add(30*time.Minute)))
	f.put(c)
	a := f.agent()
	if got := a.ask(); got.StatusCode != 200 {
		t.Fatal(got.body)
	}
	ahead.Store(int64(31 * time.Minute))
	if got := a.ask(); got.StatusCode != 403 || got.reason() != "Expired" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	f.put(certified(ca.client("next")))
	if got := a.ask(); got.body != "next" {
		t.Errorf("renewed: %d %s", got.StatusCode, got.body)
	}
}

// TestCertificateIsForOneEndpoint shows it to no other upstream that asks.
func TestCertificateIsForOneEndpoint(t *testing.T) {
	ca := newClientCA(t)
	g := newGuarded(t, ca, 0)
	f := startGuarded(t, g, Options{})
	c := document() // a bearer of its own
	c.Secret = secret.New(theSecret)
	f.put(c)
	if got := f.agent().ask(); got.StatusCode != 502 || g.seen.Load() != nil {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// TestCertificatesThatDoNotFit are not served; no error quotes them.
func TestCertificatesThatDoNotFit(t *testing.T) {
	ca := newClientCA(t)
	good, _ := secret.Split(ca.client("a"), 2)
	other, _ := secret.Split(ca.client("b"), 2)
	for name, test := range map[string]struct {
		change func(*bundle.Credential)
		says   string
	}{
		"a token":   {func(c *bundle.Credential) { c.Secret = secret.New(theSecret) }, "no certificate with its key"},
		"other key": {func(c *bundle.Credential) { c.Secret = bundle.CertificateSecret(good[0], other[1]) }, "does not fit"},
		"encrypted": {func(c *bundle.Credential) {
			c.Secret = bundle.CertificateSecret(good[0], secret.New(strings.ReplaceAll(good[1].Reveal(), "PRIVATE", "ENCRYPTED PRIVATE")))
		}, "openssl pkey"},
		"plain text": {func(c *bundle.Credential) { c.Endpoints[0].URL, c.Endpoints[0].Plaintext = "http://a.svc", true }, "https"},
	} {
		f := startGuarded(t, newGuarded(t, ca, 0), Options{})
		c := certified(bundle.CertificateSecret(good[0], good[1]))
		test.change(c)
		errs := f.server.Apply(state(c))
		if len(errs) != 1 || !strings.Contains(errs[0].Detail, test.says) || strings.Contains(errs[0].Detail, "CANARY") {
			t.Errorf("%s: %v", name, errs)
		}
		if got := f.agent().ask(); got.StatusCode != 503 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
}
