package git

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkPack sends a push of 200 MiB to an upstream that drops it, with and
// without the binary in between.
func BenchmarkPack(b *testing.B) {
	w := newWorld(b)
	w.discards.Store(true)
	direct := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.roots, ServerName: "github.com", MinVersion: tls.VersionTLS12},
	}}
	for _, way := range []struct {
		name, url, key string
		client         *http.Client
	}{
		{"direct", "https://" + w.upstream, key, direct},
		{"sallyport", "http://" + w.address(b), w.handle(b), &http.Client{Transport: &http.Transport{}}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(largePack)
			for b.Loop() {
				send(b, way.client, way.url, way.key)
			}
		})
	}
}

func send(b *testing.B, client *http.Client, url, key string) {
	b.Helper()
	command := strings.Repeat("0", 40) + " " + strings.Repeat("a", 40) + " refs/heads/agent/x"
	list := fmt.Sprintf("%04x%s0000PACK\x00\x00\x00\x02", len(command)+4, command)
	body := io.MultiReader(strings.NewReader(list), io.LimitReader(rand.NewChaCha8([32]byte{1}), largePack))
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/acme/docs.git/git-receive-pack", body)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	request.SetBasicAuth("x", key)
	answer, err := client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		b.Fatal(answer.Status)
	}
}
