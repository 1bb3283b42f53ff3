package material_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
)

func TestLine(t *testing.T) {
	tests := map[string]struct{ why, data, want string }{
		"plain":          {"as it is", "key", "key"},
		"line end":       {"files end in one", "key\n", "key"},
		"other line end": {"and on Windows in another", "key\r\n", "key"},
		"spaces":         {"they may be part of it", " k ", " k "},
		"two line ends":  {"a header would end early", "key\n\n", ""},
		"inside":         {"a header would end early", "a\r\nX-Evil: 1", ""},
		"zero":           {"some servers end text there", "a\x00", ""},
		"not text":       {"no header holds it", "\xff", ""},
		"empty":          {"the upstream would be asked without a key", "\n", ""},
		"long":           {"no header holds it", strings.Repeat("k", 16<<10+1), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := material.Line([]byte(test.data))
			if got.Reveal() != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%s: %q, %v", test.why, got.Reveal(), err)
			}
		})
	}
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// pair is a certificate that is good for a day, with its key.
func pair(t *testing.T) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func ref(name string) v1alpha1.KeyReference { return v1alpha1.KeyReference{Name: name, Key: "value"} }

var (
	plain     = v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "token", Key: "value"}}
	keys      = v1alpha1.Source{AWSKeys: &v1alpha1.AWSKeys{AccessKeyIDRef: ref("id"), SecretAccessKeyRef: ref("secret")}}
	temporary = v1alpha1.Source{AWSKeys: &v1alpha1.AWSKeys{AccessKeyIDRef: ref("id"), SecretAccessKeyRef: ref("secret"), SessionTokenRef: &v1alpha1.KeyReference{Name: "session", Key: "value"}}}
	certified = v1alpha1.Source{ClientCertificate: &v1alpha1.ClientCertificate{CertRef: ref("chain"), KeyRef: ref("key")}}
)

// read reads the key of a source from texts by the name of their Secret.
func read(s v1alpha1.Source, texts map[string]string, now time.Time) (material.Key, error) {
	up := &v1alpha1.UpstreamSecret{}
	up.Spec.Source = s
	return material.Read(up, func(r material.Reference) ([]byte, error) {
		text, found := texts[r.Name]
		if !found {
			return nil, errMissing
		}
		return []byte(text), nil
	}, now)
}

var errMissing = errors.New("not there")

func TestRead(t *testing.T) {
	chain, key := pair(t)
	texts := map[string]string{"token": "CANARY\n", "id": "AKIDEXAMPLE\n", "secret": "CANARY/+=\r\n", "session": "CANARY==", "chain": chain, "key": key}
	if k, err := read(plain, texts, noon); err != nil || k.Value.Reveal() != "CANARY" || !k.Ends.IsZero() {
		t.Errorf("a token: %v", err)
	}
	for s, session := range map[*v1alpha1.Source]string{&keys: "", &temporary: "CANARY=="} {
		k, err := read(*s, texts, noon)
		if err != nil {
			t.Fatal(err)
		}
		got, err := bundle.AWSKeysOf(k.Value)
		if err != nil || got.AccessKeyID.Reveal() != "AKIDEXAMPLE" || got.SecretAccessKey.Reveal() != "CANARY/+=" || got.SessionToken.Reveal() != session {
			t.Errorf("keys: %v", err)
		}
	}
	k, err := read(certified, texts, noon)
	if err != nil || !k.Ends.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("a certificate: until %v, %v", k.Ends, err)
	}
	if _, err := bundle.CertificateOf(k.Value); err != nil {
		t.Error(err)
	}
	if _, err := read(certified, texts, noon.Add(-time.Hour)); err != nil {
		t.Errorf("a certificate that is about to be valid: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	chain, key := pair(t)
	_, other := pair(t)
	for name, test := range map[string]struct {
		why   string
		from  v1alpha1.Source
		texts map[string]string
		at    time.Time
		field string // empty: no part is to blame
		says  string
	}{
		"no source":      {"there is no key", v1alpha1.Source{}, nil, noon, "", "names no Secret"},
		"missing":        {"it was not looked at", keys, map[string]string{"id": "AKIDEXAMPLE"}, noon, "", "not there"},
		"empty":          {"nothing to sign with", keys, map[string]string{"id": "AKIDEXAMPLE", "secret": "\n"}, noon, "awsKeys.secretAccessKeyRef", "empty"},
		"line end":       {"a header would end early", temporary, map[string]string{"id": "AKIDEXAMPLE", "secret": "CANARY", "session": "CANARY\nx"}, noon, "awsKeys.sessionTokenRef", "line ends"},
		"space":          {"no key has one", keys, map[string]string{"id": "AKIDEXAMPLE", "secret": "CANARY CANARY"}, noon, "awsKeys.secretAccessKeyRef", "space"},
		"no id":          {"the scope would begin in it", keys, map[string]string{"id": "AKID/CANARY", "secret": "CANARY"}, noon, "awsKeys.accessKeyIDRef", "no access key id"},
		"other key":      {"the upstream would not believe it", certified, map[string]string{"chain": chain, "key": other}, noon, "clientCertificate.keyRef", "does not fit"},
		"encrypted":      {"nobody has the passphrase", certified, map[string]string{"chain": chain, "key": strings.ReplaceAll(key, "PRIVATE", "ENCRYPTED PRIVATE")}, noon, "clientCertificate.keyRef", "openssl pkey"},
		"no certificate": {"nothing to show", certified, map[string]string{"chain": "CANARY", "key": key}, noon, "clientCertificate.certRef", "certificate in PEM"},
		"expired":        {"the upstream would refuse it", certified, map[string]string{"chain": chain, "key": key}, noon.Add(24 * time.Hour), "clientCertificate.certRef", "has expired"},
		"too long":       {"no chain is", certified, map[string]string{"chain": chain + strings.Repeat("\n", 64<<10), "key": key}, noon, "clientCertificate.certRef", "64 KiB"},
	} {
		got, err := read(test.from, test.texts, test.at)
		p := (*material.Problem)(nil)
		if err == nil || !got.Value.IsZero() || errors.As(err, &p) != (test.field != "") || p != nil && p.Field != test.field {
			t.Errorf("%s: %v, want it to blame %q: %s", name, err, test.field, test.why)
		} else if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want it to say %q", name, err, test.says)
		}
	}
}

func TestReferences(t *testing.T) {
	for want, s := range map[string]v1alpha1.Source{
		"[secretRef:token]": plain,
		"[awsKeys.accessKeyIDRef:id awsKeys.secretAccessKeyRef:secret]":                                 keys,
		"[awsKeys.accessKeyIDRef:id awsKeys.secretAccessKeyRef:secret awsKeys.sessionTokenRef:session]": temporary,
		"[clientCertificate.certRef:chain clientCertificate.keyRef:key]":                                certified,
		"[]": {},
	} {
		up := &v1alpha1.UpstreamSecret{}
		up.Spec.Source = s
		var got []string
		for _, r := range material.References(up) {
			got = append(got, r.Field+":"+r.Name)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	if got := material.References(nil); got != nil {
		t.Errorf("a nil UpstreamSecret names %v", got)
	}
}
