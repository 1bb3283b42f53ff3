// Package pki makes the certificates and keys of a cluster that lives on one
// host.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is long, since nothing renews: `down` and `up` make new ones.
const lifetime = 10 * 365 * 24 * time.Hour

// clockSkew dates certificates back, for hosts whose clock was just set.
const clockSkew = time.Hour

// A Dir is a directory of NAME.crt and NAME.key files, PEM, PKCS #8.
type Dir string

// Cert returns the path of a certificate.
func (d Dir) Cert(name string) string { return filepath.Join(string(d), name+".crt") }

// Key returns the path of a private key.
func (d Dir) Key(name string) string { return filepath.Join(string(d), name+".key") }

// Leaf describes one end-entity certificate.
type Leaf struct {
	// Name is the file name; User and Groups are the subject, as Kubernetes
	// reads it.
	Name   string
	User   string
	Groups []string
	// DNS and IPs make it a server certificate too.
	DNS []string
	IPs []string
}

// Authority is a certificate authority that signs leaves.
type Authority struct {
	dir  Dir
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Complete reports whether the directory was filled to its end by an earlier
// run. A half filled one is to be filled anew.
func (d Dir) Complete() bool {
	_, err := os.Stat(filepath.Join(string(d), "complete"))
	return err == nil
}

// Seal marks the directory as filled to its end.
func (d Dir) Seal() error {
	return os.WriteFile(filepath.Join(string(d), "complete"), nil, 0o600)
}

// NewAuthority makes a self-signed authority and writes it to d.
func NewAuthority(d Dir, name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making key of %s: %w", name, err)
	}
	t, err := template(pkix.Name{CommonName: "sallyport " + name})
	if err != nil {
		return nil, fmt.Errorf("making authority %s: %w", name, err)
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making authority %s: %w", name, err)
	}
	return &Authority{dir: d, cert: cert, key: key}, d.write(name, der, key)
}

// Issue signs a leaf and writes it beside the authority. Every leaf may be a
// client; those with DNS names or addresses may be servers.
func (a *Authority) Issue(l Leaf) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making key of %s: %w", l.Name, err)
	}
	t, err := template(pkix.Name{CommonName: l.User, Organization: l.Groups})
	if err != nil {
		return fmt.Errorf("making certificate %s: %w", l.Name, err)
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(l.DNS)+len(l.IPs) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	t.DNSNames = l.DNS
	for _, s := range l.IPs {
		ip := net.ParseIP(s)
		if ip == nil {
			return fmt.Errorf("making certificate %s: %q is no IP address", l.Name, s)
		}
		t.IPAddresses = append(t.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("making certificate %s: %w", l.Name, err)
	}
	return a.dir.write(l.Name, der, key)
}

// WriteSigningKey writes a fresh key pair as NAME.key and NAME.pub, for
// service account tokens.
func (d Dir) WriteSigningKey(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making key %s: %w", name, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("making key %s: %w", name, err)
	}
	return errors.Join(
		d.writeKey(name, key),
		writePEM(d.Public(name), "PUBLIC KEY", public),
	)
}

// Public returns the path of a public key.
func (d Dir) Public(name string) string { return filepath.Join(string(d), name+".pub") }

func (d Dir) write(name string, cert []byte, key *ecdsa.PrivateKey) error {
	return errors.Join(d.writeKey(name, key), writePEM(d.Cert(name), "CERTIFICATE", cert))
}

func (d Dir) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing key %s: %w", name, err)
	}
	return writePEM(d.Key(name), "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func template(subject pkix.Name) (*x509.Certificate, error) {
	const serialBits = 127 // RFC 5280, section 4.1.2.2: positive, at most 20 octets
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      subject,
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(lifetime),
	}, nil
}
