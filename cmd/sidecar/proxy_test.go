package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/sidecar/authority"
)

// agent is a client in proxy mode, by the file of authorities as it is now.
func (p *pod) agent() *http.Client {
	p.t.Helper()
	pool := x509.NewCertPool()
	if !eventually(func() bool {
		text, err := os.ReadFile(filepath.Join(p.tell, authority.Directory, authority.File))
		return err == nil && pool.AppendCertsFromPEM(text)
	}) {
		p.t.Fatal("there is no authority to trust")
	}
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: p.address}),
		TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true,
	}}
}

// get returns status and answer; of a tunnel that was refused, 0 and the error.
func (p *pod) get(c *http.Client, url string) (int, string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.handle)
	response, err := c.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// first is get once the scope is in force: the authority is there a little sooner.
func (p *pod) first(c *http.Client, url string) (status int, body string) {
	p.t.Helper()
	eventually(func() bool {
		status, body = p.get(c, url)
		return !strings.Contains(body, "Service Unavailable")
	})
	return status, body
}

// TestServeAsProxy judges what comes through a tunnel. A second process of the
// same pod, as after a crash, is trusted by a client that read the file before.
func TestServeAsProxy(t *testing.T) {
	p := startOn(t, "--proxy=", t.TempDir(), t.TempDir())
	p.state <- granted("https://upstream.invalid")
	client := p.agent()
	if status, body := p.first(client, "https://upstream.invalid/users"); status != 403 || !strings.Contains(body, "OutOfScope") {
		t.Errorf("out of scope: got %d %s", status, body)
	}
	if status, body := p.get(client, "https://upstream.invalid/notes"); status != 502 || !strings.Contains(body, "UpstreamUnreachable") {
		t.Errorf("allowed, to a host that is not there: got %d %s", status, body)
	}
	if status, body := p.get(client, "https://elsewhere.invalid/notes"); status != 0 || !strings.Contains(body, "Forbidden") {
		t.Errorf("elsewhere: got %d %s", status, body)
	}
	p.private = keysOf(t, p)
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	p.ended <- nil

	again := startOn(t, "--proxy=", p.private, p.tell)
	again.state <- granted("https://upstream.invalid")
	again.agent() // waits until it is there
	transport := client.Transport.(*http.Transport)
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: again.address})
	if !eventually(func() bool {
		status, body := again.get(client, "https://upstream.invalid/users")
		return status == 403 && strings.Contains(body, "OutOfScope")
	}) {
		t.Error("a client that read the file before does not trust the next process")
	}
}

// TestServeTunnels leads past the credentials where it is told to, and vets where.
func TestServeTunnels(t *testing.T) {
	for says, more := range map[string][]string{"Forbidden": nil, "Bad Gateway": {"--tunnel"}} {
		p := startOn(t, "--proxy=", t.TempDir(), t.TempDir(), more...)
		p.state <- granted("https://upstream.invalid")
		if status, body := p.first(p.agent(), "https://"+p.address+"/"); status != 0 || !strings.Contains(body, says) {
			t.Errorf("%q: got %d %s", more, status, body)
		}
		if status, body := p.get(p.agent(), "https://upstream.invalid:8443/"); status != 0 || !strings.Contains(body, "Forbidden") {
			t.Errorf("%q, a credential's host: got %d %s", more, status, body)
		}
	}
}

// keysOf holds that no key is where the agent reads, and returns where they are.
func keysOf(t *testing.T, p *pod) string {
	t.Helper()
	kept, err := os.ReadFile(filepath.Join(p.private, "authorities.pem"))
	if err != nil || !strings.Contains(string(kept), "PRIVATE KEY") {
		t.Fatalf("the private directory holds no key: %v", err)
	}
	err = filepath.WalkDir(p.tell, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "PRIVATE") {
			t.Errorf("%s holds a key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.private
}
