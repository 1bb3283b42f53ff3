package injection

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// agent is a restricted pod that asks for credentials.
func agent(credentials string) *corev1.Pod {
	yes, no, user := true, false, int64(1000)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", GenerateName: "agent-"}}
	if credentials != "" {
		pod.Annotations = map[string]string{inject.AnnotationCredentials: credentials}
	}
	pod.Spec.ServiceAccountName = "agent"
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	pod.Spec.Containers = []corev1.Container{{Name: "agent", Image: "agent:1", SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}}}
	return pod
}

// objects are an UpstreamSecret that is shared with the agents, and a
// ScopedCredential that uses it.
func objects(name string) (*v1alpha1.UpstreamSecret, *v1alpha1.ScopedCredential) {
	up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "platform", Name: name}}
	up.Spec.Endpoints = []v1alpha1.Endpoint{{
		Name: "rest", URL: "https://api.github.com", Profile: v1alpha1.ProfileGitHubREST,
		Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}},
	}}
	up.Spec.Source.SecretRef = &v1alpha1.KeyReference{Name: "x", Key: "token"}
	up.Spec.Consumers = &v1alpha1.Consumers{Namespaces: []string{"agents"}}
	sc := &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: name}}
	sc.Spec.Upstream = v1alpha1.UpstreamReference{Namespace: "platform", Name: name}
	sc.Spec.Holders.ServiceAccounts = []string{"agent"}
	sc.Spec.Grants = []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{
		Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/repos"},
	}}}
	return up, sc
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatalf("creating %T: %v", o, err)
		}
	}
}

// TestHeals creates a pod before what it asks for: refused, and the same pod
// admitted moments later, without anybody else's doing.
func TestHeals(t *testing.T) {
	err := api.Create(t.Context(), agent("late"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), inject.AnnotationCredentials) || !strings.Contains(err.Error(), `"agents/late"`) {
		t.Fatalf("got %v", err)
	}
	up, sc := objects("late")
	create(t, sc)
	if err := api.Create(t.Context(), agent("late")); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "platform/late") {
		t.Fatalf("got %v", err)
	}
	create(t, up, agent("late"))
}

// TestLive compares a live container with a rendered one: whatever the API
// server fills in is written out already.
func TestLive(t *testing.T) {
	up, sc := objects("live")
	create(t, up, sc)
	warnings.take()
	pod := agent("live")
	create(t, pod)
	if text := warnings.take(); !strings.Contains(text, "not accepted") || !strings.Contains(text, "automountServiceAccountToken") {
		t.Errorf("warned %q", text)
	}
	compareLive(t, pod, 0)

	exported := agent("live")
	exported.Annotations, exported.Labels, exported.Spec = pod.Annotations, pod.Labels, *pod.Spec.DeepCopy()
	create(t, exported)
	if diff := cmp.Diff(pod.Spec, exported.Spec, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("an exported pod comes back as another (-first +second):\n%s", diff)
	}
}

func compareLive(t *testing.T, pod *corev1.Pod, at int) {
	t.Helper()
	plan, ok, err := inject.Injected(pod)
	if err != nil || !ok {
		t.Fatalf("not injected: %v", err)
	}
	plan.Broker, plan.RootsPEM = broker, roots
	asked, err := inject.ParseAnnotations(pod.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inject.Container(plan, asked), pod.Spec.InitContainers[at], cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the API server changed the container (-rendered +live):\n%s", diff)
	}
	var volumes []corev1.Volume
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, "sallyport-") {
			volumes = append(volumes, v)
		}
	}
	if diff := cmp.Diff(inject.Volumes(), volumes, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the API server changed the volumes (-rendered +live):\n%s", diff)
	}
}

// TestMesh lets another webhook change the pod after us, so that the chain runs
// once more, admission of service accounts included: it mounts the API token
// into the mesh's container, and must not into ours.
func TestMesh(t *testing.T) {
	up, sc := objects("meshed")
	create(t, up, sc)
	pod := agent("meshed")
	pod.Labels = map[string]string{"mesh": "on"}
	create(t, pod)
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"mesh-proxy", inject.ContainerName}, names); diff != "" {
		t.Fatalf("each webhook leaves the other's place alone (-want +got):\n%s", diff)
	}
	compareLive(t, pod, 1)
	if env := pod.Spec.InitContainers[0].Env; len(env) != 0 {
		t.Errorf("the mesh's proxy was given %v", env)
	}
	tokens := 0
	for _, m := range pod.Spec.InitContainers[0].VolumeMounts {
		if m.MountPath == inject.IdentityDirectory {
			tokens++
		}
	}
	if tokens != 1 {
		t.Fatal("admission of service accounts did not run again, so this test shows nothing")
	}
}

// TestUntouched holds whose pods never come to us.
func TestUntouched(t *testing.T) {
	system := agent("nothing-of-the-kind")
	system.Namespace = "kube-system"
	other := agent("")
	empty := agent("")
	empty.Annotations = map[string]string{"x": "y"}
	for _, pod := range []*corev1.Pod{system, other, empty} {
		create(t, pod)
		if len(pod.Spec.InitContainers) != 0 || pod.Labels[inject.LabelInjected] != "" {
			t.Errorf("a pod of %s was changed", pod.Namespace)
		}
	}
}
