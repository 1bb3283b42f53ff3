package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

// TestTunnel leads clients to another host where that is allowed: as it is, by its
// own certificate, with no key; and not past the hosts that have one.
func TestTunnel(t *testing.T) {
	w := newWorld(t, scope, func(w *world) map[string]http.Handler {
		hosts := githubOnly(w)
		hosts["elsewhere.example:443"] = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			shown := r.Header.Get("Authorization")
			w.log.Record(upstream.Entry{Method: r.Method, Path: r.Host + r.URL.Path, Authorized: strings.Contains(shown, key)})
			_, _ = out.Write([]byte("from elsewhere"))
		})
		hosts["api.github.com:8443"] = hosts["elsewhere.example:443"]
		return hosts
	}, "--tunnel")
	ca := filepath.Join(w.home, "ca.pem") // of all hosts there are
	trusting := []string{"TOKEN=" + w.variable("GITHUB_TOKEN")}
	for _, name := range []string{"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} {
		trusting = append(trusting, name+"="+ca)
	}
	for name, ask := range asking(t) {
		if strings.HasPrefix(name, "Java") {
			continue // which is told by a file of its own
		}
		out, status := w.runWith(trusting, ask("GET", "https://elsewhere.example/anything")...)
		if status != 0 || !strings.Contains(out, "200") || !strings.Contains(out, "from elsewhere") {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
		if all := w.log.Entries(); len(all) != 1 || all[0].Path != "elsewhere.example/anything" || all[0].Authorized {
			t.Errorf("%s: the upstream saw %+v", name, all)
		}
		w.log.Clear()
		for _, url := range []string{"https://api.github.com:8443/x", "https://API.github.com:8443/x", "https://api.github.com.:8443/x", "https://127.0.0.1:8443/x"} {
			if out, status := w.runWith(append(trusting, "NO_PROXY=", "no_proxy="), ask("GET", url)...); status == 0 && strings.Contains(out, "from elsewhere") {
				t.Errorf("%s, %s: %s", name, url, out)
			}
		}
		if all := w.log.Entries(); len(all) > 0 {
			t.Errorf("%s: the upstream saw %+v", name, all)
		}
	}
	out, status := w.runWith(nil, "curl", "-sS", "-m", "20", "-w", " %{http_code}", "http://elsewhere.example/")
	if status != 0 || !strings.HasSuffix(out, " 403") {
		t.Errorf("plain: status %d: %s", status, out)
	}
	want := slices.Repeat([]string{"elsewhere.example:443"}, 4)
	for deadline := time.Now().Add(time.Minute); !slices.Equal(w.outcomes(), want); runtime.Gosched() { // it is written when the client has gone
		if time.Now().After(deadline) {
			t.Fatalf("recorded the end of %q", w.outcomes())
		}
	}
}

// outcomes are the tunnels that have ended, each of which carried something.
func (w *world) outcomes() (all []string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.home, "audit.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r struct {
			Event, Verdict, Method, Path string
			BytesOut, BytesIn            int64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatal(err)
		}
		if r.Event == "outcome" && r.Verdict == "Allow" && r.Method == "CONNECT" && r.BytesOut > 0 && r.BytesIn > 0 {
			all = append(all, r.Path)
		}
	}
	return all
}
