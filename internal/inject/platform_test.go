package inject

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestPlatformUser leaves the sidecar's user to a platform that hands each
// namespace a range, and fills it in between two passes.
func TestPlatformUser(t *testing.T) {
	s := testSettings()
	s.UID = 0
	once := again(t, ask("release-notes"), s, github())
	given := func(change func(*corev1.SecurityContext)) *corev1.Pod {
		pod := once.DeepCopy()
		i, _ := sidecarOf(t, pod)
		change(pod.Spec.InitContainers[i].SecurityContext)
		return pod
	}
	user, root := int64(1000650000), int64(0)
	chosen := given(func(c *corev1.SecurityContext) { c.RunAsUser = &user })
	attested(t, "the platform's choice", chosen, testTrust(), "release-notes")
	same(t, chosen, again(t, chosen, s, github()))
	flawed(t, "nobody may make it root", given(func(c *corev1.SecurityContext) { c.RunAsUser = &root }), testTrust(), "securityContext")
	flawed(t, "a group is nobody's to choose", given(func(c *corev1.SecurityContext) { c.RunAsGroup = &user }), testTrust(), "securityContext")
	flawed(t, "nor is anything else", given(func(c *corev1.SecurityContext) { c.RunAsUser, c.ReadOnlyRootFilesystem = &user, nil }), testTrust(), "securityContext")
	ours := again(t, ask("release-notes"), testSettings(), github())
	i, _ := sidecarOf(t, ours)
	ours.Spec.InitContainers[i].SecurityContext.RunAsUser = &user
	flawed(t, "ours is not theirs to change", ours, testTrust(), "securityContext")
}

// TestRestrictedStays goes through random pods that a restricted namespace lets
// in: those that are accepted are let in still.
func TestRestrictedStays(t *testing.T) {
	accepted := 0
	for seed := range int64(400) {
		pod, _ := randomPod(seed)
		confine(pod)
		if result := restricted(t, pod); !result.Allowed {
			t.Fatalf("seed %d: the pod is not restricted to begin with: %s", seed, result.ForbiddenDetail())
		}
		asked, err := ParseAnnotations(pod.Annotations)
		if err != nil {
			continue
		}
		plan, _, err := NewPlan(pod, testSettings(), inOrder(asked))
		if err != nil || Sidecar(pod, plan) != nil {
			continue
		}
		accepted++
		if result := restricted(t, pod); !result.Allowed {
			t.Errorf("seed %d: injection broke the standard: %s", seed, result.ForbiddenDetail())
		}
	}
	if accepted < 100 {
		t.Errorf("%d pods were accepted, so this test shows little", accepted)
	}
}

// confine takes off pod what a restricted namespace refuses.
func confine(pod *corev1.Pod) {
	yes, no := true, false
	spec := &pod.Spec
	pod.Annotations = map[string]string{AnnotationCredentials: pod.Annotations[AnnotationCredentials]}
	spec.HostNetwork, spec.SecurityContext = false, &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	for i := range spec.Volumes {
		spec.Volumes[i].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}
	spec.EphemeralContainers = nil
	for _, c := range containers(pod) {
		c.SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
		c.LivenessProbe, c.ReadinessProbe, c.StartupProbe, c.Lifecycle = nil, nil, nil, nil
		for i := range c.Ports {
			c.Ports[i].HostPort = 0
		}
	}
}
