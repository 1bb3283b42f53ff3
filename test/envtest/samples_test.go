package envtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestSamplesBesideOurs sends what the samples need of Kubernetes itself; our
// own kinds are sent by TestAccepted.
func TestSamplesBesideOurs(t *testing.T) {
	paths := map[string]string{
		"Namespace":      "/api/v1/namespaces",
		"Secret":         "/api/v1/namespaces/default/secrets",
		"ServiceAccount": "/api/v1/namespaces/default/serviceaccounts",
		"Deployment":     "/apis/apps/v1/namespaces/default/deployments",
	}
	sent := 0
	for _, doc := range sampleDocuments(t) {
		m := manifest{}
		if err := yaml.Unmarshal(doc, &m); err != nil {
			t.Fatal(err)
		}
		path, known := paths[m.kind()]
		if !known {
			continue
		}
		if m.kind() != "Namespace" {
			m = m.clone(t)
		}
		sent++
		if _, err := answer(api.Post().AbsPath(path).SetHeader("Content-Type", "application/json").
			Param("fieldValidation", "Strict").Param("dryRun", "All").Body(m.json(t))); err != nil {
			t.Errorf("%s %s: %v", m.kind(), m.name(), err)
		}
	}
	if sent < len(paths) {
		t.Errorf("found %d objects, want at least one of each of %v", sent, sorted(paths))
	}
}

// sampleDocuments lists the documents of the samples, but the one that lists
// their files.
func sampleDocuments(t *testing.T) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Root(), "config", "samples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	for _, file := range files {
		if strings.HasSuffix(file, "kustomization.yaml") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, bytes.Split(text, []byte("\n---\n"))...)
	}
	return docs
}
