package recipes

import (
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// TestMintedCredentials holds that what the guide and the sample show is taken
// by the schema and by the compiler, and is minted.
func TestMintedCredentials(t *testing.T) {
	sample, err := os.ReadFile("../../config/samples/minted.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(sample)}
	for _, b := range blocks(t, "../../docs/how-to/minted-credentials.md") {
		if b.kind == "yaml" {
			texts = append(texts, b.text)
		}
	}
	seen := map[string]int{}
	for _, text := range texts {
		objects, err := manifest.Read(t.Context(), "minted", []byte(text))
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		for _, up := range manifest.Select[*v1alpha1.UpstreamSecret](objects) {
			if err := compile.Upstream(up); err != nil || !mint.Is(&up.Spec.Source) {
				t.Errorf("%s: %v", up.Name, err)
			}
			for _, ref := range mint.Refs(&up.Spec.Source) {
				seen[ref.Field[strings.LastIndexByte(ref.Field, '.')+1:]]++
			}
		}
	}
	for _, field := range []string{"clientSecretRef", "refreshTokenRef", "privateKeyRef"} {
		if seen[field] == 0 {
			t.Errorf("nothing shows %s", field)
		}
	}
}
