package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s holds no PEM", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestIssue(t *testing.T) {
	d := Dir(t.TempDir())
	a, err := NewAuthority(d, "ca")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAuthority(Dir(t.TempDir()), "ca")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		why    string
		leaf   Leaf
		usage  x509.ExtKeyUsage
		host   string
		refuse bool
	}{
		"client": {
			why:   "every leaf authenticates to the API server",
			leaf:  Leaf{Name: "client", User: "u", Groups: []string{"g"}},
			usage: x509.ExtKeyUsageClientAuth,
		},
		"server": {
			why:   "addresses make a leaf a server",
			leaf:  Leaf{Name: "server", User: "u", IPs: []string{"10.213.64.1"}, DNS: []string{"kubernetes"}},
			usage: x509.ExtKeyUsageServerAuth, host: "10.213.64.1",
		},
		"client as server": {
			why:   "a component's certificate must not pass for a server's",
			leaf:  Leaf{Name: "component", User: "u"},
			usage: x509.ExtKeyUsageServerAuth, refuse: true,
		},
		"other host": {
			why:   "a server is known by its own addresses alone",
			leaf:  Leaf{Name: "narrow", User: "u", IPs: []string{"10.213.64.1"}},
			usage: x509.ExtKeyUsageServerAuth, host: "10.213.64.2", refuse: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.Issue(tt.leaf); err != nil {
				t.Fatal(err)
			}
			cert := readCert(t, d.Cert(tt.leaf.Name))
			roots := x509.NewCertPool()
			roots.AddCert(readCert(t, d.Cert("ca")))
			opts := x509.VerifyOptions{Roots: roots, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.usage}}
			if _, err := cert.Verify(opts); (err != nil) != tt.refuse {
				t.Errorf("%s: Verify = %v, want refusal %v", tt.why, err, tt.refuse)
			}
			opts.Roots = x509.NewCertPool()
			opts.Roots.AddCert(other.cert)
			if _, err := cert.Verify(opts); err == nil {
				t.Error("an authority of the same name verifies the certificate")
			}
			if _, err := tls.LoadX509KeyPair(d.Cert(tt.leaf.Name), d.Key(tt.leaf.Name)); err != nil {
				t.Errorf("key does not fit: %v", err)
			}
			if cert.Subject.CommonName != tt.leaf.User {
				t.Errorf("user = %q, want %q", cert.Subject.CommonName, tt.leaf.User)
			}
		})
	}
}

func TestIssueRefusesBadAddress(t *testing.T) {
	a, err := NewAuthority(Dir(t.TempDir()), "ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue(Leaf{Name: "x", IPs: []string{"10.213.64"}}); err == nil {
		t.Error("a leaf with a broken address was issued")
	}
}

func TestFilesArePrivate(t *testing.T) {
	d := Dir(t.TempDir())
	if d.Complete() {
		t.Error("an empty directory counts as complete")
	}
	if _, err := NewAuthority(d, "ca"); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteSigningKey("sa"); err != nil {
		t.Fatal(err)
	}
	if err := d.Seal(); err != nil {
		t.Fatal(err)
	}
	if !d.Complete() {
		t.Error("a sealed directory does not count as complete")
	}
	files, err := filepath.Glob(filepath.Join(string(d), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
}
