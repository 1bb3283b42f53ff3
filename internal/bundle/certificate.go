package bundle

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// CertificateSecret returns a certificate with its chain and its private key,
// both in PEM, as the Secret of a [Credential] whose endpoints are connected to
// with it.
func CertificateSecret(chain, key secret.Value) secret.Value { return secret.Join(chain, key) }

// What is wrong with a certificate or its key. Nothing of them is quoted.
var (
	ErrNoCertificate = errors.New("there must be a certificate in PEM, and behind it nothing but its chain")
	ErrNoKey         = errors.New("there must be one private key in PEM, of ECDSA, RSA or Ed25519")
	ErrEncryptedKey  = errors.New("the private key is encrypted, and nobody is there to give the passphrase: write it out with `openssl pkey -in key.pem -out plain.pem`")
	ErrOtherKey      = errors.New("the private key does not fit the certificate: give both of one pair, and the client's own certificate before its chain")
)

// CertificateOf takes the parts of s and holds them to each other. What it
// returns has its Leaf; whether that is valid now is for the caller to ask.
func CertificateOf(s secret.Value) (*tls.Certificate, error) {
	parts, ok := secret.Split(s, 2)
	if !ok {
		return nil, errors.New("reading the secret: this is no certificate with its key")
	}
	chain, key := []byte(parts[0].Reveal()), []byte(parts[1].Reveal())
	if err := checkChain(chain); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, ErrOtherKey // what cannot be read was told before
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return nil, ErrNoCertificate
	}
	return &pair, nil
}

// checkChain wants certificates that can be read. A key beside them is left to
// itself: many keep both in one file.
func checkChain(text []byte) error {
	n := 0
	for _, block := range blocks(text) {
		switch {
		case block.Type == "CERTIFICATE":
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return ErrNoCertificate
			}
			n++
		case !isKey(block):
			return ErrNoCertificate
		}
	}
	if n == 0 {
		return ErrNoCertificate
	}
	return nil
}

// checkKey wants one private key that is not encrypted. Of two it would be a
// guess which one is meant.
func checkKey(text []byte) error {
	n := 0
	for _, block := range blocks(text) {
		if !isKey(block) {
			continue
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return ErrEncryptedKey
		}
		if !readable(block.Bytes) {
			return ErrNoKey
		}
		n++
	}
	if n != 1 {
		return ErrNoKey
	}
	return nil
}

// isKey tells private keys: of PKCS #8, and of the older forms that name their
// algorithm.
func isKey(block *pem.Block) bool { return strings.HasSuffix(block.Type, "PRIVATE KEY") }

// readable tells a key that crypto/tls can read, in one of its forms.
func readable(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}

// blocks are those of PEM. Curve parameters, which openssl writes before a key,
// say nothing that the key does not.
func blocks(text []byte) []*pem.Block {
	var all []*pem.Block
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if block.Type != "EC PARAMETERS" {
			all = append(all, block)
		}
	}
}
