package clients

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const files = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: files, namespace: agents}
spec:
  endpoints:
  - {name: api, url: "https://files.example", inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: files, namespace: agents}
spec:
  upstream: {name: files}
  holders: {serviceAccounts: [agent]}
  client: {env: [{name: TOKEN, value: "{token}"}]}
  grants:
  - name: read
    http: {methods: [GET, HEAD], paths: ["/file", "/large"]}
    headers: {Range: {pattern: "bytes=[0-9]*-[0-9]*"}}
  - name: write
    http: {methods: [PUT], paths: ["/large"]}
    body: {media: Opaque, maxBytes: 1073741824}
`

const (
	text  = "0123456789abcdefghijklmnopqrstuvwxyz"
	large = 96 << 20
)

// store is a server of files, as the standard library has it, and of a large one
// that nobody holds.
type store struct {
	stored chan string // digests of what came
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	switch {
	case r.URL.Path == "/file":
		w.Header().Set("ETag", `"new"`)
		http.ServeContent(w, r, "file.bin", time.Time{}, strings.NewReader(text))
	case r.Method == http.MethodPut:
		_, _ = io.Copy(sum, r.Body)
		s.stored <- hex.EncodeToString(sum.Sum(nil))
	default:
		_ = noise(io.MultiWriter(w, sum))
		s.stored <- hex.EncodeToString(sum.Sum(nil))
	}
}

// noise writes what nobody can compress.
func noise(w io.Writer) error {
	_, err := io.CopyN(w, rand.NewChaCha8([32]byte{1}), large)
	return err
}

func newStore(t *testing.T) (*world, *store) {
	t.Helper()
	s := &store{stored: make(chan string, 1)}
	return newWorld(t, files, func(*world) map[string]http.Handler {
		return map[string]http.Handler{"files.example:443": s}
	}), s
}

// TestPartsOfFiles has curl ask for heads, parts, and what it has already, as it
// does of any server.
func TestPartsOfFiles(t *testing.T) {
	w, _ := newStore(t)
	for name, test := range map[string]struct {
		why, args, want string
	}{
		"whole":           {"the plain case", "-o -", text + " 200 36"},
		"head":            {"the length, and nothing of it", "--head -o /dev/null", " 200 36"},
		"part":            {"it is granted", "-r 10-12", "abc 206 3"},
		"end":             {"it is granted", "-r -2", "yz 206 2"},
		"beyond":          {"the server's own answer", "-r 100- -o /dev/null", " 416 33"},
		"two parts":       {"it is not granted", "-r 0-1,3-4 -o /dev/null", " 403 "},
		"had already":     {"it is not sent again", `-H 'If-None-Match: "new"'`, " 304 "},
		"had another":     {"it is sent", `-H 'If-None-Match: "old"'`, text + " 200 36"},
		"part, unchanged": {"all of it is right, too", `-r 10-12 -H 'If-Range: "new"'`, text + " 200 36"},
		"part, changed":   {"a part of another file would be put behind what is there", `-r 10-12 -H 'If-Range: "old"'`, text + " 200 36"},
	} {
		out, status := w.run("sh", "-c", `exec curl -sS -m 30 -w ' %{http_code} %header{content-length}' -H "Authorization: Bearer $TOKEN" `+test.args+` https://files.example/file`)
		if status != 0 || !strings.HasPrefix(out, test.want) {
			t.Errorf("%s: %s: status %d, got %q, want %q", name, test.why, status, out, test.want)
		}
	}
}

// TestLargeFiles sends and fetches more than the memory that is used for it, of a
// stated length and not.
func TestLargeFiles(t *testing.T) {
	w, s := newStore(t)
	file, err := os.Create(w.home + "/large")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if err := noise(io.MultiWriter(file, sum)); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	curl := `exec curl -sS -m 300 -H "Authorization: Bearer $TOKEN" https://files.example/large `
	before := w.peak()
	for name, args := range map[string]string{"sized": "-T large", "chunked": "-T - <large", "fetched": "-o fetched"} {
		if out, status := w.run("sh", "-c", curl+args); status != 0 || out != "" {
			t.Fatalf("%s: status %d: %s", name, status, out)
		}
		if got := <-s.stored; got != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("%s: it became something else", name)
		}
	}
	if got := digest(t, w.home+"/fetched"); !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
		t.Error("it was fetched as something else")
	}
	if grown := w.peak() - before; grown > 24<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

func digest(t *testing.T, name string) hash.Hash {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		t.Fatal(err)
	}
	return sum
}

// peak is the largest resident memory that the process has had, in bytes.
func (w *world) peak() int64 {
	w.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	if err != nil {
		w.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscanf(after, "%d kB", &kilobytes); err != nil {
		w.t.Fatal(err)
	}
	return kilobytes << 10
}
