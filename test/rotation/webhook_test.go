package rotation

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/test/envtest"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

// TestCABundleIsNoDrift applies the webhook's configuration as a GitOps tool
// does, over and over, while the authority is published and rotated: neither
// undoes what the other wrote, and an apply of the same changes nothing.
func TestCABundleIsNoDrift(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(envtest.Root(), "config", "webhook", "configuration.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	apply := func() *admissionregv1.MutatingWebhookConfiguration {
		t.Helper()
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			t.Fatal(err)
		}
		// Without force: a conflict is a field that two write.
		if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("argocd-controller")); err != nil {
			t.Fatal(err)
		}
		live := &admissionregv1.MutatingWebhookConfiguration{}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), live); err != nil {
			t.Fatal(err)
		}
		return live
	}
	first := apply()
	t.Cleanup(func() { _ = api.Delete(t.Context(), first) })
	if len(first.Webhooks[0].ClientConfig.CABundle) != 0 {
		t.Fatal("the manifest has a caBundle")
	}
	for _, at := range []time.Duration{0, 26 * time.Hour, 9 * 30 * 24 * time.Hour} {
		if err := fleet.KeepAuthority(t.Context(), clients, time.Now().Add(at)); err != nil {
			t.Fatal(err)
		}
		published := &admissionregv1.MutatingWebhookConfiguration{}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(first), published); err != nil {
			t.Fatal(err)
		}
		again := apply()
		if again.ResourceVersion != published.ResourceVersion {
			t.Errorf("after %v an apply of the same manifest changes something", at)
		}
		if bundle := again.Webhooks[0].ClientConfig.CABundle; len(bundle) == 0 || !bytes.Equal(bundle, published.Webhooks[0].ClientConfig.CABundle) {
			t.Errorf("after %v an apply of the manifest takes the caBundle away", at)
		}
	}
}
