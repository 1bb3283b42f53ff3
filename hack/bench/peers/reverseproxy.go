package peers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"regexp"
	"strings"
	"time"
)

// ReverseProxyVerb is the first argument of a program that is to serve as
// httputil.ReverseProxy; the second is a file for [ServeReverseProxy].
const ReverseProxyVerb = "reverse-proxy"

func reverseProxy(_ context.Context, s Setup) (command, error) {
	self, err := os.Executable()
	if err != nil {
		return command{}, err
	}
	f, err := s.write("reverse-proxy.json")
	return command{args: []string{self, ReverseProxyVerb, f}}, err
}

// ServeReverseProxy serves a Setup in JSON until ctx ends, and writes records where
// that says so.
func ServeReverseProxy(ctx context.Context, file string, records io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s Setup
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	server := &http.Server{Addr: s.Listen.String(), ReadHeaderTimeout: time.Minute, Handler: ReverseProxy(s, records)}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ReverseProxy is the standard library's proxy with the work of the others.
func ReverseProxy(s Setup, records io.Writer) http.Handler {
	allowed := regexp.MustCompile(`^/repos/acme/(web|api|docs)/[^/]+$`)
	transport := &http.Transport{
		MaxIdleConnsPerHost: 256,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Upstream.String())
		},
	}
	scheme := "http"
	if s.CA != "" {
		scheme = "https"
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(s.CA)) // none: no upstream is trusted
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: s.Host()}
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = scheme, s.Authority(), s.Authority()
			r.Out.Header.Set("Authorization", "Bearer "+s.Key)
		},
		Transport: transport,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+s.Token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method != http.MethodGet && r.Method != http.MethodPost || !allowed.MatchString(r.URL.Path):
			w.WriteHeader(http.StatusForbidden)
		case !ofKind(w, r):
			w.WriteHeader(http.StatusForbidden)
		case s.Logs && record(records, r) != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			proxy.ServeHTTP(w, r)
		}
	})
}

// ofKind tells whether what goes to /records is one. It reads the body, and
// leaves the same bytes to be sent.
func ofKind(w http.ResponseWriter, r *http.Request) bool {
	const most = 1 << 20
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/records") {
		return true
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	var body struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal(text, &body) == nil && body.Kind == "record"
}

// record writes a line of a request.
func record(w io.Writer, r *http.Request) error {
	_, err := fmt.Fprintf(w, `{"version":1,"time":%q,"id":%q,"token":"one","credential":"bench/api","endpoint":"api","event":"decision","verdict":"Allow","method":%q,"path":%q,"pod":"bench/agent"}`+"\n",
		time.Now().UTC().Format(time.RFC3339Nano), r.RemoteAddr, r.Method, r.URL.Path)
	return err
}
