package envtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// place is a value of a manifest with its schema.
type place struct {
	pointer string // into the manifest
	path    string // into the schema
	schema  *schema
	value   any
}

// places lists every value at and below pointer.
func places(pointer, path string, s *schema, value any) []place {
	found := []place{{pointer, path, s, value}}
	switch v := value.(type) {
	case map[string]any:
		for _, name := range sorted(v) {
			if child, ok := s.Properties[name]; ok {
				found = append(found, places(pointer+"/"+name, path+"."+name, &child, v[name])...)
			} else if s.AdditionalProperties != nil {
				found = append(found, places(pointer+"/"+name, path+"{}", s.AdditionalProperties.Schema, v[name])...)
			}
		}
	case []any:
		for i := range v {
			found = append(found, places(pointer+"/"+strconv.Itoa(i), path+"[]", s.Items.Schema, v[i])...)
		}
	}
	return found
}

// everyPlace visits the first place of each path into the schema of a spec, in
// the manifests that between them have all fields. Matchers are the same
// everywhere and need not all be reached.
func everyPlace(t *testing.T, visit func(t *testing.T, m manifest, p place)) {
	t.Helper()
	objects := full(t)
	seen := map[string]bool{}
	for _, name := range sorted(objects) {
		m := objects[name]
		t.Run(name, func(t *testing.T) {
			for _, p := range places("/spec", m.kind()+".spec", schemaOf(t, m.kind(), "spec"), m["spec"]) {
				if !seen[p.path] {
					seen[p.path] = true
					visit(t, m, p)
				}
			}
		})
	}
	for kind := range resources {
		walk(kind+".spec", schemaOf(t, kind, "spec"), func(path string, s *schema) {
			if len(s.Properties) > 0 && !seen[path] && !isMatcher(s) {
				t.Errorf("no manifest reaches %s", path)
			}
		})
	}
}

func refused(t *testing.T, m manifest, pointer, value, says string) {
	t.Helper()
	if _, err := try(t, m.with(t, pointer, value)); err == nil {
		t.Errorf("%s: %.80s is accepted", pointer, value)
	} else if !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %.80s is refused with %.300q, want %q", pointer, value, err, says)
	}
}

// TestTypos puts an unknown field into every object of every manifest.
func TestTypos(t *testing.T) {
	everyPlace(t, func(t *testing.T, m manifest, p place) {
		if p.schema.Type == "object" && p.schema.AdditionalProperties == nil {
			refused(t, m, p.pointer+"/tpyo", `{}`, "unknown field")
		}
	})
	for kind := range resources {
		refused(t, smallest(t, kind), "/sepc", `{}`, "unknown field")
		refused(t, smallest(t, kind), "/Spec", `{}`, "unknown field")
	}
}

// TestNearestMisses goes one step over every bound of the schema.
func TestNearestMisses(t *testing.T) {
	everyPlace(t, func(t *testing.T, m manifest, p place) {
		for _, miss := range misses(p) {
			refused(t, m, miss.pointer, miss.value, miss.says)
		}
	})
}

type miss struct{ pointer, value, says string }

// misses lists values that p's schema must refuse.
func misses(p place) []miss {
	s := p.schema
	var all []miss
	add := func(condition bool, value func() string, says string) {
		if condition {
			all = append(all, miss{p.pointer, value(), says})
		}
	}
	text := func(s string) func() string { return func() string { return s } }
	isText := s.Type == "string"

	add(isText && s.MaxLength != nil, func() string { return `"` + strings.Repeat("a", int(*s.MaxLength)+1) + `"` }, "Too long")
	add(isText && len(s.Enum) > 0, text(`"bogus"`), "Unsupported value")
	add(isText && s.Pattern != "", text(`"\u0007"`), "should match")
	add(isText, text(`7`), "must be of type")
	add(s.Type == "boolean", text(`"true"`), "must be of type boolean")
	add(s.XIntOrString, text(`1.5`), "must be of type")
	add(s.XIntOrString, text(`"1e3"`), "should match")
	add(s.Type == "integer", func() string { return fmt.Sprintf("%.0f", *s.Maximum+1) }, "less than or equal to")
	add(s.Type == "integer", func() string { return fmt.Sprintf("%.0f", *s.Minimum-1) }, "greater than or equal to")
	add(s.Type == "integer", text(`1.5`), "must be of type integer")
	add(s.Type == "array", func() string { return "[" + repeat(`"%d"`, int(*s.MaxItems)+1) + "]" }, "must have at most")
	add(s.Type == "array" && s.MinItems != nil, text(`[]`), "should have at least")
	add(s.AdditionalProperties != nil, func() string { return "{" + repeat(`"%d": 0`, int(*s.MaxProperties)+1) + "}" }, "must have at most")
	add(s.MinProperties != nil, text(`{}`), "should have at least")
	for _, name := range s.Required {
		all = append(all, miss{p.pointer + "/" + name, "", "Required value"})
	}
	return all
}

