package bundle_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func generate(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encoded(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key crypto.Signer) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return encoded("PRIVATE KEY", der, err)
}

func certificateOf(key crypto.Signer) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "agent"}, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return encoded("CERTIFICATE", der, err)
}

// TestCertificateOf reads keys of every kind and form that is promised.
func TestCertificateOf(t *testing.T) {
	curve := generate(t, elliptic.P256())
	large := generate(t, elliptic.P384())
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	own := certificateOf(curve)
	for name, pair := range map[string][2]string{
		"ECDSA":               {own, pkcs8(curve)},
		"ECDSA, P-384":        {certificateOf(large), pkcs8(large)},
		"ECDSA, SEC 1":        {own, encoded("EC PRIVATE KEY", sec1, err)},
		"with its parameters": {own, parameters + encoded("EC PRIVATE KEY", sec1, err)},
		"RSA":                 {certificateOf(old), pkcs8(old)},
		"RSA, PKCS #1":        {certificateOf(old), encoded("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(old), nil)},
		"Ed25519":             {certificateOf(edwards), pkcs8(edwards)},
		"with its chain":      {own + certificateOf(large), pkcs8(curve)},
		"in one file":         {pkcs8(curve) + own, pkcs8(curve) + own},
		"with words":          {"subject=agent\n" + own, "key of agent\n" + pkcs8(curve)},
	} {
		c, err := bundle.CertificateOf(bundle.CertificateSecret(secret.New(pair[0]), secret.New(pair[1])))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.Leaf == nil || c.Leaf.Subject.CommonName != "agent" || c.PrivateKey == nil {
			t.Errorf("%s: got %v", name, c.Leaf)
		}
	}
}

func TestCertificateOfRefuses(t *testing.T) {
	key, other := generate(t, elliptic.P256()), generate(t, elliptic.P256())
	own, plain := certificateOf(key), pkcs8(key)
	encrypted := "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n" + strings.SplitN(plain, "\n", 2)[1]
	encrypted = strings.Replace(encrypted, "END PRIVATE KEY", "END EC PRIVATE KEY", 1)
	for name, test := range map[string]struct {
		why, chain, key string
		want            error
	}{
		"another key":        {"the upstream would not believe it", own, pkcs8(other), bundle.ErrOtherKey},
		"chain first":        {"the key is of the second", certificateOf(other) + own, plain, bundle.ErrOtherKey},
		"encrypted, PKCS #8": {"nobody has the passphrase", own, strings.ReplaceAll(plain, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), bundle.ErrEncryptedKey},
		"encrypted, older":   {"nobody has the passphrase", own, encrypted, bundle.ErrEncryptedKey},
		"no certificate":     {"nothing to show", "", plain, bundle.ErrNoCertificate},
		"a key for it":       {"nothing to show", plain, plain, bundle.ErrNoCertificate},
		"a request for it":   {"nobody has signed it", own + encoded("CERTIFICATE REQUEST", []byte{0x30, 0}, nil), plain, bundle.ErrNoCertificate},
		"broken chain":       {"part of it cannot be read", own + encoded("CERTIFICATE", []byte("x"), nil), plain, bundle.ErrNoCertificate},
		"DER":                {"it is not PEM", "\x30\x82", plain, bundle.ErrNoCertificate},
		"no key":             {"nothing to prove it with", own, "", bundle.ErrNoKey},
		"a certificate":      {"nothing to prove it with", own, own, bundle.ErrNoKey},
		"two keys":           {"which one?", own, plain + pkcs8(other), bundle.ErrNoKey},
		"broken key":         {"it cannot be read", own, encoded("PRIVATE KEY", []byte("CANARY"), nil), bundle.ErrNoKey},
		"public key":         {"it proves nothing", own, encoded("PUBLIC KEY", []byte("x"), nil), bundle.ErrNoKey},
	} {
		c, err := bundle.CertificateOf(bundle.CertificateSecret(secret.New(test.chain), secret.New(test.key)))
		if c != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v: %s", name, err, test.want, test.why)
		}
	}
	if c, err := bundle.CertificateOf(secret.New(own + plain)); c != nil || err == nil {
		t.Error("a Secret of one part passes")
	}
}

func TestAWSKeys(t *testing.T) {
	const id, key, session = "AKIDEXAMPLE", "CANARY/+key=", "CANARY-session"
	keys := func(id, key, session string) secret.Value {
		return bundle.AWSKeys{AccessKeyID: secret.New(id), SecretAccessKey: secret.New(key), SessionToken: secret.New(session)}.Secret()
	}
	for _, session := range []string{"", session} {
		k, err := bundle.AWSKeysOf(keys(id, key, session))
		if err != nil || k.AccessKeyID.Reveal() != id || k.SecretAccessKey.Reveal() != key || k.SessionToken.Reveal() != session {
			t.Errorf("%q: %v", session, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(text, "CANARY") || strings.Contains(text, id) {
			t.Errorf("printed keys hold them: %s", text)
		}
	}
	for name, test := range map[string]struct {
		why string
		s   secret.Value
	}{
		"one part":   {"a key for another injection", secret.New(key)},
		"two parts":  {"a certificate's", secret.Join(secret.New(id), secret.New(key))},
		"no id":      {"nobody to sign for", keys("", key, "")},
		"slash":      {"the scope would begin there", keys("AKID/EXAMPLE", key, "")},
		"comma":      {"another part would begin there", keys("AKID,EXAMPLE", key, "")},
		"space":      {"as above", keys("AKID EXAMPLE", key, "")},
		"short id":   {"answers are full of it", keys("AK", key, "")},
		"long id":    {"no such id", keys(strings.Repeat("A", 129), key, "")},
		"no key":     {"nothing to sign with", keys(id, "", session)},
		"a line end": {"it would end the header", keys("AKIDEXAMPLE\n", key, "")},
	} {
		if _, err := bundle.AWSKeysOf(test.s); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v: %s", name, err, test.why)
		}
	}
}
