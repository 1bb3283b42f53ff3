package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/destination"
	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// Bounds of opening one connection.
const (
	dialTimeout = 10 * time.Second // look-up, all addresses and TLS together
	maxTried    = 4                // addresses that are tried
)

// Options are what all targets of a process share. The zero value is right for
// a pod.
type Options struct {
	// Resolver is ADDR:PORT of the DNS server; empty: those of the system.
	Resolver string
	// Roots are added to those that each endpoint trusts.
	Roots []*x509.Certificate
	// ConnectTo sends the connections for HOST:PORT to ADDR:PORT instead, which
	// is not vetted. It is for tests and rehearsals; TLS is verified as ever.
	ConnectTo map[string]string
	// Never are hosts whose addresses no tunnel leads to; see [Dialer.Tunnel].
	Never []string
}

// Dialer makes targets. It is safe for concurrent use.
type Dialer struct {
	added     []*x509.Certificate
	elsewhere map[string]netip.AddrPort // by HOST:PORT in lower case
	resolver  *net.Resolver
	net       net.Dialer
	never     []string
	own       func() ([]netip.Addr, error) // addresses of this machine
}

// New returns a Dialer.
func New(o Options) (*Dialer, error) {
	d := &Dialer{
		added: o.Roots, elsewhere: make(map[string]netip.AddrPort, len(o.ConnectTo)),
		resolver: &net.Resolver{PreferGo: true},
		never:    o.Never, own: ownAddresses,
	}
	if o.Resolver != "" {
		server, err := netip.ParseAddrPort(o.Resolver)
		if err != nil {
			return nil, fmt.Errorf("reading resolver: %w: give it as ADDR:PORT", err)
		}
		d.resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.net.DialContext(ctx, network, server.String())
		}
	}
	for from, to := range o.ConnectTo {
		if _, _, err := net.SplitHostPort(from); err != nil {
			return nil, fmt.Errorf("reading connect-to: %w: give it as HOST:PORT=ADDR:PORT", err)
		}
		address, err := netip.ParseAddrPort(to)
		if err != nil {
			return nil, fmt.Errorf("reading connect-to: %w: give it as HOST:PORT=ADDR:PORT", err)
		}
		d.elsewhere[strings.ToLower(from)] = address
	}
	return d, nil
}

// place is where a target is: an address to dial, or a name to look up.
type place struct {
	host, port string
	override   netip.AddrPort // of ConnectTo; invalid: none
	tls        *tls.Config    // nil: plain
	private    bool
	vet        func(context.Context, []netip.Addr) error // besides; nil: nothing is
}

// parse reads a URL. Its text is not quoted: it may hold what it must not.
func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("reading URL: it must have a scheme, a host, perhaps a port and a base path, and nothing else")
	}
	if u.Path != "/" && strings.HasSuffix(u.Path, "/") {
		return nil, errors.New("reading URL: its path must not end in a slash")
	}
	return u, nil
}

// place reads an endpoint.
func (d *Dialer) place(e *bundle.Endpoint) (*place, *url.URL, error) {
	u, err := parse(e.URL)
	if err != nil {
		return nil, nil, err
	}
	p := &place{host: strings.ToLower(u.Hostname()), port: u.Port(), private: e.Private}
	switch {
	case u.Scheme == "https":
		if p.tls, err = d.tlsConfig(p.host, e); err != nil {
			return nil, nil, err
		}
	case u.Scheme != "http" || !e.Plaintext:
		return nil, nil, errors.New("reading URL: its scheme must be https, or http where plaintext is allowed")
	}
	if p.port == "" {
		p.port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	p.override = d.elsewhere[net.JoinHostPort(p.host, p.port)]
	return p, u, nil
}

func (d *Dialer) tlsConfig(host string, e *bundle.Endpoint) (*tls.Config, error) {
	roots, err := d.roots(e.CABundle)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		ServerName:         host,
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	switch e.MinTLS {
	case "", "1.2":
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		return nil, errors.New("reading TLS version: it must be 1.2 or 1.3")
	}
	return c, nil
}

// roots are those of the endpoint, else those of the system, and the added
// ones.
func (d *Dialer) roots(caBundle string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if caBundle == "" {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("reading the system's certificates: %w", err)
		}
		pool = system
	} else if !pool.AppendCertsFromPEM([]byte(caBundle)) {
		return nil, errors.New("reading CA bundle: there is no PEM certificate in it")
	}
	for _, c := range d.added {
		pool.AddCert(c)
	}
	return pool, nil
}

// dial opens a connection to p. The error is an [*Error].
func (d *Dialer) dial(ctx context.Context, p *place) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := d.connect(ctx, p)
	if err != nil {
		return nil, failed(fmt.Errorf("connecting to %s: %w", net.JoinHostPort(p.host, p.port), err))
	}
	if p.tls == nil {
		return c, nil
	}
	t := tls.Client(socket.Wrap(c), p.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close() // the handshake has failed, nothing else is lost
		return nil, failed(fmt.Errorf("securing the connection to %s: %w", net.JoinHostPort(p.host, p.port), err))
	}
	return t, nil
}

func (d *Dialer) connect(ctx context.Context, p *place) (net.Conn, error) {
	if p.override.IsValid() {
		return d.net.DialContext(ctx, "tcp", p.override.String())
	}
	addresses, err := destination.Addresses(ctx, d.resolver, p.host, p.private)
	if err == nil && p.vet != nil {
		err = p.vet(ctx, addresses)
	}
	if err != nil {
		return nil, err
	}
	var failures []error
	for i, a := range addresses[:min(len(addresses), maxTried)] {
		// The last address gets what time is left, the others a part of it, so
		// that one that swallows packets does not use it all.
		share, cancel := ctx, context.CancelFunc(func() {})
		if i+1 < min(len(addresses), maxTried) {
			share, cancel = context.WithTimeout(ctx, dialTimeout/maxTried)
		}
		c, err := d.net.DialContext(share, "tcp", net.JoinHostPort(a.String(), p.port))
		cancel()
		if err == nil {
			return c, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}
