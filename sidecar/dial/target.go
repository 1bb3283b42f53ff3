package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// Bounds of what a target keeps. Servers close idle connections after a
// minute or more; one that is about to be closed is not worth a failed request.
const (
	maxIdle     = 32
	idleTimeout = 50 * time.Second
)

// Target is one endpoint's place, with the idle connections to it. It is safe
// for concurrent use.
type Target struct {
	// Host is what the Host field says: the host of the URL, with the port
	// where the URL has one.
	Host string
	// Authority is host and port, the port of the scheme written out.
	Authority string
	// BasePath stands before every forwarded path: empty, or begins with a
	// slash and does not end in one.
	BasePath string
	// TLS says that connections are secured.
	TLS bool

	dialer *Dialer
	place  *place
	limit  int

	mu     sync.Mutex
	idle   []*Conn // the one used last is the last
	closed bool
	http2  *http.Transport // nil: not asked for yet
}

// Conn is a connection to an upstream. Its user owns it, and either puts it
// back or closes it.
type Conn struct {
	net.Conn
	Reader *http1.Reader
	Writer *http1.Writer
	// Used says that an exchange was carried before.
	Used bool

	target *Target
	since  time.Time    // idle
	send   func() error // what Writer has left of a request: bound once
}

// Ask sends what Writer has of a request, ends that, and waits for the answer, which
// Reader is to read then. Where the upstream has closed the connection, or sent
// something unasked, sent is false and nothing was sent.
func (c *Conn) Ask() (sent bool, err error) { return c.Reader.Ask(c.send) }

// Target returns the place of e. headerBytes bounds the headers of answers.
// certificate is shown to it, and to no other; nil: none is. Nothing is looked
// up or connected to yet.
//
// What was secured with one certificate is never used with another: a Target has
// its own connections, and its own TLS sessions, which a server may resume
// without asking for a certificate again.
func (d *Dialer) Target(e *bundle.Endpoint, headerBytes int, certificate *tls.Certificate) (*Target, error) {
	p, u, err := d.place(e)
	if err != nil {
		return nil, err
	}
	if err := p.show(e, certificate); err != nil {
		return nil, err
	}
	base := u.EscapedPath()
	if base == "/" {
		base = ""
	}
	return &Target{
		Host: u.Host, Authority: net.JoinHostPort(p.host, p.port), BasePath: base,
		TLS: p.tls != nil, dialer: d, place: p, limit: headerBytes,
	}, nil
}

// show has connections to p made with a certificate, exactly where e is one that
// takes the credential so. It is shown whatever authorities the server names:
// those of a chain that ends in another are its own affair.
func (p *place) show(e *bundle.Endpoint, certificate *tls.Certificate) error {
	switch wanted := e.Inject.ClientCertificate != nil; {
	case !wanted && certificate == nil:
		return nil
	case !wanted || certificate == nil:
		return errors.New("reading inject: a certificate is there exactly where clientCertificate is")
	case p.tls == nil:
		return errors.New("reading URL: its scheme must be https where connections are made with a certificate")
	}
	p.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	return nil
}

// Get returns an idle connection that may carry a request, or a new one. The
// error is an [*Error].
func (t *Target) Get(ctx context.Context) (*Conn, error) {
	for {
		c := t.take()
		if c == nil {
			return t.Open(ctx)
		}
		if c.Reader.Reusable() {
			return c, nil
		}
		_ = c.Close() // the peer has ended it already
	}
}

// Open returns a new connection. The error is an [*Error].
func (t *Target) Open(ctx context.Context) (*Conn, error) {
	c, err := t.dialer.dial(ctx, t.place)
	if err != nil {
		return nil, err
	}
	w := http1.NewWriter(c)
	return &Conn{Conn: c, target: t, Reader: http1.NewReader(c, t.limit), Writer: w, send: w.End}, nil
}

func (t *Target) take() *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.idle)
	if n == 0 {
		return nil
	}
	c := t.idle[n-1]
	t.idle[n-1] = nil
	t.idle = t.idle[:n-1]
	return c
}

// Put keeps c for a later exchange, or closes it. Its last answer must have
// been read to its end.
func (t *Target) Put(c *Conn, now time.Time) {
	if !t.keep(c, now) {
		_ = c.Close() // nothing is under way on it
	}
}

func (t *Target) keep(c *Conn, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || c.target != t || len(t.idle) >= maxIdle {
		return false
	}
	c.Used, c.since = true, now
	t.idle = append(t.idle, c)
	return true
}

// Owns tells whether c leads to t, and t is still in use.
func (t *Target) Owns(c *Conn) bool { return c.target == t }

// Sweep closes what has been idle for long, and tells whether something is idle
// that has not.
func (t *Target) Sweep(now time.Time) (more bool) {
	for _, c := range t.expired(now) {
		_ = c.Close() // idle
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.idle) > 0
}

func (t *Target) expired(now time.Time) []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.idle) && now.Sub(t.idle[n].since) >= idleTimeout {
		n++
	}
	old := append([]*Conn(nil), t.idle[:n]...)
	left := copy(t.idle, t.idle[n:])
	clear(t.idle[left:])
	t.idle = t.idle[:left]
	return old
}

// Close closes the idle connections, and every other one as it is put back.
func (t *Target) Close() {
	t.mu.Lock()
	idle := t.idle
	t.idle, t.closed = nil, true
	t.mu.Unlock()
	for _, c := range idle {
		_ = c.Close() // idle
	}
	t.Settle()
}
