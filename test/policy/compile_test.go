package policy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

// manageControllers runs the controller that checks expressions against the API
// server's types, until the test ends.
func manageControllers(t *testing.T) *bytes.Buffer {
	t.Helper()
	assets, err := cluster.Assets()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, adminKubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	ctx, stop := context.WithCancel(t.Context())
	manager := exec.CommandContext(ctx, filepath.Join(assets, "kube-controller-manager"), "--kubeconfig="+kubeconfig,
		"--controllers=validatingadmissionpolicy-status-controller", "--leader-elect=false", "--secure-port=0")
	manager.Stderr = said
	if err := manager.Start(); err != nil {
		t.Fatalf("%v: run `make binaries`", err)
	}
	t.Cleanup(func() { stop(); _ = manager.Wait() })
	return said
}

// TestExpressionsCompile has every expression checked as a cluster does that
// shows warnings in a policy's status, and holds that there are none.
func TestExpressionsCompile(t *testing.T) {
	control := &admissionregv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "misspelt"}}
	control.Spec.MatchConstraints = &admissionregv1.MatchResources{ResourceRules: []admissionregv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregv1.RuleWithOperations{
			Operations: []admissionregv1.OperationType{admissionregv1.Create},
			Rule:       admissionregv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		},
	}}}
	control.Spec.Validations = []admissionregv1.Validation{{Expression: "size(object.spec.container) > 0"}}
	if err := admin.Create(t.Context(), control); err != nil {
		t.Fatal(err)
	}
	said := manageControllers(t)
	var list admissionregv1.ValidatingAdmissionPolicyList
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := admin.List(ctx, &list); err != nil {
			return false, err
		}
		for _, p := range list.Items {
			if p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("the expressions were not checked: %v\n%s", err, said)
	}
	bindings := map[string]string{}
	var bound admissionregv1.ValidatingAdmissionPolicyBindingList
	if err := admin.List(t.Context(), &bound); err != nil {
		t.Fatal(err)
	}
	for _, b := range bound.Items {
		bindings[b.Spec.PolicyName] = fmt.Sprint(b.Spec.ValidationActions)
	}
	const ours = 5
	if len(list.Items) != ours+1 {
		t.Errorf("%d policies, want %d and the control", len(list.Items), ours)
	}
	for _, p := range list.Items {
		if p.Name == control.Name {
			if len(p.Status.TypeChecking.ExpressionWarnings) == 0 {
				t.Error("a misspelt field brings no warning, so this test shows nothing")
			}
			continue
		}
		for _, w := range p.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", p.Name, w.FieldRef, w.Warning)
		}
		if bindings[p.Name] != "[Deny]" || p.Spec.FailurePolicy == nil || *p.Spec.FailurePolicy != admissionregv1.Fail {
			t.Errorf("%s: what cannot be judged is refused, by a binding that denies", p.Name)
		}
		if len(p.Spec.AuditAnnotations) != 1 || p.Spec.AuditAnnotations[0].Key != "violated" {
			t.Errorf("%s: what is broken, by leave or not, is on record", p.Name)
		}
	}
}
