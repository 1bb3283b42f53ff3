package injection

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/inject"
	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

// trust is what the operator of these tests says.
func trust() inject.Trust {
	return inject.Settings{Image: image, Broker: broker, RootsPEM: roots}.Trust()
}

// golden reads the shapes of pods that people run, by name, as their authors
// write them.
func golden(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	const suffix = ".in.yaml"
	files, err := filepath.Glob(filepath.Join(cluster.Root(), "internal", "inject", "testdata", "golden", "*"+suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("listing golden pods: %d files, %v", len(files), err)
	}
	all := map[string]*corev1.Pod{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(text, pod); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), suffix)] = pod
	}
	return all
}

// TestLivePodsAttest creates pods of all shapes, as a developer whom the
// policies hold, and attests what the API server shows of them: defaults,
// admission of service accounts, a LimitRange and a mesh have been at them.
func TestLivePodsAttest(t *testing.T) {
	for _, name := range []string{"release-notes", "openai"} {
		up, sc := objects(name)
		up.Spec.Consumers.Namespaces, sc.Namespace = []string{"golden"}, "golden"
		create(t, up, sc)
	}
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "golden", Name: "limits"}}
	limits.Spec.Limits = []corev1.LimitRangeItem{{
		Type:    corev1.LimitTypeContainer,
		Default: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")},
	}}
	create(t, limits)
	variants := map[string]func(*corev1.Pod){
		"plain": func(*corev1.Pod) {},
		"mesh":  func(p *corev1.Pod) { p.Labels = map[string]string{"mesh": "on"} },
		"profile": func(p *corev1.Pod) {
			if p.Spec.SecurityContext == nil {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{}
			}
			p.Spec.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
		},
	}
	for shape, pod := range golden(t) {
		for variant, change := range variants {
			t.Run(shape+"/"+variant, func(t *testing.T) {
				pod := pod.DeepCopy()
				pod.Namespace, pod.Name, pod.GenerateName = "golden", shape+"-"+variant, ""
				change(pod)
				asked := strings.Split(pod.Annotations[inject.AnnotationCredentials], ",")
				if err := developer.Create(t.Context(), pod); err != nil {
					t.Fatal(err)
				}
				names, err := inject.Attest(read(t, pod), trust())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(asked, names); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func read(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	live := &corev1.Pod{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), live); err != nil {
		t.Fatal(err)
	}
	return live
}

// TestTamperedPodsDoNotAttest has the administrator, whom no policy holds, do to
// live pods what can be done to them, and to new ones what an author can write.
func TestTamperedPodsDoNotAttest(t *testing.T) {
	up, sc := objects("tampered")
	create(t, up, sc)
	debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", Image: "debug:1", SecurityContext: agent("").Spec.Containers[0].SecurityContext,
	}, TargetContainerName: inject.ContainerName}
	changes := map[string]struct {
		why    string
		change func(*corev1.Pod) error
		field  string
	}{
		"image": {"another program in the sidecar", func(p *corev1.Pod) error {
			p.Spec.InitContainers[0].Image = "evil:1"
			return api.Update(t.Context(), p)
		}, "initContainers[sallyport-sidecar].image"},
		"label": {"the pod leaves the broker's sight", func(p *corev1.Pod) error {
			delete(p.Labels, inject.LabelInjected)
			return api.Update(t.Context(), p)
		}, "label " + inject.LabelInjected},
		"plan": {"it says what we never decided", func(p *corev1.Pod) error {
			p.Annotations[inject.AnnotationPlan] = strings.ReplaceAll(p.Annotations[inject.AnnotationPlan], `"uid":14399`, `"uid":1000`)
			return api.Update(t.Context(), p)
		}, "securityContext"},
		"debug": {"it sees the sidecar's processes", func(p *corev1.Pod) error {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, debug)
			return api.SubResource("ephemeralcontainers").Update(t.Context(), p)
		}, "ephemeral container debug"},
	}
	for name, test := range changes {
		t.Run(name, func(t *testing.T) {
			pod := agent("tampered")
			create(t, pod)
			if _, err := inject.Attest(read(t, pod), trust()); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := test.change(pod); err != nil {
				t.Fatal(err)
			}
			names, err := inject.Attest(read(t, pod), trust())
			var refusal *inject.Refusal
			if !errors.As(err, &refusal) || !strings.Contains(refusal.Field, test.field) || len(names) > 0 {
				t.Errorf("%s: %v, %v, want %q", test.why, names, err, test.field)
			}
		})
	}
}
