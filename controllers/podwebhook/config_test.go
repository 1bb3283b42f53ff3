package podwebhook

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// manifest finds the object of that kind in config/webhook and reads it
// strictly: a misspelt field would be a setting that is not there.
func manifest(t *testing.T, kind string, into any) {
	t.Helper()
	files, err := filepath.Glob("../../config/webhook/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal(document, &meta); err != nil {
				t.Fatalf("reading %s: %v", file, err)
			}
			if meta.Kind != kind {
				continue
			}
			if err := yaml.UnmarshalStrict(document, into); err != nil {
				t.Fatalf("reading %s: %v", file, err)
			}
			return
		}
	}
	t.Fatalf("config/webhook has no %s", kind)
}

func TestConfiguration(t *testing.T) {
	var c admissionregv1.MutatingWebhookConfiguration
	manifest(t, "MutatingWebhookConfiguration", &c)
	if c.Name != "agent.sallyport.dev" || len(c.Webhooks) != 1 {
		t.Fatalf("%s with %d webhooks", c.Name, len(c.Webhooks))
	}
	w := c.Webhooks[0]
	fail, none, again := admissionregv1.Fail, admissionregv1.SideEffectClassNone, admissionregv1.IfNeededReinvocationPolicy
	for what, diff := range map[string]string{
		"a pod without its sidecar is broken where nobody looks": cmp.Diff(&fail, w.FailurePolicy),
		"a dry run is as good as the real thing":                 cmp.Diff(&none, w.SideEffects),
		"other webhooks change pods too":                         cmp.Diff(&again, w.ReinvocationPolicy),
		"creation of pods, and nothing else":                     cmp.Diff([]admissionregv1.OperationType{admissionregv1.Create}, w.Rules[0].Operations) + cmp.Diff([]string{"pods"}, w.Rules[0].Resources),
		"neither the cluster nor we may wait for us":             cmp.Diff([]string{"kube-system", "sallyport-system"}, w.NamespaceSelector.MatchExpressions[0].Values),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if w.TimeoutSeconds == nil || *w.TimeoutSeconds != 5 || len(w.Rules) != 1 {
		t.Errorf("timeout %v, %d rules", w.TimeoutSeconds, len(w.Rules))
	}
	if len(w.MatchConditions) != 1 || !strings.Contains(w.MatchConditions[0].Expression, "'sallyport.dev/credentials' in") {
		t.Errorf("conditions %+v: a pod that does not ask must never be held up", w.MatchConditions)
	}
	if len(w.ClientConfig.CABundle) != 0 {
		t.Error("caBundle is the controller's to write: GitOps tools would put it back")
	}
}

// TestService holds that what the API server is told to call is what we serve.
func TestService(t *testing.T) {
	var c admissionregv1.MutatingWebhookConfiguration
	var s corev1.Service
	var d appsv1.Deployment
	var b policyv1.PodDisruptionBudget
	manifest(t, "MutatingWebhookConfiguration", &c)
	manifest(t, "Service", &s)
	manifest(t, "Deployment", &d)
	manifest(t, "PodDisruptionBudget", &b)
	called := c.Webhooks[0].ClientConfig.Service
	if *called.Path != Path || *called.Port != s.Spec.Ports[0].Port || called.Name != s.Name || called.Namespace != s.Namespace {
		t.Errorf("the API server calls %+v", called)
	}
	if name := s.Name + "." + s.Namespace + ".svc"; name != ServerName {
		t.Errorf("the certificate is for %s, the Service is %s", ServerName, name)
	}
	pod := labels.Set(d.Spec.Template.Labels)
	for what, selector := range map[string]map[string]string{
		"Service": s.Spec.Selector, "Deployment": d.Spec.Selector.MatchLabels, "PodDisruptionBudget": b.Spec.Selector.MatchLabels,
	} {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(pod) {
			t.Errorf("the selector of the %s does not match the pods", what)
		}
	}
	container := d.Spec.Template.Spec.Containers[0]
	if !slices.ContainsFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == s.Spec.Ports[0].TargetPort.StrVal }) {
		t.Error("the Service's target is no port of the pod")
	}
	if *d.Spec.Replicas < 2 || d.Spec.Template.Spec.PriorityClassName == "" || len(d.Spec.Template.Spec.TopologySpreadConstraints) == 0 {
		t.Error("agents cannot start while the webhook is away: two replicas, apart, with a priority")
	}
}

// TestAccess compares what the role may do with what it needs: whoever takes it
// over must find no Secret.
func TestAccess(t *testing.T) {
	var role rbacv1.ClusterRole
	var binding rbacv1.ClusterRoleBinding
	var account corev1.ServiceAccount
	manifest(t, "ClusterRole", &role)
	manifest(t, "ClusterRoleBinding", &binding)
	manifest(t, "ServiceAccount", &account)
	want := []rbacv1.PolicyRule{{
		APIGroups: []string{"sallyport.dev"},
		Resources: []string{"scopedcredentials", "upstreamsecrets"},
		Verbs:     []string{"get", "list", "watch"},
	}}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if binding.RoleRef.Name != role.Name || len(binding.Subjects) != 1 || binding.Subjects[0].Name != account.Name || binding.Subjects[0].Namespace != account.Namespace {
		t.Errorf("bound to %+v", binding.Subjects)
	}
}

func TestDeploymentIsRestricted(t *testing.T) {
	var d appsv1.Deployment
	manifest(t, "Deployment", &d)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	results := evaluator.EvaluatePod(level, &d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec)
	if result := policy.AggregateCheckResults(results); !result.Allowed {
		t.Errorf("not restricted: %s", result.ForbiddenDetail())
	}
}
