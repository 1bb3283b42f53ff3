package minter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/destination"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// Bounds of asking a token endpoint.
const (
	askTimeout      = 20 * time.Second // look-up, connection, TLS and answer, of both attempts
	dialTimeout     = 8 * time.Second  // look-up and all addresses
	maxAnswerHeader = 32 << 10
	maxTried        = 4 // addresses that are tried
)

// asker asks token endpoints. The zero asker is right for production: what it
// has are the parts that a test on loopback replaces.
type asker struct {
	resolver destination.Resolver // nil: the system's
	roots    []*x509.Certificate  // trusted besides
	// elsewhere leads HOST:PORT to an address that is not vetted.
	elsewhere map[string]netip.AddrPort
}

// token asks for the next token of w. The answer may hold a refresh token where
// there is an error. An error that is no *mint.Failure is one of ours.
func (a *asker) token(ctx context.Context, w *work, asked time.Time) (mint.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	inBody := w.held.InBody
	answer, err := a.once(ctx, w, inBody, asked)
	if answer.TryOther(w.job) {
		inBody = !inBody
		answer, err = a.once(ctx, w, inBody, asked)
	}
	answer.InBody = inBody
	return answer, err
}

// once sends one request, once.
func (a *asker) once(ctx context.Context, w *work, inBody bool, asked time.Time) (mint.Answer, error) {
	req, err := w.job.Request(ctx, &w.held, inBody, asked)
	if err != nil {
		return mint.Answer{}, err
	}
	transport, err := a.transport(w.up)
	if err != nil {
		return mint.Answer{}, err
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // no key is sent where an answer says
	}}
	resp, err := client.Do(req)
	if err != nil {
		return mint.Answer{}, unreached(ctx, w.job, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is not wanted
	body, err := io.ReadAll(io.LimitReader(resp.Body, w.job.MaxAnswer()+1))
	if err != nil {
		return mint.Answer{}, unreached(ctx, w.job, err)
	}
	if int64(len(body)) > w.job.MaxAnswer() {
		return mint.Answer{}, w.job.Unreached(v1alpha1.ReasonAnswerRefused, "the answer is too long for a token: correct the address")
	}
	return w.job.Read(resp.StatusCode, resp.Header, body, asked)
}

// transport makes one connection to a place that was vetted, and asks no proxy.
func (a *asker) transport(up *v1alpha1.UpstreamSecret) (*http.Transport, error) {
	config, err := a.tlsConfig(mint.Endpoint(&up.Spec))
	if err != nil {
		return nil, fmt.Errorf("minting for UpstreamSecret %s/%s: %w", up.Namespace, up.Name, err)
	}
	private := up.Spec.Network != nil && up.Spec.Network.Private == v1alpha1.PrivateAllow
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return a.dial(ctx, address, private)
		},
		TLSClientConfig:        config,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}, nil
}

// tlsConfig is that of the endpoint whose server mints; nil: the system's
// authorities are trusted.
func (a *asker) tlsConfig(e *v1alpha1.Endpoint) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if e != nil && e.TLS != nil && e.TLS.MinVersion == v1alpha1.TLS13 {
		config.MinVersion = tls.VersionTLS13
	}
	var err error
	switch {
	case e != nil && e.TLS != nil && e.TLS.CABundle != "":
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(e.TLS.CABundle)) {
			return nil, errors.New("reading CA bundle: there is no certificate in it")
		}
	default:
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("reading the system's certificates: %w", err)
		}
	}
	for _, root := range a.roots {
		config.RootCAs.AddCert(root)
	}
	return config, nil
}

// dial connects to an address of a name that was vetted, and to no other.
func (a *asker) dial(ctx context.Context, address string, private bool) (net.Conn, error) {
	// The transport's context has no end of its own.
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	if to, ok := a.elsewhere[address]; ok {
		return dialer.DialContext(ctx, "tcp", to.String())
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var resolver destination.Resolver = &net.Resolver{PreferGo: true}
	if a.resolver != nil {
		resolver = a.resolver
	}
	addresses, err := destination.Addresses(ctx, resolver, host, private)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, to := range addresses[:min(len(addresses), maxTried)] {
		share, cancel := context.WithTimeout(ctx, dialTimeout/maxTried)
		c, err := dialer.DialContext(share, "tcp", net.JoinHostPort(to.String(), port))
		cancel()
		if err == nil {
			return c, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// unreached says why no answer came, in words that stay the same while the
// trouble does: errors of the network name ports that change.
func unreached(ctx context.Context, j *mint.Job, err error) error {
	log.FromContext(ctx).V(1).Info("asking a token endpoint", "error", err.Error())
	var (
		name    *net.DNSError
		cert    *tls.CertificateVerificationError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, destination.ErrRefused):
		return j.Unreached(v1alpha1.ReasonDestinationRefused, "its name leads to an address that no key is sent to: correct it, or set spec.network.private to Allow where it is within the cluster; loopback, link-local and metadata addresses are never asked")
	case errors.As(err, &name):
		return j.Unreached(v1alpha1.ReasonUpstreamUnreachable, "its name is not found: it is asked again")
	case errors.As(err, &cert):
		return j.Unreached(v1alpha1.ReasonUpstreamUnreachable, "its certificate does not hold: correct it, or set tls.caBundle of an endpoint with the same scheme, host and port; it is asked again")
	case errors.Is(errors.Join(ctx.Err(), err), context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return j.Unreached(v1alpha1.ReasonUpstreamTimeout, "it does not answer in time: it is asked again")
	}
	return j.Unreached(v1alpha1.ReasonUpstreamUnreachable, "no connection to it could be made, secured or kept: it is asked again")
}
