package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

const small = `apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: notes, namespace: agents}
spec:
  upstream: {name: github}
  holders: {serviceAccounts: [agent]}
  grants:
  - name: read
    http: {methods: [GET], paths: [/user]}
`

// TestReadRefuses changes one thing in a manifest that is fine. What is refused
// here would be refused by an API server, or read otherwise by another reader.
func TestReadRefuses(t *testing.T) {
	tests := map[string]struct {
		why, from, to string
		want          []string // each complaint begins with its line
	}{
		"unknown field":      {"a misspelt rule would be a missing rule", "holders:", "holder:", []string{"m.yaml:4: spec.holders: ", "m.yaml:6: spec.holder: there is no such field"}},
		"unknown in a grant": {"the same, deep inside", "methods:", "method: GET, methods:", []string{"m.yaml:9: spec.grants[0].http.method: "}},
		"name for true":      {"YAML 1.1 has more words for it", "methods:", "on: GET, methods:", []string{`m.yaml:9: spec.grants[0].http.true: there is no such field: write names such as "on" in quotes`}},
		"unknown metadata":   {"the same, where Kubernetes has its own fields", "name: notes,", "name: notes, labls: {},", []string{"m.yaml:3: metadata.labls: "}},
		"letter case":        {"Go would take it for the field", "upstream:", "Upstream:", []string{"m.yaml:4: spec.upstream: ", "m.yaml:5: spec.Upstream: "}},
		"given twice":        {"the last would win", "  upstream:", "  upstream: {name: other}\n  upstream:", []string{`m.yaml:6: this is not YAML: mapping key "upstream" already defined`}},
		"union":              {"a grant of two kinds is two readings", "http:", "grpc: {methods: [a.B/C]}\n    http:", []string{"m.yaml:8: spec.grants[0]: "}},
		"bound":              {"the schema's bounds hold for files", "agent]", "agent]}\n  lifetime: 2h\n  client: {env: []", []string{"m.yaml:7: spec.lifetime: Invalid value"}},
		"enum":               {"a method of no kind", "GET", "get", []string{"m.yaml:9: spec.grants[0].http.methods[0]: "}},
		"enum value":         {"a mode of no kind", "  grants:", "  mode: Audit\n  grants:", []string{"m.yaml:7: spec.mode: Unsupported value"}},
		"cross field":        {"a lease never outlives its token", "  grants:", "  lifetime: 1m\n  maxOffline: 2m\n  grants:", []string{"m.yaml:8: spec.maxOffline: "}},
		"two of a name":      {"which grant counts would be a matter of order", "  - name: read", "  - {name: read, http: {methods: [PUT], paths: [/]}}\n  - name: read", []string{"m.yaml:9: spec.grants[1]: Duplicate"}},
		"wrong type":         {"text where a list is wanted", "[GET]", "GET", []string{"m.yaml:9: spec.grants[0].http.methods: "}},
		"no name":            {"nothing could refer to it", "name: notes, ", "", []string{"m.yaml:3: metadata.name: "}},
		"bad name":           {"no API server would take it", "name: notes", "name: Notes", []string{"m.yaml:3: metadata.name: "}},
		"another kind":       {"what is not read must not look as if it were", "kind: ScopedCredential", "kind: ConfigMap", []string{"m.yaml:2: kind: "}},
		"another version":    {"fields may mean something else there", "v1alpha1", "v1", []string{"m.yaml:2: kind: "}},
		"no object":          {"a list of objects is not an object", small, "- a\n- b\n", []string{"m.yaml:1: this is no object"}},
		"not YAML":           {"half a file", "[agent]}", "[agent", []string{"m.yaml:7: this is not YAML"}},
		"hidden document":    {"other readers stop at the first", small, small + "...\n" + strings.Replace(small, "holders", "holder", 1), []string{"m.yaml:14: spec.holders", "m.yaml:16: spec.holder"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(small, test.from, test.to, 1)
			_, err := Read(t.Context(), "m.yaml", []byte(text))
			if err == nil {
				t.Fatalf("%s: accepted\n%s", test.why, text)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("%s: got\n%v\nwant\n%s", test.why, err, strings.Join(test.want, "\n"))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("%s: got %q, want %q", test.why, lines[i], want)
				}
			}
		})
	}
}

