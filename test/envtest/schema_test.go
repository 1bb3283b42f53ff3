package envtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

type schema = apiextensions.JSONSchemaProps

// definitions reads the generated files, by kind.
func definitions(t *testing.T) map[string]*apiextensions.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Root(), "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) != len(resources) {
		t.Fatalf("found %v in config/crd/bases: %v", files, err)
	}
	crds := map[string]*apiextensions.CustomResourceDefinition{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensions.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			t.Fatal(err)
		}
		crds[crd.Spec.Names.Kind] = crd
	}
	return crds
}

// schemaOf returns the schema of a kind's spec or status.
func schemaOf(t *testing.T, kind, part string) *schema {
	t.Helper()
	s := definitions(t)[kind].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[part]
	return &s
}

// walk calls visit for s and everything below it. Elements of lists are named
// [], values of maps {}.
func walk(path string, s *schema, visit func(path string, s *schema)) {
	visit(path, s)
	for _, name := range sorted(s.Properties) {
		child := s.Properties[name]
		walk(path+"."+name, &child, visit)
	}
	if s.Items != nil {
		walk(path+"[]", s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", s.AdditionalProperties.Schema, visit)
	}
}

// walkAll visits spec and status of both kinds.
func walkAll(t *testing.T, visit func(path string, s *schema)) {
	t.Helper()
	for kind := range resources {
		for _, part := range []string{"spec", "status"} {
			walk(kind+"."+part, schemaOf(t, kind, part), visit)
		}
	}
}

// TestSize keeps a definition well inside the annotation in which kubectl
// apply without --server-side keeps it.
func TestSize(t *testing.T) {
	for kind, crd := range definitions(t) {
		text, err := json.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) >= 150<<10 {
			t.Errorf("the definition of %s has %d bytes, want fewer than %d", kind, len(text), 150<<10)
		}
	}
}

// TestBounds wants a bound on everything that can grow, and knowledge of
// everything that may be there.
func TestBounds(t *testing.T) {
	walkAll(t, func(path string, s *schema) {
		if strings.Contains(path, ".conditions[]") {
			return // metav1.Condition is not ours
		}
		if s.XPreserveUnknownFields != nil || s.XEmbeddedResource {
			t.Errorf("%s takes fields that nobody knows", path)
		}
		switch {
		case s.XIntOrString:
			want(t, path, "maxLength and a pattern", s.MaxLength != nil && s.Pattern != "")
		case s.Type == "string":
			want(t, path, "maxLength or an enum", s.MaxLength != nil || len(s.Enum) > 0)
		case s.Type == "integer":
			want(t, path, "minimum and maximum", s.Minimum != nil && s.Maximum != nil)
		case s.Type == "array":
			want(t, path, "maxItems and a list type", s.MaxItems != nil && s.XListType != nil)
		case s.Type == "object" && s.AdditionalProperties != nil:
			want(t, path, "maxProperties", s.MaxProperties != nil)
		case s.Type != "object" && s.Type != "boolean":
			t.Errorf("%s has the type %q, which this test does not know", path, s.Type)
		}
	})
}

// isMatcher tells a matcher or an entry of sets from other objects.
func isMatcher(s *schema) bool {
	_, is := s.Properties["glob"]
	return is
}

// TestMatchersOfMaps wants the default that keeps the API server from dropping
// a null.
func TestMatchersOfMaps(t *testing.T) {
	walkAll(t, func(path string, s *schema) {
		if isMatcher(s) && strings.HasSuffix(path, "{}") && (s.Default == nil || string(s.Default.Raw) != "{}") {
			t.Errorf("%s has no default {}: run make manifests", path)
		}
	})
}

func want(t *testing.T, path, what string, there bool) {
	t.Helper()
	if !there {
		t.Errorf("%s needs %s", path, what)
	}
}

// TestDocumentation wants text on every field, since kubectl explain is the
// manual; short text on the keys of a matcher, which stands at 21 places.
func TestDocumentation(t *testing.T) {
	places := 0
	walkAll(t, func(path string, s *schema) {
		if isMatcher(s) && strings.HasPrefix(path, "ScopedCredential") {
			places++
		}
		for name, child := range s.Properties {
			want(t, path+"."+name, "a description", child.Description != "")
			if isMatcher(s) && len(child.Description) >= 120 {
				t.Errorf("%s.%s is described in %d characters, want fewer than 120", path, name, len(child.Description))
			}
		}
	})
	if places != 21 {
		t.Errorf("a ScopedCredential has matchers at %d places, want 21", places)
	}
}

// harmless are all values that the API server fills in, by field. None grants
// anything: each is what leaving the field out means, and the narrowest choice
// or a bound.
var harmless = map[string]string{
	"answerTimeout": `"5m"`, "bodyBytes": `1048576`, "concurrency": `256`, "cookies": `"Drop"`,
	"depth": `16`, "headerBytes": `32768`, "introspection": `"Deny"`, "lifetime": `"10m"`,
	"limits": `{}`, "maxBytes": `536870912`, "maxCommands": `1000`, "media": `"JSON"`,
	"minVersion": `"1.2"`, "mode": `"Enforce"`, "network": `{}`, "operations": `10`,
	"plaintext": `"Deny"`, "private": `"Deny"`, "profile": `"strict"`, "pushOptions": `"None"`,
	"redirects": `"Return"`, "requestTimeout": `"30s"`, "response": `{}`, "selections": `500`,
	"streamTimeout": `"30m"`, "template": `"{secret}"`, "unlisted": `"Deny"`,
}

func TestDefaultsNeverGrant(t *testing.T) {
	walkAll(t, func(path string, s *schema) {
		if s.Default == nil {
			return
		}
		if isMatcher(s) {
			return // stands for null alone, and is refused when compiling
		}
		field := path[strings.LastIndexByte(path, '.')+1:]
		if got := string(s.Default.Raw); got != harmless[field] {
			t.Errorf("%s has the default %s; the list of harmless ones has %q", path, got, harmless[field])
		}
		if strings.Contains(path, ".never[]") {
			t.Errorf("%s has a default: in never, what is left out matches anything", path)
		}
	})
}

// TestNames holds down what scripts and people rely on.
func TestNames(t *testing.T) {
	short := map[string]string{"UpstreamSecret": "upsec", "ScopedCredential": "scred"}
	for kind, crd := range definitions(t) {
		names := crd.Spec.Names
		if len(names.ShortNames) != 1 || names.ShortNames[0] != short[kind] {
			t.Errorf("%s has the short names %v, want %s", kind, names.ShortNames, short[kind])
		}
		if len(names.Categories) != 1 || names.Categories[0] != "sallyport" {
			t.Errorf("%s has the categories %v, want sallyport", kind, names.Categories)
		}
		if crd.Spec.Scope != apiextensions.NamespaceScoped {
			t.Errorf("%s is %s", kind, crd.Spec.Scope)
		}
	}
}
