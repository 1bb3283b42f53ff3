package podwebhook

import (
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// TestMissingUpstream compares byte for byte what is said of an UpstreamSecret
// that is missing and of one that is not shared, in admission and in the
// condition: whoever may not use it must not learn that it is there.
func TestMissingUpstream(t *testing.T) {
	nowhere, empty, others := upstream(), upstream(), upstream()
	nowhere.Spec.Consumers = nil
	empty.Spec.Consumers.Namespaces = nil
	others.Spec.Consumers.Namespaces = []string{"others"}

	_, err := compile.Credential(credential(), nil)
	condition := problem(t, err)
	missing := denial(t, credential())
	if !strings.HasSuffix(missing, condition) {
		t.Errorf("admission says %q, the condition %q", missing, condition)
	}
	for name, up := range map[string]*v1alpha1.UpstreamSecret{"own namespace alone": nowhere, "nobody": empty, "others": others} {
		if got := denial(t, credential(), up); got != missing {
			t.Errorf("%s: admission says %q, and %q of one that is missing", name, got, missing)
		}
		_, err := compile.Credential(credential(), up)
		if got := problem(t, err); got != condition {
			t.Errorf("%s: the condition says %q, and %q of one that is missing", name, got, condition)
		}
	}
}

// TestMissingNames holds that nothing but the names differs from one
// UpstreamSecret to the next.
func TestMissingNames(t *testing.T) {
	other := credential()
	other.Spec.Upstream.Namespace, other.Spec.Upstream.Name = "elsewhere", "slack"
	a, b := denial(t, credential()), denial(t, other)
	if b != strings.NewReplacer("platform", "elsewhere", "github", "slack").Replace(a) {
		t.Errorf("%q and %q differ in more than names", a, b)
	}
}

func denial(t *testing.T, objects ...client.Object) string {
	t.Helper()
	s := &store{objects: objects}
	got := review(t, handler(s, s), jsonOf(t, pod))
	if got.Allowed || got.Result.Code != 403 || len(got.Warnings) != 0 {
		t.Fatalf("allowed %v, %q, %q", got.Allowed, got.Result.Message, got.Warnings)
	}
	return got.Result.Message
}

func problem(t *testing.T, err error) string {
	t.Helper()
	var refused *compile.Refused
	if !errors.As(err, &refused) || len(refused.Problems) != 1 {
		t.Fatalf("got %v, want one problem", err)
	}
	return refused.Problems[0].Msg
}