func TestReadWritesDefaults(t *testing.T) {
	objects, err := Read(t.Context(), "m.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	found := Select[*v1alpha1.ScopedCredential](objects)
	if len(found) != 1 {
		t.Fatalf("found %d objects", len(found))
	}
	sc := found[0]
	if sc.Spec.Mode != v1alpha1.ModeEnforce || sc.Spec.Lifetime == nil || sc.Spec.Lifetime.Minutes() != 10 {
		t.Errorf("defaults of the schema are missing: mode %q, lifetime %v", sc.Spec.Mode, sc.Spec.Lifetime)
	}
	if got := objects[0].ErrorAt("spec.grants[0].http.paths[0]", "x").Error(); got != "m.yaml:9: spec.grants[0].http.paths[0]: x" {
		t.Errorf("line is wrong: %s", got)
	}
}

// TestReadSamples reads the manifests with every field.
func TestReadSamples(t *testing.T) {
	files, err := filepath.Glob("../../api/v1alpha1/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Read(t.Context(), file, text)
		if err != nil || len(objects) == 0 {
			t.Errorf("%s: %d objects, %v", file, len(objects), err)
		}
	}
}

func TestReadDocuments(t *testing.T) {
	text := "# only a comment\n--- # a marker with one\n" + small + "---\n\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: key}\n" +
		"stringData:\n  token: |\n    a\n    --- b\ndata: {other: eA==}\n"
	objects, err := Read(t.Context(), "m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 {
		t.Fatalf("read %d objects, want 2", len(objects))
	}
	secret := Select[*corev1.Secret](objects)[0]
	if diff := cmp.Diff(map[string]string{"token": "a\n--- b\n"}, secret.StringData); diff != "" {
		t.Error(diff)
	}
	if got := objects[1].Key(); got != "default/key" {
		t.Errorf("namespace is not the default: %s", got)
	}
	if got := objects[1].ErrorAt("metadata.name", "x").Line; got != 17 {
		t.Errorf("line %d, want 17", got)
	}
}

// TestSecretsStayOut looks for the value in every complaint.
func TestSecretsStayOut(t *testing.T) {
	const value = "CANARY"
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\n"
	tests := map[string]struct{ why, text string }{
		"not Base64":     {"the decoder knows the text", secret + "data: {token: 'CANARY!'}\n"},
		"not text":       {"a list where text is wanted", secret + "stringData: {token: [CANARY]}\n"},
		"not a map":      {"text where a map is wanted", secret + "stringData: CANARY\n"},
		"not YAML":       {"a broken line that holds it", secret + "stringData:\n  token: CANARY: x\n\t- y\n"},
		"not closed":     {"a quote that never ends", secret + "stringData: {token: \"CANARY\n"},
		"broken escape":  {"an escape of no kind", secret + "stringData: {token: \"CANARY\\q\"}\n"},
		"undefined name": {"an alias of nothing", secret + "stringData: {token: *CANARY }\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read(t.Context(), "m.yaml", []byte(test.text))
			if err == nil {
				t.Fatalf("%s: accepted", test.why)
			}
			if strings.Contains(err.Error(), value) {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}

func TestUnique(t *testing.T) {
	objects, err := Read(t.Context(), "m.yaml", []byte(small+"---\n"+small))
	if err != nil {
		t.Fatal(err)
	}
	err = Unique(objects)
	var complaints Errors
	if !errors.As(err, &complaints) || len(complaints) != 1 || complaints[0].Line != 13 {
		t.Errorf("two objects of one name were not refused at the second: %v", err)
	}
	if err := Unique(objects[:1]); err != nil {
		t.Errorf("one object was refused: %v", err)
	}
}
