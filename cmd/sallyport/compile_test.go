package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/cmd/sallyport/load"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

const manifestText = `apiVersion: v1
kind: Secret
metadata: {name: key, namespace: platform}
stringData: {token: CANARY-0123456789}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: files, namespace: platform}
spec:
  endpoints:
  - name: api
    url: https://files.example
    inject: {bearer: {}}
  source:
    secretRef: {name: key, key: token}
  consumers: {namespaces: [agents]}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: files, namespace: agents}
spec:
  upstream: {namespace: platform, name: files}
  holders: {serviceAccounts: [agent]}
  client: {env: [{name: FILES_URL, value: "{url:api}/x"}, {name: FILES_TOKEN, value: "{token}"}]}
  grants:
  - name: read
    http: {methods: [GET], paths: ["/v1/{name}"]}
`

// writeManifest writes manifestText with one change into a file.
func writeManifest(t *testing.T, from, to string) string {
	t.Helper()
	text := strings.Replace(manifestText, from, to, 1)
	if from != to && text == manifestText {
		t.Fatalf("the manifest does not hold %q", from)
	}
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// compiled compiles the files; all that is wrong is one error.
func compiled(t *testing.T, files ...string) ([]loaded, error) {
	t.Helper()
	objects, err := load.Objects(t.Context(), files, nil)
	if err != nil {
		return nil, err
	}
	return compileAll(objects)
}

// TestCompileAllRefuses: each complaint has a line and a field, whichever
// object it is about, and withdrawals are told from other refusals.
func TestCompileAllRefuses(t *testing.T) {
	tests := map[string]struct {
		why, from, to string
		want          string // beginning of the only line, after the file
		withdrawn     bool
	}{
		"schema":          {"the API server would refuse it", "methods: [GET]", "methods: []", ":27: spec.grants[0].http.methods: ", false},
		"scope":           {"the compiler refuses it", "/v1/{name}", "/v1/{name", `:27: spec.grants[0].http.paths[0]: "/v1/{name": `, false},
		"body":            {"it bounds nothing", `["/v1/{name}"]}`, "[/v1]}\n    body: {fields: {a: {}}}", `:28: spec.grants[0].body.fields.a: `, false},
		"upstream":        {"told where it stands, once", "    inject:", "    tls: {caBundle: x}\n    inject:", `:13: spec.endpoints[0].tls.caBundle: `, false},
		"minted":          {"nobody mints here", "secretRef: {name: key, key: token}", `oauth2: {grant: ClientCredentials, tokenURL: "https://a.example/t", clientID: a, clientSecretRef: {name: key, key: token}}`, ":15: spec.source.oauth2: tokens of this source are minted by the operator", true},
		"no upstream":     {"it looks as if it did not exist", "name: files}\n  holders", "name: file}\n  holders", ":22: spec.upstream: UpstreamSecret platform/file does not exist", true},
		"not shared":      {"in the same words", "[agents]", "[others]", ":22: spec.upstream: UpstreamSecret platform/files does not exist", true},
		"no Secret":       {"there is no key", "secretRef: {name: key", "secretRef: {name: keys", ":15: spec.source.secretRef: the files hold no Secret platform/keys", true},
		"no key":          {"there is no key", "stringData: {token", "stringData: {tokens", ":15: spec.source.secretRef: the files hold no Secret platform/key with", true},
		"broken key":      {"it would end a header", "CANARY-0123456789", `"CANARY\n\n"`, ":15: spec.source.secretRef: the key holds a control character", true},
		"another's names": {"namespaces are apart", "{name: key, namespace: platform}", "{name: key, namespace: agents}", ":15: spec.source.secretRef: ", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := writeManifest(t, test.from, test.to)
			all, err := compiled(t, file)
			var refused manifest.Errors
			if !errors.As(err, &refused) || len(refused) != 1 || !strings.HasPrefix(err.Error(), file+test.want) {
				t.Fatalf("%s: got %v, want %s%s", test.why, err, file, test.want)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: the key is in %v", test.why, err)
			}
			for _, c := range all {
				if !c.refused || c.withdrawn != test.withdrawn {
					t.Errorf("%s: refused %v, withdrawn %v", test.why, c.refused, c.withdrawn)
				}
			}
		})
	}
}

func TestCompileAll(t *testing.T) {
	all, err := compiled(t, writeManifest(t, "", ""))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	c := all[0]
	if c.refused || c.key != "agents/files" || c.compiled.Secret.Reveal() != "CANARY-0123456789" {
		t.Errorf("compiled %+v", c)
	}
}

// TestSplitFiles reads the objects from a file each, and one of them twice.
func TestSplitFiles(t *testing.T) {
	var files []string
	for i, text := range strings.Split(manifestText, "---\n") {
		file := filepath.Join(t.TempDir(), string(rune('a'+i)))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if all, err := compiled(t, files...); err != nil || len(all) != 1 {
		t.Errorf("over several files: %v, %v", all, err)
	}
	var refused manifest.Errors
	if _, err := compiled(t, append(files, files[2])...); !errors.As(err, &refused) {
		t.Errorf("an object that is given twice was taken: %v", err)
	}
	var missing *os.PathError
	if _, err := compiled(t, files[0]+".none"); !errors.As(err, &missing) {
		t.Errorf("a missing file: %v", err)
	}
	objects, err := load.Objects(t.Context(), []string{"-"}, []byte(manifestText))
	if diff := cmp.Diff(3, len(objects)); diff != "" || err != nil {
		t.Errorf("standard input: %v %s", err, diff)
	}
}
