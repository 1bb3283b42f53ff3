package envtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// noDigest stands in config/policy for the digest of a release.
var noDigest = "sha256:" + strings.Repeat("0", 64)

// Policies returns the objects of config/policy, which let in sidecars of one
// digest. They are read strictly.
func Policies(digest string) ([]client.Object, error) {
	files, err := filepath.Glob(filepath.Join(Root(), "config", "policy", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []client.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		text = bytes.ReplaceAll(text, []byte(noDigest), []byte(digest))
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			o, err := policyObject(document)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", file, err)
			}
			if o != nil {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

func policyObject(document []byte) (client.Object, error) {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return nil, err
	}
	objects := map[string]client.Object{
		"ValidatingAdmissionPolicy":        &admissionregv1.ValidatingAdmissionPolicy{},
		"ValidatingAdmissionPolicyBinding": &admissionregv1.ValidatingAdmissionPolicyBinding{},
		"ClusterRole":                      &rbacv1.ClusterRole{},
	}
	o, known := objects[meta.Kind]
	switch {
	case meta.Kind == "Kustomization":
		return nil, nil
	case !known:
		return nil, fmt.Errorf("kind %q is none of a policy", meta.Kind)
	}
	return o, yaml.UnmarshalStrict(document, o)
}
