package inject

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
)

// randomPod fills in every field of a pod, and then lets it be of a kind that
// may be served most of the time.
func randomPod(seed int64) (*corev1.Pod, *rand.Rand) {
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	pod := &corev1.Pod{}
	randfill.NewWithSeed(seed).NilChance(0.6).NumElements(0, 3).MaxDepth(9).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(int64(c.Intn(5000)), resource.DecimalSI)
		},
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(int32(c.Intn(1000))) },
		func(v *metav1.Time, _ randfill.Continue) { *v = metav1.NewTime(time.Unix(1e9, 0)) },
		func(v *metav1.MicroTime, _ randfill.Continue) { *v = metav1.NewMicroTime(time.Unix(1e9, 0)) },
		func(v *metav1.FieldsV1, _ randfill.Continue) { v.SetRawBytes([]byte("{}")) },
	).Fill(pod)
	pod.Spec.HostNetwork, pod.Spec.HostPID, pod.Spec.HostIPC = r.IntN(20) == 0, false, false
	pod.Spec.ShareProcessNamespace, pod.Spec.OS = nil, nil
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "agent"})
	tame(pod, r)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[AnnotationCredentials] = []string{"release-notes", "release-notes,openai", "openai,release-notes", "a b"}[r.IntN(4)]
	for _, c := range containers(pod) {
		if r.IntN(3) == 0 {
			c.Env = append(c.Env, corev1.EnvVar{Name: "GITHUB_TOKEN", Value: "author's"})
		}
		if r.IntN(30) == 0 {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volumeNames[r.IntN(3)], MountPath: "/x"})
		}
	}
	return pod, r
}

// tame takes what reaches the node off pod, most of the time.
func tame(pod *corev1.Pod, r *rand.Rand) {
	for i := range pod.Spec.Volumes {
		if r.IntN(20) > 0 {
			pod.Spec.Volumes[i].HostPath = nil
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		pod.Spec.EphemeralContainers[i].SecurityContext = nil
	}
	for _, c := range containers(pod) {
		if c.SecurityContext != nil && r.IntN(20) > 0 {
			c.SecurityContext.Privileged = nil
		}
	}
}

func inOrder(asked Asked) (all []Credential) {
	for _, name := range asked.Credentials {
		if name == "openai" {
			all = append(all, notes())
		} else {
			all = append(all, github())
		}
	}
	return all
}

// reorder does to an injected pod what a mesh does between two passes.
func reorder(pod *corev1.Pod, r *rand.Rand) {
	at := r.IntN(len(pod.Spec.InitContainers) + 1)
	pod.Spec.InitContainers = slices.Insert(pod.Spec.InitContainers, at, corev1.Container{Name: "mesh-init"})
	pod.Spec.Containers = slices.Insert(pod.Spec.Containers, r.IntN(len(pod.Spec.Containers)+1), corev1.Container{Name: "mesh-proxy"})
	r.Shuffle(len(pod.Spec.Volumes), func(i, j int) { v := pod.Spec.Volumes; v[i], v[j] = v[j], v[i] })
}

// FuzzSidecar: twice equals once, another webhook in between or not; nothing of
// the author's goes; our parts are restricted and the token is readable; the
// pod attests; a refused pod is left as it was.
func FuzzSidecar(f *testing.F) {
	for seed := range int64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		pod, r := randomPod(seed)
		before := pod.DeepCopy()
		asked, err := ParseAnnotations(pod.Annotations)
		if err != nil {
			return
		}
		plan, _, err := NewPlan(pod, testSettings(), inOrder(asked))
		if err != nil {
			return
		}
		if err := Sidecar(pod, plan); err != nil {
			if diff := cmp.Diff(before, pod); diff != "" {
				t.Fatalf("a refused pod was changed (-before +after):\n%s", diff)
			}
			return
		}
		kept(t, before, pod)
		attested(t, "what is accepted attests", pod, testTrust(), asked.Credentials...)
		restrictedSidecar(t, pod)
		readableToken(t, pod)
		same(t, pod, again(t, pod, testSettings(), inOrder(asked)...))
		reorder(pod, r)
		attested(t, "a mesh came between", pod, testTrust(), asked.Credentials...)
		same(t, pod, again(t, pod, testSettings(), inOrder(asked)...))
	})
}

func same(t *testing.T, once, twice *corev1.Pod) {
	t.Helper()
	if !equality.Semantic.DeepEqual(once, twice) {
		t.Fatalf("another pass changed the pod (-once +twice):\n%s", cmp.Diff(once, twice))
	}
}

// kept holds that before is after without what is ours.
func kept(t *testing.T, before, after *corev1.Pod) {
	t.Helper()
	stripped := after.DeepCopy()
	spec := &stripped.Spec
	spec.InitContainers = slices.DeleteFunc(spec.InitContainers, isSidecar)
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return slices.Contains(volumeNames, v.Name) })
	ours := func(m corev1.VolumeMount) bool { return equality.Semantic.DeepEqual(m, agentMount) }
	for i, c := range containers(stripped) {
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, ours)
		c.Env = c.Env[:len(containers(before)[i].Env)]
	}
	if !equality.Semantic.DeepEqual(before.Spec, *spec) {
		t.Fatalf("something of the author's changed (-before +after):\n%s", cmp.Diff(before.Spec, *spec))
	}
	for key, value := range before.Annotations {
		if after.Annotations[key] != value && !slices.Contains(annotationsExclude, key) {
			t.Fatalf("annotation %s changed", key)
		}
	}
}
