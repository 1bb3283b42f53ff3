package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/hack/load/caller"
)

// TestSecuredReset has an answer by HTTPS break off as one by HTTP does: TLS does not
// end, the connection is reset.
func TestSecuredReset(t *testing.T) {
	u, err := startUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.stop()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(u.authority))
	c, err := tls.Dial("tcp", u.secure.Addr().String(), &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /resets/1 HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestLoad asks the upstream itself what agents ask, with each kind of answer.
func TestLoad(t *testing.T) {
	u, err := startUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.stop()
	a := newAgents(access{addresses: []string{u.plain.Addr().String()}})
	c := &caller.Caller{Address: a.addresses[0]}
	defer c.Close()
	ask := func(method, path string, body []byte) (int, []byte, error) {
		return c.Call(t.Context(), method, a.request(method, path, body))
	}
	for _, n := range []int{0, 1, 199, 3999, 123456} {
		for range 2 {
			if status, text, err := ask(http.MethodGet, "/items/"+strconv.Itoa(n), nil); a.whole(n)(status, text, err) != "" {
				t.Errorf("item %d: %d, %.40q, %v", n, status, text, err)
			}
			if status, text, err := ask(http.MethodPost, "/items", itemOf(n)); a.whole(n)(status, text, err) != "" {
				t.Errorf("posting %d: %d, %.40q, %v", n, status, text, err)
			}
		}
	}
	if status, _, _ := ask(http.MethodPost, "/items", bytes.ToUpper(itemOf(5))); status != http.StatusBadRequest {
		t.Errorf("an item that was changed: %d", status)
	}
	if status, text, err := ask(http.MethodGet, "/resets/1", nil); broken(status, text, err) != "" {
		t.Errorf("broken off: %d, %q, %v", status, text, err)
	}
	if status, text, err := ask(http.MethodGet, "/large", nil); len(text) != largeAnswer {
		t.Errorf("large: %d, %d bytes, %v", status, len(text), err)
	}
}
