package podwebhook

import (
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
)

// roots are the authorities in a file. It is safe for concurrent use.
type roots struct {
	file string
	last atomic.Pointer[parsed]
}

type parsed struct {
	text string
	pool *x509.CertPool
}

// read reads the file each time, since authorities rotate, and parses what has
// changed. A text without a certificate would make sidecars that trust nobody.
func (r *roots) read() (string, *x509.CertPool, error) {
	text, err := os.ReadFile(r.file)
	if err != nil {
		return "", nil, fmt.Errorf("reading the broker's authorities: %w", err)
	}
	if last := r.last.Load(); last != nil && last.text == string(text) {
		return last.text, last.pool, nil
	}
	now := &parsed{string(text), x509.NewCertPool()}
	if !now.pool.AppendCertsFromPEM(text) {
		return "", nil, fmt.Errorf("reading the broker's authorities: %s holds no certificate", fileRoots)
	}
	r.last.Store(now)
	return now.text, now.pool, nil
}
