package authority

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxPublic bounds the file of public authorities.
const maxPublic = 1 << 20

// publicFiles are where systems keep the public authorities in one file. The
// image of the sidecar has the first.
var publicFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// Public returns the public authorities of this system in PEM: those of the
// first of these files, and of the usual ones, that is there.
func Public(first ...string) (string, error) {
	for _, name := range append(first, publicFiles...) {
		info, err := os.Stat(name)
		if err != nil || info.Size() > maxPublic {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		public, err := certificates(text)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		return public, nil
	}
	return "", errors.New("reading the public authorities: none of the usual files is there")
}

// certificates writes each certificate of a text anew, without what stands
// between them.
func certificates(text []byte) (string, error) {
	var b strings.Builder
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != typeCertificate {
			return "", fmt.Errorf("it holds a %s", strings.ToLower(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue // there are some that Go does not read; nobody else will miss them
		}
		_ = pem.Encode(&b, &pem.Block{Type: typeCertificate, Bytes: block.Bytes}) // a Builder takes all
	}
	if b.Len() == 0 {
		return "", errors.New("it holds no certificate")
	}
	return b.String(), nil
}
