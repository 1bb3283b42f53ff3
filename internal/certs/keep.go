package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"
)

// Authorities is what is stored of the authorities. The zero value is a first
// start.
type Authorities struct {
	Current Pair   // signs
	Next    Pair   // published, does not sign yet; may be absent
	Bundle  []byte // every authority that readers have to trust, PEM
	Past    []byte // those that were in Bundle once, newest first, PEM: who still names one names ours
}

// maxPast bounds Past: ten years of authorities.
const maxPast = 16

// Keep returns what is to be stored at now in place of a, which may be empty,
// expired or unreadable: then it starts anew. Keeping what Keep returned, at
// the same time, changes nothing.
func Keep(a Authorities, now time.Time) (Authorities, error) {
	kept, err := renew(a, now)
	if err != nil {
		return Authorities{}, err
	}
	left := maxPast
	kept.Past = collect(func(der []byte, _ *x509.Certificate) bool {
		in := holds(kept.Bundle, der)
		if !in {
			left--
		}
		return !in && left >= 0
	}, a.Bundle, a.Past)
	return kept, nil
}

func renew(a Authorities, now time.Time) (Authorities, error) {
	current, err := parseAuthority(a.Current)
	if err != nil || now.After(current.cert.NotAfter) {
		return start(now)
	}
	next, err := parseAuthority(a.Next)
	switch {
	case err != nil && due(current.cert, now):
		if a.Next, err = newAuthority(now); err != nil {
			return Authorities{}, err
		}
	case err == nil && now.After(next.cert.NotBefore.Add(backdate+LeafLife)):
		a.Bundle = append(bytes.Clone(a.Bundle), a.Current.Cert...)
		a.Current, a.Next = a.Next, Pair{}
	}
	a.Bundle = bundle(now, a.Current.Cert, a.Next.Cert, a.Bundle)
	return a, nil
}

func start(now time.Time) (Authorities, error) {
	p, err := newAuthority(now)
	return Authorities{Current: p, Bundle: p.Cert}, err
}

// bundle joins the certificates of all texts that have not expired, each once.
func bundle(now time.Time, texts ...[]byte) []byte {
	return collect(func(_ []byte, cert *x509.Certificate) bool { return !now.After(cert.NotAfter) }, texts...)
}

// collect joins the certificates of all texts that are wanted, each once.
func collect(wanted func(der []byte, cert *x509.Certificate) bool, texts ...[]byte) []byte {
	var out []byte
	seen := map[string]bool{}
	for rest := bytes.Join(texts, nil); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || seen[string(block.Bytes)] || !wanted(block.Bytes, cert) {
			continue
		}
		seen[string(block.Bytes)] = true
		out = append(out, pem.EncodeToMemory(block)...)
	}
}

// holds reports whether a text has that certificate.
func holds(text, der []byte) bool {
	found := collect(func(d []byte, _ *x509.Certificate) bool { return bytes.Equal(d, der) }, text)
	return len(found) > 0
}

// KeepLeaf returns the leaf for names that is to be stored at now in place of
// leaf: the same while it is signed by the current authority, bears these
// names and is not past two thirds of its life.
func KeepLeaf(a Authorities, leaf Pair, names []string, now time.Time) (Pair, error) {
	by, err := parseAuthority(a.Current)
	if err != nil {
		return Pair{}, err
	}
	if cert, err := parseCert(leaf.Cert); err == nil && len(leaf.Key) > 0 &&
		cert.CheckSignatureFrom(by.cert) == nil && !due(cert, now) && bears(cert, names) {
		return leaf, nil
	}
	p, err := issue(by, &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		DNSNames:    names,
		NotBefore:   now.Add(-backdate),
		NotAfter:    earlier(now.Add(LeafLife), by.cert.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return Pair{}, fmt.Errorf("issuing a certificate for %s: %w", names[0], err)
	}
	return p, nil
}

func bears(c *x509.Certificate, names []string) bool {
	for _, n := range names {
		if c.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
