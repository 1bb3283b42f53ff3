package peers

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/certs"
)

// Trust is an authority of a benchmark.
type Trust struct{ all certs.Authorities }

// NewTrust makes an authority.
func NewTrust() (Trust, error) {
	all, err := certs.Keep(certs.Authorities{}, time.Now())
	return Trust{all}, err
}

// PEM is what trusts it.
func (t Trust) PEM() string { return string(t.all.Bundle) }

// Certificate vouches for a name.
func (t Trust) Certificate(name string) (tls.Certificate, error) {
	leaf, err := certs.KeepLeaf(t.all, certs.Pair{}, []string{name}, time.Now())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issuing a certificate for %s: %w", name, err)
	}
	return tls.X509KeyPair(leaf.Cert, leaf.Key)
}
