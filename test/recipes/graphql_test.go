// Package recipes runs the tables of docs/recipes against the manifests that
// stand beside them.
package recipes

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/explain"
	"github.com/sallyport-dev/sallyport/internal/compile/lint"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/graphql"
)

func TestGraphQL(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/graphql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	manifest, rest, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("there is no manifest")
	}
	var up v1alpha1.UpstreamSecret
	var sc v1alpha1.ScopedCredential
	documents := strings.Split(manifest, "---\n")
	for i, into := range []any{&up, &sc} {
		if err := yaml.UnmarshalStrict([]byte(documents[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := compile.Credential(&sc, &up)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lint.Findings(lint.Scope{Written: &sc, Compiled: &doc, Profiles: map[string]string{"graph": "github-graphql"}}) {
		t.Errorf("check finds %+v", f)
	}
	rows := 0
	for line := range strings.Lines(rest) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(line, "| allow") && !strings.HasPrefix(line, "| refuse") {
			continue
		}
		rows++
		body := map[string]any{"query": strings.Trim(cells[2], "` ")}
		if variables := strings.Trim(cells[3], "` "); variables != "" {
			body["variables"] = json.RawMessage(variables)
		}
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		a, err := explain.Decide(&doc, explain.Request{
			Method: "POST", Target: "/graphql", Body: data, GraphQL: new(graphql.Reader).Read,
			Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.HasPrefix(line, "| allow"); a.Allowed != want {
			t.Errorf("%s: allowed is %v: %s", strings.TrimSpace(cells[4]), a.Allowed, a.Detail)
		}
	}
	if rows < 12 {
		t.Errorf("%d rows were read", rows)
	}
}
