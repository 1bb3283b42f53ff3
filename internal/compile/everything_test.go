package compile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// injections are all ways to show a key, each with a source that goes with it.
var injections = map[string]string{
	"bearer: {}":            "secretRef: {name: key, key: token}",
	"header: {name: X-Key}": "secretRef: {name: key, key: token}",
	"basic: {username: x}":  "secretRef: {name: key, key: token}",
	"query: {name: key}":    "secretRef: {name: key, key: token}",
	"awsSigV4: {region: eu-central-1, service: s3}": "awsKeys: {accessKeyIDRef: {name: key, key: id}, secretAccessKeyRef: {name: key, key: secret}}",
	"clientCertificate: {}":                         "clientCertificate: {certRef: {name: key, key: crt}, keyRef: {name: key, key: key}}",
}

// grantsOfAll are grants of all kinds.
var grantsOfAll = map[string]string{
	"http":      "{methods: [GET], paths: [/a]}",
	"git":       "{repos: {equals: acme/docs}, fetch: true}",
	"graphql":   `{path: /graphql, operations: [Query], select: [{"on": Query, fields: [viewer]}]}`,
	"mcp":       `{path: /mcp, revisions: ["2025-11-25"], tools: [{name: a}]}`,
	"grpc":      "{methods: [a.B/C]}",
	"websocket": "{path: /ws}",
}

func upstreamWith(t *testing.T, profile, inject string) *v1alpha1.UpstreamSecret {
	t.Helper()
	return upstreamOf(t, fmt.Sprintf(`
metadata: {name: rt, namespace: platform, uid: up-1, generation: 1}
spec:
  endpoints: [{name: rt, url: "https://rt.example", profile: %s, inject: {%s}}]
  source: {%s}
  consumers: {namespaces: [agents]}
`, profile, inject, injections[inject]))
}

// TestEverything: every kind of grant goes with every way to show the key and
// every profile, but for what cannot be signed, which is invalid. Nothing is
// unsupported.
func TestEverything(t *testing.T) {
	profiles := profilesOfSchema(t)
	if len(profiles) < 11 {
		t.Errorf("the schema has the profiles %q", profiles)
	}
	for _, profile := range profiles {
		for inject := range injections {
			up := upstreamWith(t, profile, inject)
			if err := Upstream(up); err != nil {
				t.Errorf("%s, %s: %v", profile, inject, err)
			}
			for kind, grant := range grantsOfAll {
				if kind == "graphql" && profile != "github-graphql" && profile != "github-rest" {
					continue // it has no schema
				}
				_, err := Credential(credentialOf(t, kindsCredential+"  grants: [{name: it, "+kind+": "+grant+"}]\n"), up)
				var refused *Refused
				switch invalid := strings.HasPrefix(inject, "awsSigV4") && (kind == "git" || kind == "grpc" || kind == "websocket"); {
				case invalid && (!errors.As(err, &refused) || refused.Reason != v1alpha1.ReasonInvalid):
					t.Errorf("%s, %s, %s: want it invalid: %v", profile, inject, kind, err)
				case !invalid && err != nil:
					t.Errorf("%s, %s, %s: %v", profile, inject, kind, err)
				}
			}
		}
	}
}

// profilesOfSchema are those that the API server takes.
func profilesOfSchema(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/bases/sallyport.dev_upstreamsecrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Properties map[string]*schema
		Items      *schema
		Enum       []string
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema *schema }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["endpoints"].Items.Properties["profile"].Enum
}
