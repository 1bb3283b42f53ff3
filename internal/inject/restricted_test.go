package inject

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// restricted returns what the Pod Security Standard of that name says of pod.
func restricted(t testing.TB, pod *corev1.Pod) policy.AggregateCheckResult {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	return policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
}

// restrictedSidecar holds our parts of pod to the standard, whatever the
// author's are like: nobody should have to relax a namespace for us.
func restrictedSidecar(t testing.TB, pod *corev1.Pod) {
	t.Helper()
	_, c := sidecarOf(t, pod)
	ours := &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{c}}}
	for _, v := range pod.Spec.Volumes {
		if slices.Contains(volumeNames, v.Name) {
			ours.Spec.Volumes = append(ours.Spec.Volumes, v)
		}
	}
	if result := restricted(t, ours); !result.Allowed {
		t.Errorf("the sidecar is not restricted: %s", result.ForbiddenDetail())
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Error("requests and the memory limit of the sidecar must be set")
	}
}

// readableToken works out, by the kubelet's rules, with which mode and owner
// the identity is written, and that the sidecar can read it. The rules are those
// of the projected volume: 0600 where there is an fsGroup (which then gets the
// file, with 0640) or where all containers run as one user (which then owns
// it), else the mode of the volume.
func readableToken(t testing.TB, pod *corev1.Pod) {
	t.Helper()
	var identity *corev1.ProjectedVolumeSource
	for _, v := range pod.Spec.Volumes {
		if v.Name == volumeIdentity {
			identity = v.Projected
		}
	}
	group := pod.Spec.SecurityContext != nil && pod.Spec.SecurityContext.FSGroup != nil
	_, c := sidecarOf(t, pod)
	owner := commonUser(pod)
	switch {
	case group: // every container of the pod is in that group
	case owner != nil:
		if user := runAsUser(pod, &c); user == nil || *user != *owner {
			t.Errorf("the token belongs to %d, which the sidecar is not", *owner)
		}
	case *identity.DefaultMode&0o004 == 0:
		t.Errorf("the token has mode %o, which only root can read", *identity.DefaultMode)
	}
}

func commonUser(pod *corev1.Pod) *int64 {
	var common *int64
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		user := runAsUser(pod, &c)
		if user == nil || common != nil && *common != *user {
			return nil
		}
		common = user
	}
	return common
}

func runAsUser(pod *corev1.Pod, c *corev1.Container) *int64 {
	if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
		return c.SecurityContext.RunAsUser
	}
	if pod.Spec.SecurityContext != nil {
		return pod.Spec.SecurityContext.RunAsUser
	}
	return nil
}

// TestTokenModes goes through the three ways in which the kubelet writes the
// token, with and without a user of our own.
func TestTokenModes(t *testing.T) {
	id := func(n int64) *int64 { return &n }
	pods := map[string]func(*corev1.Pod){
		"nothing set": func(*corev1.Pod) {},
		"fsGroup":     func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: id(2000)} },
		"one user":    func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: id(1000)} },
		"our user":    func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: id(14399)} },
		"container user": func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: id(1000)}
		},
	}
	for name, change := range pods {
		for _, uid := range []int64{0, 14399} {
			t.Run(name, func(t *testing.T) {
				s := testSettings()
				s.UID = uid
				readableToken(t, again(t, ask("release-notes", change), s, github()))
			})
		}
	}
}

// TestRestrictedPod holds that a pod of a restricted namespace stays one.
func TestRestrictedPod(t *testing.T) {
	pod := readPod(t, "testdata/golden/deployment.in.yaml")
	if result := restricted(t, pod); !result.Allowed {
		t.Fatalf("the pod is not restricted to begin with: %s", result.ForbiddenDetail())
	}
	if result := restricted(t, again(t, pod, testSettings(), github())); !result.Allowed {
		t.Errorf("injection broke the standard: %s", result.ForbiddenDetail())
	}
}
