package webhooks

import (
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

// TestDisruption holds what is installed to two replicas of webhook and of broker,
// of which a drain or a roll-out takes one at a time.
func TestDisruption(t *testing.T) {
	for _, role := range []string{"webhook", "manager"} {
		t.Run(role, func(t *testing.T) {
			var d appsv1.Deployment
			var b policyv1.PodDisruptionBudget
			for name, into := range map[string]any{"deployment.yaml": &d, "disruption.yaml": &b} {
				text, err := os.ReadFile(filepath.Join(cluster.Root(), "config", role, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := yaml.UnmarshalStrict(text, into); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if d.Spec.Replicas == nil || *d.Spec.Replicas < 2 {
				t.Errorf("%v replicas", d.Spec.Replicas)
			}
			if least := b.Spec.MinAvailable; least == nil || least.IntValue() < 1 || least.IntValue() >= int(*d.Spec.Replicas) {
				t.Errorf("a drain has to leave %v", least)
			}
			if r := d.Spec.Strategy.RollingUpdate; r == nil || r.MaxUnavailable == nil || r.MaxUnavailable.IntValue() != 0 {
				t.Error("a roll-out may take a replica before there is another")
			}
			labelled := labels.Set(d.Spec.Template.Labels)
			selected := labels.SelectorFromSet(b.Spec.Selector.MatchLabels)
			if selected.Empty() || !selected.Matches(labelled) || b.Namespace != d.Namespace {
				t.Errorf("the budget of %s is for %s, the replicas are %s in %s", b.Namespace, selected, labelled, d.Namespace)
			}
		})
	}
}
