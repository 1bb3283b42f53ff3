package corpus

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority issues certificates for the upstreams' names.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corpus"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) issue(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		// The other names are those of this machine, so that no attempt to lead a
		// connection here fails for the certificate alone.
		SerialNumber: big.NewInt(2), DNSNames: []string{host, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// upstream records every byte that reaches it, and answers each request with
// a mark.
type upstream struct {
	listeners []net.Listener

	mu       sync.Mutex
	reached  int    // connections that were accepted
	bytes    []byte // of all connections, in the order of arrival
	requests []upstreamRequest
	mark     string
	scripted *response // nil: the usual answer
	sockets  int       // that are open
}

// upstreamRequest is a request as the upstream reads it: as strictly as it can.
type upstreamRequest struct {
	line    string
	headers [][2]string
	body    []byte
	length  int    // in bytes, all told
	defect  string // what another reader might read otherwise
}

// startUpstream serves on these listeners, or on one of loopback.
func startUpstream(t *testing.T, certificate tls.Certificate, listeners ...net.Listener) *upstream {
	t.Helper()
	if listeners == nil {
		listeners = []net.Listener{(*network)(nil).listen(t, "127.0.0.1:0")}
	}
	u := &upstream{listeners: listeners}
	var open sync.WaitGroup
	for _, listener := range listeners {
		secured := tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1", "h2"}})
		open.Go(func() { u.accept(t.Context(), secured, &open) })
	}
	t.Cleanup(func() {
		for _, listener := range listeners {
			_ = listener.Close()
		}
		open.Wait()
	})
	return u
}

// accept serves connections until the listener is closed, and each until the
// test ends.
func (u *upstream) accept(test context.Context, listener net.Listener, open *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.reached++
		u.mu.Unlock()
		open.Go(func() { u.serve(conn) })
		open.Go(func() {
			<-test.Done() // before cleanups run
			_ = conn.Close()
		})
	}
}

// address is where it listens first.
func (u *upstream) address() string { return u.listeners[0].Addr().String() }

// connections is how many were made to it, whatever came over them.
func (u *upstream) connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.reached
}

func (u *upstream) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if u.serveHTTP2(conn) {
		return
	}
	in := bufio.NewReader(io.TeeReader(conn, u))
	for {
		r, err := readRequest(in)
		if err != nil {
			return
		}
		u.mu.Lock()
		u.requests = append(u.requests, r)
		say := u.scripted
		if say == nil {
			say = &response{parts: [][]byte{[]byte(usual(u.mark, &r))}, keep: true}
		}
		u.mu.Unlock()
		if r.opens() {
			u.socket(conn, in, &r)
			return
		}
		if err := say.write(conn); err != nil || r.defect != "" {
			return
		}
	}
}

// Write records what was read. Of an open WebSocket, its messages are recorded
// and not their frames.
func (u *upstream) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sockets == 0 {
		u.bytes = append(u.bytes, p...)
	}
	return len(p), nil
}

// begin forgets what arrived so far and sets the mark of the answers to come.
func (u *upstream) begin(mark string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes, u.requests, u.mark = nil, nil, mark
}

// seen is what arrived since begin.
func (u *upstream) seen() ([]byte, []upstreamRequest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return bytes.Clone(u.bytes), slices.Clone(u.requests)
}

var (
	requestLine = regexp.MustCompile(`^[A-Z]+ /[!-~]* HTTP/1\.1$`)
	chunkSize   = regexp.MustCompile(`^[0-9A-Fa-f]{1,7}$`)
	headerLine  = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)$`)
)

// readRequest reads one request. An error means that there is none.
func readRequest(in *bufio.Reader) (upstreamRequest, error) {
	var r upstreamRequest
	line, err := r.readLine(in)
	if err != nil {
		return r, err
	}
	if r.line = line; !requestLine.MatchString(line) {
		r.defect = fmt.Sprintf("request line %q", line)
	}
	for {
		line, err := r.readLine(in)
		if err != nil {
			return r, err
		}
		if line == "" {
			break
		}
		parts := headerLine.FindStringSubmatch(line)
		if parts == nil {
			r.defect = fmt.Sprintf("header line %q", line)
			continue
		}
		r.headers = append(r.headers, [2]string{parts[1], parts[2]})
	}
	return r, r.readBody(in)
}

// readLine takes a line that ends in CR LF, and calls any other end a defect.
func (r *upstreamRequest) readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	r.length += len(line)
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\n") {
		r.defect = fmt.Sprintf("line end of %q", line)
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func (r *upstreamRequest) readBody(in *bufio.Reader) error {
	lengths, codings := r.values("Content-Length"), r.values("Transfer-Encoding")
	switch {
	case len(lengths)+len(codings) > 1:
		r.defect = "more than one framing"
	case len(codings) == 1:
		return r.readChunks(in)
	case len(lengths) == 1:
		n, canonical := parseLength(lengths[0])
		if !canonical {
			r.defect = fmt.Sprintf("Content-Length %q", lengths[0])
			return nil
		}
		r.body = make([]byte, n)
		read, err := io.ReadFull(in, r.body)
		r.length += read
		return err
	}
	return nil
}

func (r *upstreamRequest) readChunks(in *bufio.Reader) error {
	for {
		line, err := r.readLine(in)
		if err != nil {
			return err
		}
		if !chunkSize.MatchString(line) {
			r.defect = fmt.Sprintf("chunk size %q", line)
			return nil
		}
		size, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return err
		}
		chunk := make([]byte, size)
		read, err := io.ReadFull(in, chunk)
		r.length += read
		r.body = append(r.body, chunk...)
		if err != nil {
			return err
		}
		if end, err := r.readLine(in); err != nil || end != "" || size == 0 {
			return err
		}
	}
}

// parseLength reads a length that is written in the one canonical way.
func parseLength(text string) (n uint64, canonical bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return n, err == nil && strconv.FormatUint(n, 10) == text
}

func (r *upstreamRequest) values(name string) []string {
	var out []string
	for _, h := range r.headers {
		if http.CanonicalHeaderKey(h[0]) == http.CanonicalHeaderKey(name) {
			out = append(out, h[1])
		}
	}
	return out
}

// trap is an address that nothing may connect to.
func trap(t *testing.T) (address string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			mu.Lock()
			n++
			mu.Unlock()
		}
	}()
	return listener.Addr().String(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}
