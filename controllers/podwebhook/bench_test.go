package podwebhook

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/test/cpu"
)

// BenchmarkReview answers one review of a pod that asks, but for connection and
// handshake.
func BenchmarkReview(b *testing.B) {
	raw, err := yaml.YAMLToJSON([]byte(pod))
	if err != nil {
		b.Fatal(err)
	}
	body := reviewOf(b, raw)
	full := &store{objects: []client.Object{credential(), upstream()}}
	h := serve(b.Context(), handler(full, full))
	b.ReportAllocs()
	cpu.Loop(b, func() {
		r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !bytes.Contains(w.Body.Bytes(), []byte(`"allowed":true`)) {
			b.Fatalf("answered %d %s", w.Code, w.Body)
		}
	})
}
