package v1alpha1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TestManifests reads manifests that between them use every field, strictly,
// and writes them again: nothing may be lost, renamed or rounded.
func TestManifests(t *testing.T) {
	for name, text := range documents(t) {
		t.Run(name, func(t *testing.T) {
			object := decode(t, text)
			written, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tree(t, text), tree(t, written), sameDuration()); diff != "" {
				t.Errorf("written otherwise than read (-read +written):\n%s", diff)
			}
			if diff := cmp.Diff(object, object.DeepCopyObject()); diff != "" {
				t.Errorf("the copy differs (-original +copy):\n%s", diff)
			}
		})
	}
}

// TestManifestsUseEveryField keeps the manifests complete, so that the tests
// that start from them reach everything.
func TestManifestsUseEveryField(t *testing.T) {
	used := map[string]bool{}
	for _, text := range documents(t) {
		markUsed(used, reflect.ValueOf(decode(t, text)))
	}
	for _, root := range []any{v1alpha1.UpstreamSecret{}, v1alpha1.ScopedCredential{}} {
		for _, field := range fieldsOf(reflect.TypeOf(root), map[reflect.Type]bool{}) {
			if !used[field] {
				t.Errorf("no manifest in testdata sets %s", field)
			}
		}
	}
}

func TestStrictDecodingRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, text := range map[string]string{
		"unknown field":     "spec: {upstream: {name: a, nmae: b}}",
		"other letter case": "spec: {Upstream: {name: a}}",
		"matcher in a set":  "spec: {sets: [{name: a, set: b}]}",
		"limits in never":   "spec: {never: [{http: {}, limits: {}}]}",
		"response in never": "spec: {never: [{http: {}, response: {}}]}",
	} {
		t.Run(name, func(t *testing.T) {
			var sc v1alpha1.ScopedCredential
			if err := errors.Join(decodeStrict([]byte(text), &sc)...); err == nil {
				t.Error("read without an error")
			}
		})
	}
}

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"UpstreamSecret", "UpstreamSecretList", "ScopedCredential", "ScopedCredentialList"} {
		if !scheme.Recognizes(v1alpha1.GroupVersion.WithKind(kind)) {
			t.Errorf("%s is not registered", kind)
		}
	}
}

func TestDecimal(t *testing.T) {
	tests := map[string]struct {
		why, json, text, again string
	}{
		"integer":       {"the common case", `50`, "50", `50`},
		"negative":      {"sign is kept", `-1`, "-1", `-1`},
		"zero":          {"a bound of zero is a bound", `0`, "0", `0`},
		"beyond 2^53":   {"a float would round it", `9007199254740993`, "9007199254740993", `9007199254740993`},
		"beyond 64 bit": {"any size, as text", `"18446744073709551617"`, "18446744073709551617", `"18446744073709551617"`},
		"fraction":      {"as text, never rounded", `"0.10"`, "0.10", `"0.10"`},
		"escaped":       {"JSON may spell a digit so", `"\u0031"`, "1", `1`},
		"null":          {"as if left out", `null`, "", `""`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var d v1alpha1.Decimal
			if err := json.Unmarshal([]byte(test.json), &d); err != nil {
				t.Fatalf("%s: %v", test.why, err)
			}
			if string(d) != test.text {
				t.Errorf("%s: read %s as %q, want %q", test.why, test.json, d, test.text)
			}
			again, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if string(again) != test.again {
				t.Errorf("%s: wrote %s, want %s", test.why, again, test.again)
			}
		})
	}
	for _, text := range []string{`1.5`, `1.0`, `1e3`, `true`, `{}`, `[1]`, `"`} {
		var d v1alpha1.Decimal
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("read %s as %q, want an error", text, d)
		}
	}
}

// documents returns every YAML document of testdata, by file and position.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in testdata: %v", err)
	}
	docs := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range bytes.Split(text, []byte("\n---\n")) {
			docs[strings.TrimSuffix(filepath.Base(file), ".yaml")+string(rune('a'+i))] = doc
		}
	}
	return docs
}

func decode(t *testing.T, text []byte) runtime.Object {
	t.Helper()
	var object runtime.Object = &v1alpha1.UpstreamSecret{}
	if bytes.Contains(text, []byte("kind: ScopedCredential")) {
		object = &v1alpha1.ScopedCredential{}
	}
	if err := errors.Join(decodeStrict(text, object)...); err != nil {
		t.Fatal(err)
	}
	return object
}

// decodeStrict reads as the API server does for clients that ask for strict
// validation: case counts, unknown and repeated fields are errors.
func decodeStrict(text []byte, into any) []error {
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return []error{err}
	}
	strict, err := kjson.UnmarshalStrict(asJSON, into)
	return append(strict, err)
}

// tree reads a document without any type; numbers stay text.
func tree(t *testing.T, text []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// sameDuration takes 10m and 10m0s as equal.
func sameDuration() cmp.Option {
	return cmp.Comparer(func(a, b string) bool {
		x, errX := time.ParseDuration(a)
		y, errY := time.ParseDuration(b)
		return a == b || errX == nil && errY == nil && x == y
	})
}

const ours = "github.com/sallyport-dev/sallyport/api/v1alpha1"

// markUsed notes the fields of our types that are not zero in v.
func markUsed(used map[string]bool, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			markUsed(used, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			markUsed(used, v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			markUsed(used, v.MapIndex(key))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().PkgPath() != ours || v.Field(i).IsZero() {
				continue
			}
			used[v.Type().Name()+"."+v.Type().Field(i).Name] = true
			markUsed(used, v.Field(i))
		}
	}
}

// fieldsOf names the fields of our types that are reachable from t.
func fieldsOf(t reflect.Type, seen map[reflect.Type]bool) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != ours || seen[t] {
		return nil
	}
	seen[t] = true
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Name()+"."+t.Field(i).Name)
		names = append(names, fieldsOf(t.Field(i).Type, seen)...)
	}
	return names
}
