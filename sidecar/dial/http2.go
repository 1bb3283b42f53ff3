package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Bounds of connections that carry HTTP/2. What an upstream may send before
// it is read is kept in memory: of one answer, and of all on a connection.
const (
	answerBuffer  = 256 << 10
	answersBuffer = 4 << 20
	pingInterval  = 30 * time.Second // of silence, until the upstream is asked whether it is there
	pingTimeout   = 15 * time.Second
	stallTimeout  = 30 * time.Second // of a write, of which not a byte goes out
)

// HTTP2 returns what carries requests over HTTP/2 to t, to which Scheme says how.
// Its connections are vetted and secured like all others. The error of a
// connection that is not made is an [*Error]. Redirects are not followed.
func (t *Target) HTTP2() http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http2 == nil {
		t.http2 = t.newHTTP2()
	}
	return t.http2
}

// Scheme is https or http.
func (t *Target) Scheme() string {
	if t.place.tls == nil {
		return "http"
	}
	return "https"
}

func (t *Target) newHTTP2() *http.Transport {
	spoken := &http.Protocols{}
	spoken.SetHTTP2(t.place.tls != nil)
	spoken.SetUnencryptedHTTP2(t.place.tls == nil)
	return &http.Transport{
		DialContext:            t.openHTTP2,
		DialTLSContext:         t.openHTTP2,
		Protocols:              spoken,
		DisableCompression:     true, // what comes back has to be read for the secret
		MaxResponseHeaderBytes: int64(t.limit),
		IdleConnTimeout:        idleTimeout,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: answerBuffer, MaxReceiveBufferPerConnection: answersBuffer,
			SendPingTimeout: pingInterval, PingTimeout: pingTimeout, WriteByteTimeout: stallTimeout,
		},
	}
}

// openHTTP2 opens a connection to t, whatever it is asked for.
func (t *Target) openHTTP2(ctx context.Context, _, _ string) (net.Conn, error) {
	p := *t.place
	if p.tls != nil {
		p.tls = p.tls.Clone()
		p.tls.NextProtos = []string{"h2"}
	}
	c, err := t.dialer.dial(ctx, &p)
	if err != nil {
		return nil, err
	}
	if s, secured := c.(*tls.Conn); secured && s.ConnectionState().NegotiatedProtocol != "h2" {
		_ = c.Close() // nothing was sent on it
		return nil, failed(fmt.Errorf("connecting to %s: %w", t.Authority, errNoHTTP2))
	}
	return c, nil
}

var errNoHTTP2 = errors.New("it does not speak HTTP/2")

// Settle closes the idle connections that carry HTTP/2 where t is in use no more.
// It is called when an exchange is over.
func (t *Target) Settle() {
	t.mu.Lock()
	carrier, closed := t.http2, t.closed
	t.mu.Unlock()
	if closed && carrier != nil {
		carrier.CloseIdleConnections()
	}
}
