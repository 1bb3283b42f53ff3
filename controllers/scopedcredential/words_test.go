package scopedcredential

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// TestMissingUpstream compares the whole status of a ScopedCredential whose
// UpstreamSecret is missing with those where it is not shared: whoever may not
// use it must not learn that it is there. Admission says the same words, which
// a test of package podwebhook compares.
func TestMissingUpstream(t *testing.T) {
	consumers := func(c *v1alpha1.Consumers) *v1alpha1.UpstreamSecret {
		up := upstream()
		up.Spec.Consumers = c
		// What its owner sees is not for others.
		up.Status.Conditions = resolvedRefs("False", v1alpha1.ReasonNotFound)
		return up
	}
	leaving := consumers(&v1alpha1.Consumers{Namespaces: []string{"agents"}})
	leaving.Finalizers, leaving.DeletionTimestamp = []string{"example.com/held"}, &metav1.Time{Time: now}

	for state, previous := range map[string]*v1alpha1.ScopedCredential{
		"never accepted": nil, "accepted before": credential(func(sc *v1alpha1.ScopedCredential) { sc.Generation = 3 }),
	} {
		missing := seen(t, previous)
		for name, up := range map[string]*v1alpha1.UpstreamSecret{
			"own namespace alone": consumers(nil), "nobody": consumers(&v1alpha1.Consumers{}),
			"others": consumers(&v1alpha1.Consumers{Namespaces: []string{"others"}}), "being deleted": leaving,
		} {
			if diff := cmp.Diff(missing, seen(t, previous, up)); diff != "" {
				t.Errorf("%s, shared with %s (-missing +not shared):\n%s", state, name, diff)
			}
		}
		var refused *compile.Refused
		if _, err := compile.Credential(credential(), nil); !errors.As(err, &refused) {
			t.Fatal(err)
		}
		for _, c := range missing.Conditions {
			if c.Type == v1alpha1.ConditionResolvedRefs && c.Message != refused.Problems[0].Msg {
				t.Errorf("%s: the condition says %q, the compiler %q", state, c.Message, refused.Problems[0].Msg)
			}
		}
	}
}

// seen is the status that is written where these objects are there.
func seen(t *testing.T, previous *v1alpha1.ScopedCredential, objects ...client.Object) v1alpha1.ScopedCredentialStatus {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, indexCredentials, func(client.Object) []string { return nil }).Build()
	r := &Reconciler{Client: c, InForce: &record.Store{Meta: c, Bodies: c, Namespace: "system"}, Now: func() time.Time { return now }}
	sc := credential()
	o, err := r.gather(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	o.previous = previous
	judge(sc, &o)
	decide(sc, o, now)
	for i := range sc.Status.Conditions {
		sc.Status.Conditions[i].LastTransitionTime = metav1.Time{} // of the wall clock
	}
	return sc.Status
}
