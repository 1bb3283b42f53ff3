package stream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// Bounds of what is read and waited for.
const (
	maxToken    = 8 << 10
	maxRefusal  = 4 << 10
	connectTime = 10 * time.Second
	answerTime  = 20 * time.Second
	ackTime     = 10 * time.Second
	pingEvery   = 15 * time.Second
)

// pool reads the authorities of the broker. None is no trust.
func pool(roots string) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM([]byte(roots)) {
		return nil, errors.New("reading authorities of the broker: there is no certificate in PEM")
	}
	return p, nil
}

// transport connects to the broker and to nothing else: neither the system's
// authorities nor proxies of the environment play a part.
func (c *client) transport() (*http.Transport, error) {
	roots, err := pool(c.roots)
	if err != nil {
		return nil, err
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Transport{
		Proxy:                  nil,
		Protocols:              &protocols,
		DialContext:            c.Dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, ServerName: c.host, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.own}},
		TLSHandshakeTimeout:    connectTime,
		ResponseHeaderTimeout:  answerTime,
		MaxResponseHeaderBytes: maxRefusal,
		DisableCompression:     true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingEvery, PingTimeout: pingEvery},
	}, nil
}

// connect serves one connection. It tells whether a frame came, and for how
// long the broker wants to be left alone.
func (c *client) connect(ctx context.Context) (served bool, after time.Duration, err error) {
	token, err := readToken(c.TokenFile)
	if err != nil {
		return false, 0, err
	}
	transport, err := c.transport()
	if err != nil {
		return false, 0, err
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := c.request(ctx, "/v1/stream", token, http.NoBody)
	if err != nil {
		return false, 0, err
	}
	request.Header.Set("Sallyport-Applied", c.acked.Digest)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return false, 0, fmt.Errorf("opening stream: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return false, 0, c.refused(response.StatusCode, reason(response.Body))
	}
	acks := newAcks()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := acks.run(ctx, func(a bundle.Ack) error { return c.post(ctx, transport, token, c.settled(a)) }); err != nil {
			cancel(err)
		}
	}()
	served, after, err = c.read(response.Body, acks, cancel)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // what broke the connection, rather than that it broke
	}
	cancel(nil)
	<-done
	c.tokens.settle() // what nothing was acknowledged of any more
	return served, after, err
}

// read handles frames until there are no more.
func (c *client) read(body io.Reader, acks *acks, cancel context.CancelCauseFunc) (served bool, after time.Duration, err error) {
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing was heard for %s", silence)) })
	defer quiet.Stop()
	reader := bufio.NewReaderSize(body, 16<<10)
	for {
		line, err := readLine(reader)
		if err != nil {
			return served, 0, fmt.Errorf("reading stream: %w", err)
		}
		quiet.Reset(silence)
		frame, err := bundle.DecodeFrame(line)
		clear(line) // it may hold secrets
		if err != nil {
			acks.send(bundle.Ack{Version: bundle.Version, Digest: c.acked.Digest, Errors: []bundle.ApplyError{{Reason: bundle.SidecarRefused, Detail: err.Error()}}})
			acks.flush(ackTime)
			return served, 0, fmt.Errorf("reading stream: %w", err)
		}
		after, err := c.handle(frame, acks)
		if err != nil {
			acks.flush(ackTime)
			return served, after, err
		}
		served = true
	}
}

// readLine reads one frame, its end included.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > bundle.MaxFrame {
			return nil, bundle.ErrTooLarge
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (c *client) request(ctx context.Context, path, token string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.Broker+path, body)
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "sallyport-sidecar")
	request.Header.Set("Sallyport-Version", c.Version)
	request.Header.Set("Sallyport-Document", strconv.Itoa(bundle.Version))
	return request, nil
}

// post sends an acknowledgement over the connection of the stream.
func (c *client) post(ctx context.Context, transport *http.Transport, token string, a bundle.Ack) error {
	body, err := bundle.EncodeAck(&a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	request, err := c.request(ctx, "/v1/ack", token, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("acknowledging: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("acknowledging: the broker answers %d: %s", response.StatusCode, reason(response.Body))
	}
	return nil
}

// reason is what a refusal says, in one line.
func reason(body io.Reader) string {
	data, err := io.ReadAll(io.LimitReader(body, maxRefusal))
	var problem struct{ Reason, Detail string }
	if err != nil || json.Unmarshal(data, &problem) != nil {
		return "no reason given"
	}
	return strconv.QuoteToASCII(problem.Reason + ": " + problem.Detail)
}

func readToken(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("reading identity token: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("reading identity token: %w", err)
	}
	token := strings.TrimSuffix(string(data), "\n")
	if token == "" || len(data) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("reading identity token: %s holds none", name)
	}
	return token, nil
}
