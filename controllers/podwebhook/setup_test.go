package podwebhook

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestValidate(t *testing.T) {
	good := Options{Image: "sidecar@sha256:" + strings.Repeat("ab", 32), Broker: "b:1", CertDir: "/x", Port: 9443}
	if err := good.Validate(); err != nil {
		t.Errorf("good options: %v", err)
	}
	for name, change := range map[string]func(*Options){
		"zero":    func(o *Options) { *o = Options{} },
		"tag":     func(o *Options) { o.Image = "sidecar:latest" },
		"broker":  func(o *Options) { o.Broker = "" },
		"no dir":  func(o *Options) { o.CertDir = "" },
		"no port": func(o *Options) { o.Port = 0 },
		"power":   func(o *Options) { o.Tolerate = []string{"everything"} },
	} {
		o := good
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: %+v must be refused", name, o)
		}
	}
}

// authority makes a certificate authority and, with it, a leaf that ends then.
func authority(t *testing.T, name string, ends time.Time) (roots []byte, leaf tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: root.NotBefore, NotAfter: ends,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, server, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestServes holds that a replica is ready only while API servers will trust
// what it serves.
func TestServes(t *testing.T) {
	later := time.Now().Add(time.Hour)
	good, goodLeaf := authority(t, ServerName, later)
	_, otherLeaf := authority(t, ServerName, later)
	named, namedLeaf := authority(t, "other.svc", later)
	old, oldLeaf := authority(t, ServerName, time.Now().Add(-time.Hour))
	tests := map[string]struct {
		why   string
		roots []byte
		leaf  tls.Certificate
		ready bool
	}{
		"good":          {"all fits", good, goodLeaf, true},
		"other CA":      {"no API server trusts it", good, otherLeaf, false},
		"other name":    {"no API server trusts it", named, namedLeaf, false},
		"expired":       {"no API server trusts it", old, oldLeaf, false},
		"empty ca.crt":  {"nobody is trusted by nobody", []byte("none"), goodLeaf, false},
		"without roots": {"sidecars could trust nobody", nil, goodLeaf, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{test.leaf}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			go handshakes(l)
			o := Options{CertDir: t.TempDir(), Port: l.Addr().(*net.TCPAddr).Port}
			if test.roots != nil {
				if err := os.WriteFile(filepath.Join(o.CertDir, fileRoots), test.roots, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := serves(o, rootsOf(o))(httptest.NewRequest("GET", "/readyz", nil)); (err == nil) != test.ready {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
	nowhere := Options{CertDir: t.TempDir(), Port: 1}
	if err := serves(nowhere, rootsOf(nowhere))(httptest.NewRequest("GET", "/readyz", nil)); err == nil {
		t.Error("nobody listens, and it is ready")
	}
}

// handshakes answers connections until l is closed.
func handshakes(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if s, ok := c.(*tls.Conn); ok {
			_ = s.Handshake()
		}
		_ = c.Close()
	}
}

// TestSettings holds that what the operator opens for sidecars reaches them, and
// is closed otherwise.
func TestSettings(t *testing.T) {
	roots, _ := authority(t, ServerName, time.Now().Add(time.Hour))
	o := Options{CertDir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(o.CertDir, fileRoots), roots, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{false, true} {
		if open {
			o.Tunnel, o.Tolerate = true, []string{"NET_ADMIN"}
		}
		s, err := settings(o, 7, rootsOf(o))
		if err != nil || s.Tunnel != open || (len(s.Tolerate) > 0) != open || s.UID != 7 || s.RootsPEM != string(roots) {
			t.Errorf("open %t: got %+v, %v", open, s, err)
		}
	}
}

func rootsOf(o Options) *roots { return &roots{file: filepath.Join(o.CertDir, fileRoots)} }

// TestRoots holds that authorities are parsed once, and are those of the file,
// whatever it held before.
func TestRoots(t *testing.T) {
	r := &roots{file: filepath.Join(t.TempDir(), fileRoots)}
	first, leaf := authority(t, ServerName, time.Now().Add(time.Hour))
	second, _ := authority(t, ServerName, time.Now().Add(time.Hour))
	server, err := x509.ParseCertificate(leaf.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	read := func(text []byte) *x509.CertPool {
		t.Helper()
		if err := os.WriteFile(r.file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, pool, err := r.read()
		if err != nil || got != string(text) {
			t.Fatalf("read %q, %v", got, err)
		}
		return pool
	}
	pool := read(first)
	if read(first) != pool {
		t.Error("what had not changed was parsed again")
	}
	if _, err := server.Verify(x509.VerifyOptions{Roots: pool, DNSName: ServerName}); err != nil {
		t.Errorf("the first authority's leaf: %v", err)
	}
	if _, err := server.Verify(x509.VerifyOptions{Roots: read(second), DNSName: ServerName}); err == nil {
		t.Error("the authority was replaced, and its leaf is trusted")
	}
	if err := os.WriteFile(r.file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, pool, err := r.read(); err == nil || text != "" || pool != nil {
		t.Errorf("no certificate is left, and it is %q", text)
	}
}

// TestStoppingEndsConnections holds that a replica which is about to stop serves
// on, and that nobody is connected to it when it does.
func TestStoppingEndsConnections(t *testing.T) {
	full := &store{objects: []client.Object{credential(), upstream()}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server := httptest.NewServer(serve(ctx, handler(full, full)))
	defer server.Close()
	body := reviewOf(t, jsonOf(t, pod))
	for _, stopping := range []bool{false, true} {
		if stopping {
			stop()
		}
		answer, err := server.Client().Post(server.URL, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || !strings.Contains(string(text), `"allowed":true`) {
			t.Errorf("stopping %v: %s, %v", stopping, text, err)
		}
		if answer.Close != stopping {
			t.Errorf("stopping %v: the connection ends %v", stopping, answer.Close)
		}
	}
}
