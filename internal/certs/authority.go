// Package certs keeps the authority that the webhook and the broker are
// trusted by, and the leaves it signs. It decides what is to be stored; who
// stores it is the caller's business. It knows no API server and no clock.
//
// An authority is never replaced in one step: the new one is published in the
// bundle first, signs when every reader of the bundle had a leaf's lifetime to
// see it, and the old one stays in the bundle until it expires.
package certs

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
	"time"
)

const (
	// AuthorityLife is how long an authority is valid.
	AuthorityLife = 365 * 24 * time.Hour
	// LeafLife is how long a leaf is valid, and for how long a new authority
	// is published before it signs.
	LeafLife = 24 * time.Hour
	// backdate allows for readers whose clock is behind.
	backdate = 5 * time.Minute
)

// ErrNoPEM means that a stored certificate or key cannot be read.
var ErrNoPEM = errors.New("no PEM block of the expected type")

// Pair is a certificate with its private key, both in PEM. The zero Pair is
// absent.
type Pair struct{ Cert, Key []byte }

// authority is a parsed Pair that signs.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func parseAuthority(p Pair) (*authority, error) {
	cert, err := parseCert(p.Cert)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(p.Key)
	if block == nil {
		return nil, fmt.Errorf("reading key: %w", ErrNoPEM)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	if !cert.IsCA || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("reading authority: certificate and key do not belong together")
	}
	return &authority{cert: cert, key: key}, nil
}

func parseCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("reading certificate: %w", ErrNoPEM)
	}
	return x509.ParseCertificate(block.Bytes)
}

func newAuthority(now time.Time) (Pair, error) {
	return issue(nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "sallyport authority"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(AuthorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

// issue signs template with by, or with its own key where by is nil.
func issue(by *authority, template *x509.Certificate) (Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Pair{}, fmt.Errorf("choosing a serial number: %w", err)
	}
	template.SerialNumber = serial
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("making a key: %w", err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return Pair{}, fmt.Errorf("signing a certificate: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("writing a key: %w", err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}, nil
}

// due reports whether a certificate has passed two thirds of its life.
func due(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3))
}
