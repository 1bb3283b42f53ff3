package envtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// manifest is an object as its author wrote it. Its leaves are strings, bools,
// nil, numbers as text, or raw JSON that a test put there.
type manifest map[string]any

func (m manifest) kind() string { return fmt.Sprint(m["kind"]) }
func (m manifest) name() string { return fmt.Sprint(object(m["metadata"])["name"]) }

// object is a value that has to be one.
func object(value any) map[string]any {
	o, ok := value.(map[string]any)
	if !ok {
		panic(fmt.Sprintf("%v is no object", value))
	}
	return o
}

// read is an object as the API server shows it.
func read(t *testing.T, text []byte) manifest {
	t.Helper()
	return object(parse(t, text))
}

func (m manifest) json(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clone is a deep copy, in the namespace that all tests share.
func (m manifest) clone(t *testing.T) manifest {
	t.Helper()
	fresh := read(t, m.json(t))
	object(fresh["metadata"])["namespace"] = "default"
	return fresh
}

// with returns a copy in which the value at pointer, as /spec/grants/0/http,
// is the given JSON. An empty value removes it.
func (m manifest) with(t *testing.T, pointer, value string) manifest {
	t.Helper()
	fresh := m.clone(t)
	path := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	parent := at(any(map[string]any(fresh)), path[:len(path)-1])
	switch p := parent.(type) {
	case map[string]any:
		if value == "" {
			delete(p, path[len(path)-1])
		} else {
			p[path[len(path)-1]] = json.RawMessage(value)
		}
	case []any:
		i, err := strconv.Atoi(path[len(path)-1])
		if err != nil {
			t.Fatalf("%s: %v", pointer, err)
		}
		p[i] = json.RawMessage(value)
	default:
		t.Fatalf("nothing at the parent of %s", pointer)
	}
	return fresh
}

// at walks down path; nil where it leads nowhere.
func at(value any, path []string) any {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// parse keeps numbers as text.
func parse(t *testing.T, text []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// decode reads what the API server stored into our Go type, strictly.
func decode(t *testing.T, kind string, stored []byte) any {
	t.Helper()
	var object any = &v1alpha1.UpstreamSecret{}
	if kind == "ScopedCredential" {
		object = &v1alpha1.ScopedCredential{}
	}
	strict, err := kjson.UnmarshalStrict(stored, object)
	if err != nil || len(strict) > 0 {
		t.Errorf("what the API server accepts does not decode: %v %v\n%s", err, strict, stored)
	}
	return object
}

// ours reads the objects of our group from YAML files, by file and name. It
// reads by YAML 1.2, in which on and n are words.
func ours(t *testing.T, pattern ...string) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(append([]string{Root()}, pattern...)...))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests match %v: %v", pattern, err)
	}
	found := map[string]manifest{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range bytes.Split(text, []byte("\n---\n")) {
			var m manifest
			if err := yaml.Unmarshal(doc, (*map[string]any)(&m)); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if m["apiVersion"] == v1alpha1.GroupVersion.String() {
				found[filepath.Base(file)+" "+m.kind()+" "+m.name()] = m.clone(t)
			}
		}
	}
	return found
}

// full are manifests that between them use every field, at every place.
func full(t *testing.T) map[string]manifest {
	t.Helper()
	all := ours(t, "api", "v1alpha1", "testdata", "*.yaml")
	scope := object(all["scopedcredential.yaml ScopedCredential release-notes"]["spec"])
	ceiling, err := json.Marshal(map[string]any{"sets": scope["sets"], "grants": scope["grants"]})
	if err != nil {
		t.Fatal(err)
	}
	all["ceiling"] = smallest(t, "UpstreamSecret").with(t, "/spec/ceiling", string(ceiling)).clone(t)
	return all
}

// smallest are manifests with nothing in them that could be left out.
func smallest(t *testing.T, kind string) manifest {
	t.Helper()
	text := map[string]string{
		"UpstreamSecret": `{"apiVersion": "sallyport.dev/v1alpha1", "kind": "UpstreamSecret", "metadata": {"name": "small"}, "spec": {
			"endpoints": [{"name": "api", "url": "https://api.example", "inject": {"bearer": {}}}],
			"source": {"secretRef": {"name": "key", "key": "token"}}}}`,
		"ScopedCredential": `{"apiVersion": "sallyport.dev/v1alpha1", "kind": "ScopedCredential", "metadata": {"name": "small"}, "spec": {
			"upstream": {"name": "small"},
			"holders": {"serviceAccounts": ["agent"]},
			"grants": [{"name": "read", "http": {"methods": ["GET"], "paths": ["/"]}}]}}`,
	}[kind]
	return read(t, []byte(text)).clone(t)
}

// sorted returns the keys of m in order, so that tests repeat exactly.
func sorted[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// number is what parse makes of a number.
func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }
