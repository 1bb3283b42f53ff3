package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/proxyenv"
	"github.com/sallyport-dev/sallyport/sidecar/authority"
)

// through is a client that was given the proxy and its authority.
func through(t *testing.T, p *readyProxy) *http.Client {
	t.Helper()
	text, err := os.ReadFile(p.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", p.CA)
	}
	proxy, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func fetch(t *testing.T, c *http.Client, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestRunAsProxy(t *testing.T) {
	r := rehearse(t, "", "")
	ready := r.start(t, "--watch", "--client", "proxy")
	c := ready.Credentials[0]
	if ready.Proxy == nil || c.Endpoints[0].URL != "https://example.com" {
		t.Fatalf("got %+v", ready)
	}
	client := through(t, ready.Proxy)
	if status, body := fetch(t, client, "https://example.com/v1/a", c.Token); status != 200 || body != "path /v1/a, key at hand: yes" {
		t.Fatalf("granted: %d %s", status, body)
	}
	if status, body := fetch(t, client, "https://example.com/v2/a", c.Token); status != 403 || !strings.Contains(body, "OutOfScope") {
		t.Errorf("not granted: %d %s", status, body)
	}
	if status, body := fetch(t, client, "https://example.org/v1/a", c.Token); status != 0 || !strings.Contains(body, "Forbidden") {
		t.Errorf("another host: %d %s", status, body)
	}
	r.change(t, "https://example.com", "https://example.com/v1")
	r.change(t, "/v1/{name}", "/{name}/x")
	if !eventually(5*time.Second, func() bool {
		status, body := fetch(t, client, "https://example.com/v1/b/x", c.Token)
		return status == 200 && strings.HasPrefix(body, "path /v1/b/x,")
	}) {
		t.Errorf("a changed address is not in force\n%s", r.stderr.String())
	}
	public, err := os.ReadFile(ready.Proxy.Bundle)
	if err != nil || strings.Count(string(public), "BEGIN CERTIFICATE") < 50 || strings.Contains(string(public), "PRIVATE") {
		t.Errorf("the bundle has %d bytes: %v", len(public), err)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(ready.Proxy.CA)), "*", "*"))
	if err != nil || len(names) != 4 { // ca.crt, bundle.crt, trust.p12, and the credential
		t.Errorf("the folder holds %v, %v", names, err)
	}
}

// TestFilesOfTrust holds the names that programs are told to those that are
// written: the sidecar links nothing of the one, injection nothing of the other.
func TestFilesOfTrust(t *testing.T) {
	if proxyenv.Directory != authority.Directory || proxyenv.File != authority.File || proxyenv.Bundle != authority.Bundle || proxyenv.Store != authority.Store {
		t.Errorf("programs look for %s/%s, %s and %s", proxyenv.Directory, proxyenv.File, proxyenv.Bundle, proxyenv.Store)
	}
}

// TestRunAsProxyCommand has the environment lead a program that was told nothing.
func TestRunAsProxyCommand(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	r := rehearse(t, "", "")
	script := `case $FILES_URL in https://example.com/x) ;; *) exit 1 ;; esac
curl -sS -m 10 -H "Authorization: Bearer $FILES_TOKEN" https://example.com/v1/a || exit 2
[ "$(curl -sS -m 10 -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $FILES_TOKEN" https://example.com/v2/a)" = 403 ] || exit 3
exit 42`
	err := run(t.Context(), append(r.arguments, "--client", "proxy", "--", "/bin/sh", "-c", script), strings.NewReader(""), &r.stdout, &r.stderr)
	if status := report(err, &r.stderr); status != 42 || r.stdout.String() != "path /v1/a, key at hand: yes" {
		t.Errorf("status %d, want that of the command\n%s\n%s", status, r.stdout.String(), r.stderr.String())
	}
}
