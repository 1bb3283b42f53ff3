package upstream

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/certs"
)

// Certificate makes a fresh authority and a server's certificate for names,
// good for a day. It returns the authority in PEM, for clients to trust.
func Certificate(names ...string) (server tls.Certificate, authority []byte, err error) {
	now := time.Now()
	made, err := certs.Keep(certs.Authorities{}, now)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("making an authority: %w", err)
	}
	leaf, err := certs.KeepLeaf(made, certs.Pair{}, names, now)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	server, err = tls.X509KeyPair(leaf.Cert, leaf.Key)
	return server, made.Bundle, err
}
