package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

const withSchema = `
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: up, namespace: platform}
spec:
  endpoints:
  - {name: graph, url: "https://api.example", inject: {bearer: {}}, graphql: {schemaRef: {name: schema, key: sdl}}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: it, namespace: platform}
spec:
  upstream: {name: up}
  holders: {serviceAccounts: [agent]}
  grants:
  - {name: g, graphql: {path: /g, operations: [Query], select: [{"on": Query.thing}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: schema, namespace: NAMESPACE}
data: {KEY: "type Query { thing: Int }"}
`

// TestSchema: a schema is the one beside the UpstreamSecret, and no other.
func TestSchema(t *testing.T) {
	tests := map[string]struct {
		why, namespace, key string
		want                bool
	}{
		"beside it":       {"the owner chose it", "platform", "sdl", true},
		"of another":      {"somebody else's is no schema of the owner's", "agents", "sdl", false},
		"another key":     {"it is not named", "platform", "other", false},
		"another's by it": {"neither", "agents", "other", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "all.yaml")
			text := strings.NewReplacer("NAMESPACE", test.namespace, "KEY", test.key).Replace(withSchema)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			objects, err := Objects(t.Context(), []string{file}, nil)
			if err != nil {
				t.Fatal(err)
			}
			up := manifest.Select[*v1alpha1.UpstreamSecret](objects)[0]
			sc := manifest.Select[*v1alpha1.ScopedCredential](objects)[0]
			c := Compiler(objects, up)
			if err := c.Upstream(up); (err == nil) != test.want {
				t.Errorf("%s: %v", test.why, err)
			}
			if _, err := c.Credential(sc, up); (err == nil) != test.want {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}
