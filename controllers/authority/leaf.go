package authority

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/internal/certs"
)

// A Leaf is the certificate that one replica of the broker serves with. It is
// signed in memory and renewed when the authority changes or it grows old. It
// is safe for concurrent use.
type Leaf struct {
	secrets *secretwatch.Watcher
	name    types.NamespacedName
	names   []string
	now     func() time.Time

	mu     sync.Mutex
	pair   certs.Pair
	parsed *tls.Certificate
}

// NewLeaf returns the Leaf for the given names, and has the authority's Secret
// in the manager's namespace watched.
func NewLeaf(secrets *secretwatch.Watcher, namespace string, names ...string) *Leaf {
	l := &Leaf{
		secrets: secrets, names: names, now: time.Now,
		name: types.NamespacedName{Namespace: namespace, Name: SecretName},
	}
	secrets.Refer("authority", l.name)
	return l
}

// Secret is the one that holds the authority.
func (l *Leaf) Secret() types.NamespacedName { return l.name }

// Roots returns the authorities that sidecars trust, in PEM. It is empty until
// the leader has made one.
func (l *Leaf) Roots() string {
	s, err := l.secrets.Get(l.name)
	if err != nil {
		return ""
	}
	bundle, _ := s.Bytes(keyBundle)
	return string(bundle)
}

// Authorities returns all that sidecars were ever told to trust, in PEM: those
// of today, and those before them. An error says that it is not known now.
func (l *Leaf) Authorities() (string, error) {
	s, err := l.secrets.Get(l.name)
	if err != nil {
		return "", err
	}
	bundle, ok := s.Bytes(keyBundle)
	if !ok {
		return "", fmt.Errorf("reading Secret %s: it holds no %s", l.name, keyBundle)
	}
	past, _ := s.Bytes(keyPast)
	return string(bundle) + string(past), nil
}

// Get returns the certificate for a handshake; it fits tls.Config. There is
// none until the leader has made the authority.
func (l *Leaf) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s, err := l.secrets.Get(l.name)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for _, key := range []string{keyCurrentCert, keyCurrentKey} {
		data[key], _ = s.Bytes(key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	pair, err := certs.KeepLeaf(decode(data), l.pair, l.names, l.now())
	if err != nil {
		return nil, fmt.Errorf("signing the broker's certificate: %w", err)
	}
	if l.parsed == nil || string(pair.Cert) != string(l.pair.Cert) {
		parsed, err := tls.X509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the broker's certificate: %w", err)
		}
		l.pair, l.parsed = pair, &parsed
	}
	return l.parsed, nil
}

// NotAfter is when the certificate ends; zero: there is none yet.
func (l *Leaf) NotAfter() time.Time {
	cert, err := l.Get(nil)
	if err != nil {
		return time.Time{}
	}
	return cert.Leaf.NotAfter
}

// AuthorityNotAfter is when the authority ends that signs; zero: it is not known.
func (l *Leaf) AuthorityNotAfter() time.Time {
	s, err := l.secrets.Get(l.name)
	if err != nil {
		return time.Time{}
	}
	text, _ := s.Bytes(keyCurrentCert)
	return notAfter(text)
}

// notAfter is when the first certificate of a PEM text ends; zero: there is none.
func notAfter(text []byte) time.Time {
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return cert.NotAfter
}