// repeat lists n values that differ.
func repeat(format string, n int) string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(values, ",")
}

// TestTwice refuses names and members that occur twice.
func TestTwice(t *testing.T) {
	const grant = `{"name": "a", "http": {"methods": ["GET"], "paths": ["/"]}}`
	credential, upstream := smallest(t, "ScopedCredential"), smallest(t, "UpstreamSecret")
	endpoint := `{"name": "a", "url": "https://a.example", "inject": {"bearer": {}}}`
	for _, c := range []struct {
		m              manifest
		pointer, value string
	}{
		{credential, "/spec/grants", "[" + grant + "," + grant + "]"},
		{credential, "/spec/sets", `[{"name": "a", "glob": "b"}, {"name": "a", "glob": "c"}]`},
		{credential, "/spec/holders/serviceAccounts", `["a", "a"]`},
		{credential, "/spec/grants/0/http/methods", `["GET", "GET"]`},
		{credential, "/spec/client", `{"env": [{"name": "A", "value": "{token}"}, {"name": "A", "value": "{url:a}"}]}`},
		{upstream, "/spec/endpoints", "[" + endpoint + "," + endpoint + "]"},
		{upstream, "/spec/consumers", `{"namespaces": ["a", "a"]}`},
	} {
		refused(t, c.m, c.pointer, c.value, "Duplicate value")
	}
}

// TestNoMatcherIsDropped keeps a matcher whose value was forgotten as one that
// bounds nothing, which compiling refuses. The API server would drop it, and
// its capture would match anything.
func TestNoMatcherIsDropped(t *testing.T) {
	const scope = `{"grants": [
		{"name": "a", "http": {"methods": ["GET"], "paths": ["/{x}"]}, "where": {"x": null, "y": {"type": "String"}},
			"query": {"params": {"x": null}}, "headers": {"x": null}, "body": {"fields": {"x": null}}},
		{"name": "b", "graphql": {"path": "/", "operations": ["Query"], "select": [{"on": "A.b", "args": {"x": null}}]}},
		{"name": "c", "mcp": {"path": "/", "revisions": ["2025-11-25"], "tools": [{"name": "x", "arguments": {"x": null}}]}},
		{"name": "d", "websocket": {"path": "/", "messages": {"fields": {"x": null}}}}],
		"upstream": {"name": "a"}, "holders": {"serviceAccounts": ["a"]}}`
	stored, err := try(t, smallest(t, "ScopedCredential").with(t, "/spec", scope))
	if err != nil {
		t.Fatal(err)
	}
	grants := at(parse(t, stored), []string{"spec", "grants"})
	for _, pointer := range []string{
		"0/where/x", "0/query/params/x", "0/headers/x", "0/body/fields/x", "1/graphql/select/0/args/x", "2/mcp/tools/0/arguments/x", "3/websocket/messages/fields/x",
	} {
		if got, ok := at(grants, strings.Split(pointer, "/")).(map[string]any); !ok || len(got) != 0 {
			t.Errorf("%s: null became %v, want {}", pointer, got)
		}
	}
	decode(t, "ScopedCredential", stored)
}

// TestSetsAreClosed keeps presence and reference out of sets.
func TestSetsAreClosed(t *testing.T) {
	for _, key := range []string{`"set": "b"`, `"required": true`, `"forbidden": true`, `"repeated": true`} {
		refused(t, smallest(t, "ScopedCredential"), "/spec/sets", `[{"name": "a", "glob": "b", `+key+`}]`, "unknown field")
	}
	for _, key := range []string{`"limits": {"requests": {"count": 1, "per": "1m"}}`, `"response": {"keep": []}`, `"name": "a"`} {
		refused(t, smallest(t, "ScopedCredential"), "/spec/never", `[{"http": {}, `+key+`}]`, "unknown field")
	}
	if slices.Contains(sorted(schemaOf(t, "UpstreamSecret", "spec").Properties["ceiling"].Properties), "never") {
		t.Error("a ceiling has never entries")
	}
}
