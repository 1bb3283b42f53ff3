package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	// authorityLifetime is longer than a pod lives: clients read it once. Its key
	// lives no longer than the pod.
	authorityLifetime = 10 * 365 * 24 * time.Hour
	leafLifetime      = 48 * time.Hour
	// backdated allows for a clock that is set back.
	backdated = time.Hour
)

// issuer is one authority.
type issuer struct {
	// root is what agents trust. Its key was forgotten when it had signed
	// certificate: Java does not ask what it trusts for constraints (RFC 5280,
	// 6.1.1), and what is below it has to hold them.
	root        *x509.Certificate
	certificate *x509.Certificate // what leaves are issued by
	key         *ecdsa.PrivateKey // of certificate
}

// leaf is the certificate of one host.
type leaf struct {
	certificate tls.Certificate
	renew       time.Time
}

// newIssuer makes an authority that may vouch for these hosts, by name or by
// address, and for nothing else.
func newIssuer(hosts []string, now time.Time) (*issuer, error) {
	root, rootKey, err := newAuthority(hosts, now, 1, nil, nil)
	if err != nil {
		return nil, err
	}
	certificate, key, err := newAuthority(hosts, now, 0, root, rootKey)
	if err != nil {
		return nil, err
	}
	return &issuer{root, certificate, key}, nil
}

// newAuthority makes the certificate of an authority with so many others below
// it, signed by parent or by itself.
func newAuthority(hosts []string, now time.Time, below int, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"Sallyport"}, CommonName: "Sallyport authority of one pod"},
		NotBefore:    now.Add(-backdated), NotAfter: now.Add(authorityLifetime),
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, MaxPathLen: below, MaxPathLenZero: below == 0, BasicConstraintsValid: true,
		PermittedDNSDomainsCritical: true, // all of the constraints
	}
	if parent == nil {
		parent, by = template, key
	} else {
		template.Subject.CommonName += ", issuing" // another name: who has its own is its own issuer
	}
	constrain(template, hosts)
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, nil, err
	}
	return certificate, key, nil
}

// noName is one that nothing has (RFC 6761, 6.4).
const noName = "invalid"

// constrain permits these hosts. A kind of name without one that is permitted
// has to be shut out, since a constraint says nothing of other kinds. Of names
// that is done by permitting one: Java fails over an exclusion of all.
func constrain(template *x509.Certificate, hosts []string) {
	for _, h := range hosts {
		if ip, ok := address(h); ok {
			bits := 8 * len(ip)
			template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, bits)})
			continue
		}
		template.PermittedDNSDomains = append(template.PermittedDNSDomains, h)
	}
	if len(template.PermittedDNSDomains) == 0 {
		template.PermittedDNSDomains = []string{noName}
	}
	if len(template.PermittedIPRanges) == 0 {
		template.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
}

// address reads a host that is an IP address, in its shortest form.
func address(host string) (net.IP, bool) {
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return nil, false
	}
	return a.AsSlice(), true
}

// serverName is what a client asks for that connects to host: addresses have no
// names (RFC 6066, 3).
func serverName(host string) string {
	if _, ok := address(host); ok {
		return ""
	}
	return host
}

// permits tells whether host is one of those that the authority was made for.
func (i *issuer) permits(host string) bool {
	ip, ok := address(host)
	if !ok {
		return slices.Contains(i.certificate.PermittedDNSDomains, host)
	}
	return slices.ContainsFunc(i.certificate.PermittedIPRanges, func(n *net.IPNet) bool { return n.IP.Equal(ip) })
}

func (i *issuer) issue(host string, now time.Time) (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"Sallyport"}}, // the host is in the alternative name alone
		NotBefore:    now.Add(-backdated), NotAfter: now.Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip, ok := address(host); ok {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, i.certificate, key.Public(), i.key)
	if err != nil {
		return nil, err
	}
	return &leaf{tls.Certificate{Certificate: [][]byte{raw, i.certificate.Raw}, PrivateKey: crypto.PrivateKey(key)}, now.Add(leafLifetime / 2)}, nil
}

// serial is as unlikely to occur twice as a UUID.
func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	b[0] |= 0x40 // positive, and of full length
	return new(big.Int).SetBytes(b[:])
}
