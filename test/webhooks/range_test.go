package webhooks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/controllers/authority"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

// The range of users of a namespace, as OpenShift hands them out.
const (
	firstUser = 1000650000
	users     = 10000
)

// constraints is the kind by which the platform is told from others.
const constraints = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: securitycontextconstraints.security.openshift.io, annotations: {api-approved.kubernetes.io: unapproved}}
spec:
  group: security.openshift.io
  scope: Cluster
  names: {kind: SecurityContextConstraints, plural: securitycontextconstraints, singular: securitycontextconstraint, listKind: SecurityContextConstraintsList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`

// matching are the pods that are created in namespaces of the platform.
func matching() *admissionregv1.MatchResources {
	return &admissionregv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"platform": "openshift"}},
		ResourceRules: []admissionregv1.NamedRuleWithOperations{{RuleWithOperations: admissionregv1.RuleWithOperations{
			Operations: []admissionregv1.OperationType{admissionregv1.Create},
			Rule:       admissionregv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}}},
	}
}

// platform does to pods what admission by SecurityContextConstraints does: it
// gives each container that has no user the first of the range, before webhooks
// and again behind them, and refuses users beyond the range.
func platform() []client.Object {
	const give = `has(object.spec.%[1]s) ? object.spec.%[1]s.filter(c, !has(c.securityContext) || !has(c.securityContext.runAsUser)).map(c,
		Object.spec.%[1]s{name: c.name, securityContext: Object.spec.%[1]s.securityContext{runAsUser: %[2]d}}) : []`
	const within = `!has(object.spec.%[1]s) || object.spec.%[1]s.all(c, has(c.securityContext) && has(c.securityContext.runAsUser) &&
		c.securityContext.runAsUser >= %[2]d && c.securityContext.runAsUser < %[3]d)`
	fail, again := admissionregv1.Fail, admissionregv1.IfNeededReinvocationPolicy
	m := &admissionregv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "range"}}
	m.Spec.FailurePolicy, m.Spec.ReinvocationPolicy, m.Spec.MatchConstraints = &fail, again, matching()
	m.Spec.Mutations = []admissionregv1.Mutation{{
		PatchType: admissionregv1.PatchTypeApplyConfiguration,
		ApplyConfiguration: &admissionregv1.ApplyConfiguration{Expression: fmt.Sprintf("Object{spec: Object.spec{initContainers: %s, containers: %s}}",
			fmt.Sprintf(give, "initContainers", firstUser), fmt.Sprintf(give, "containers", firstUser))},
	}}
	mb := &admissionregv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "range"}}
	mb.Spec.PolicyName = "range"
	v := &admissionregv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "range"}}
	v.Spec.FailurePolicy, v.Spec.MatchConstraints = &fail, matching()
	for _, list := range []string{"initContainers", "containers"} {
		v.Spec.Validations = append(v.Spec.Validations, admissionregv1.Validation{Expression: fmt.Sprintf(within, list, firstUser, firstUser+users), Message: "user beyond the range"})
	}
	vb := &admissionregv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "range"}}
	vb.Spec.PolicyName, vb.Spec.ValidationActions = "range", []admissionregv1.ValidationAction{admissionregv1.Deny}
	return []client.Object{m, mb, v, vb}
}

// ranged is Pod in a namespace of the platform, its users left to that.
func ranged(asks bool) *corev1.Pod {
	pod := Pod(asks)
	pod.Namespace, pod.Spec.SecurityContext.RunAsUser = "ranged", nil
	return pod
}

// TestRangeOfUsers injects on a platform that hands each namespace a range of
// users: the sidecar gets one of it, and attests with it.
func TestRangeOfUsers(t *testing.T) {
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(constraints), &crd.Object); err != nil {
		t.Fatal(err)
	}
	objects := append(platform(), crd, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ranged", Labels: map[string]string{"platform": "openshift"}}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ranged", Name: "agent"}})
	up, sc := Objects("ranged")
	for _, o := range append(objects, up, sc) {
		if err := shared.API.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = shared.API.Delete(t.Context(), crd) }) // others' replicas are of no platform
	await(t, "the platform gives users, and holds to them", func() bool {
		given, other := ranged(false), ranged(false)
		user := int64(14399)
		other.Spec.Containers[0].SecurityContext.RunAsUser = &user
		err := shared.API.Create(t.Context(), other, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "beyond the range") && shared.API.Create(t.Context(), given, client.DryRunAll) == nil
	})
	await(t, "the API server knows the group", func() bool {
		groups, err := shared.Clients.Discovery().ServerGroups()
		if err != nil {
			return false
		}
		for _, g := range groups.Groups {
			if g.Name == "security.openshift.io" {
				return true
			}
		}
		return false
	})
	if err := shared.Keep(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	r := replica(t)
	await(t, "the replica is ready", r.Ready)
	pod := ranged(true)
	await(t, "the pod is admitted", func() bool {
		pod = ranged(true)
		err := shared.API.Create(t.Context(), pod)
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	if user := pod.Spec.InitContainers[0].SecurityContext.RunAsUser; pod.Spec.InitContainers[0].Name != inject.ContainerName || user == nil || *user != firstUser {
		t.Errorf("the sidecar has the user %v", user)
	}
	s := &corev1.Secret{}
	if err := shared.API.Get(t.Context(), client.ObjectKey{Namespace: fleet.Namespace, Name: authority.WebhookSecret}, s); err != nil {
		t.Fatal(err)
	}
	settings := inject.Settings{Image: sidecarImage, Broker: broker, RootsPEM: string(s.Data["ca.crt"])}
	if names, err := inject.Attest(pod, settings.Trust()); err != nil || len(names) != 1 {
		t.Errorf("attests %v, %v", names, err)
	}
}
