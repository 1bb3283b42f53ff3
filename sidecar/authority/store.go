package authority

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// maxStored bounds what is read of the file that an earlier process left.
const maxStored = 256 << 10

const (
	typeCertificate = "CERTIFICATE"
	typeKey         = "PRIVATE KEY"
)

// encode writes of each authority what is trusted, what issues, and the key of
// that.
func encode(list []*issuer) (string, error) {
	var b strings.Builder
	for _, one := range list {
		key, err := x509.MarshalPKCS8PrivateKey(one.key)
		if err != nil {
			return "", fmt.Errorf("keeping authorities: %w", err)
		}
		_ = pem.Encode(&b, &pem.Block{Type: typeCertificate, Bytes: one.root.Raw}) // a Builder takes all
		_ = pem.Encode(&b, &pem.Block{Type: typeCertificate, Bytes: one.certificate.Raw})
		_ = pem.Encode(&b, &pem.Block{Type: typeKey, Bytes: key})
	}
	return b.String(), nil
}

// load reads what encode wrote. Of a file that is not whole nothing is taken:
// agents would trust what cannot be issued by.
func load(private *os.Root, now time.Time) []*issuer {
	f, err := private.Open(privateFile)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	rest, err := io.ReadAll(io.LimitReader(f, maxStored))
	if err != nil {
		return nil
	}
	var list []*issuer
	for len(rest) > 0 {
		var one *issuer
		if one, rest = decode(rest); one == nil || now.After(one.certificate.NotAfter) || len(list) == maxAuthorities {
			return nil
		}
		list = append(list, one)
	}
	return list
}

// decode reads one authority.
func decode(text []byte) (*issuer, []byte) {
	root, rest := decodeCertificate(text)
	certificate, rest := decodeCertificate(rest)
	last, rest := pem.Decode(rest)
	if root == nil || certificate == nil || last == nil || last.Type != typeKey || certificate.CheckSignatureFrom(root) != nil {
		return nil, nil
	}
	key := keyOf(last.Bytes, certificate)
	if key == nil {
		return nil, nil
	}
	return &issuer{root, certificate, key}, rest
}

// decodeCertificate reads that of an authority.
func decodeCertificate(text []byte) (*x509.Certificate, []byte) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != typeCertificate {
		return nil, nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !c.IsCA || !c.PermittedDNSDomainsCritical {
		return nil, nil
	}
	return c, rest
}

// keyOf reads the key of a certificate; nil: it is none.
func keyOf(text []byte, certificate *x509.Certificate) *ecdsa.PrivateKey {
	parsed, err := x509.ParsePKCS8PrivateKey(text)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || !key.PublicKey.Equal(certificate.PublicKey) {
		return nil
	}
	return key
}
