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

// encode writes each certificate and behind it its key.
func encode(list []*issuer) (string, error) {
	var b strings.Builder
	for _, one := range list {
		key, err := x509.MarshalPKCS8PrivateKey(one.key)
		if err != nil {
			return "", fmt.Errorf("keeping authorities: %w", err)
		}
		_ = pem.Encode(&b, &pem.Block{Type: typeCertificate, Bytes: one.certificate.Raw}) // a Builder takes all
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
	first, rest := pem.Decode(text)
	second, rest := pem.Decode(rest)
	if first == nil || second == nil || first.Type != typeCertificate || second.Type != typeKey {
		return nil, nil
	}
	certificate, err := x509.ParseCertificate(first.Bytes)
	if err != nil || !certificate.IsCA || !certificate.PermittedDNSDomainsCritical {
		return nil, nil
	}
	key := keyOf(second.Bytes, certificate)
	if key == nil {
		return nil, nil
	}
	return &issuer{certificate, key}, rest
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
