package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/inject"
	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

const (
	sidecarName = "sallyport-sidecar"
	audience    = "broker.sallyport.dev"
)

// plain is a pod that asks for nothing.
func plain(name string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	pod.Spec.ServiceAccountName = "agent"
	pod.Spec.Containers = []corev1.Container{{Name: "agent", Image: "agent:1"}}
	return pod
}

// injected is a pod as the webhook leaves it.
func injected(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod := plain(name)
	pod.Annotations = map[string]string{inject.AnnotationCredentials: "notes"}
	settings := inject.Settings{Image: "registry.example/sidecar@" + digest, Broker: "broker:9443", RootsPEM: "roots", UID: 14399}
	plan, _, err := inject.NewPlan(pod, settings, []inject.Credential{
		{Name: "notes", Handle: "spt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp", Endpoints: []string{"rest"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := inject.Sidecar(pod, plan); err != nil {
		t.Fatal(err)
	}
	return pod
}

// live creates an injected pod, as the developer.
func live(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod := injected(t, name)
	if err := developer.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func token(volume, audience string) corev1.Volume {
	return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}}},
	}}}
}

func empty(volume string) corev1.Volume {
	return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func addVolume(v corev1.Volume) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, v) }
}

func mount(volume, path string, readOnly bool) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: path, ReadOnly: readOnly})
	}
}

func both(changes ...func(*corev1.Pod)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, f := range changes {
			f(p)
		}
	}
}

func sidecar(change func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { change(&p.Spec.InitContainers[0]) }
}

func untouched(*corev1.Pod) {}

// TestPodsThatAsk creates pods that have the annotation, and what no webhook, or
// another one, made of them.
func TestPodsThatAsk(t *testing.T) {
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
		says   string // empty: let in
	}{
		"injected": {"as the webhook leaves it", untouched, ""},
		"mesh": {"others come before and after", func(p *corev1.Pod) {
			p.Spec.InitContainers = append([]corev1.Container{{Name: "mesh", Image: "mesh:1"}}, p.Spec.InitContainers...)
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy:1"})
		}, ""},
		"mirror":       {"the digest says what it is", sidecar(func(c *corev1.Container) { c.Image = "mirror:5000/x/sidecar@" + digest }), ""},
		"other tokens": {"for somebody else", addVolume(token("vault", "vault")), ""},
		"no sidecar":   {"the webhook was not called", func(p *corev1.Pod) { p.Spec.InitContainers = nil }, "asks for a sidecar and there is none"},
		"not native":   {"it would end before the agent starts", sidecar(func(c *corev1.Container) { c.RestartPolicy = nil; c.StartupProbe = nil; c.LivenessProbe = nil }), "half of one"},
		"no label":     {"no informer would see it", func(p *corev1.Pod) { p.Labels = nil }, "half of one"},
		"no plan":      {"nothing to attest by", func(p *corev1.Pod) { delete(p.Annotations, inject.AnnotationPlan) }, "half of one"},
		"no identity":  {"it could not say who it is", sidecar(func(c *corev1.Container) { c.VolumeMounts = c.VolumeMounts[1:] }), "half of one"},
		"other identity": {"a token for somebody else", func(p *corev1.Pod) {
			p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Audience = "vault"
		}, "half of one"},
		"image":  {"another program", sidecar(func(c *corev1.Container) { c.Image = "evil@sha256:" + strings.Repeat("ee", 32) }), "not that of the installed release"},
		"tag":    {"a tag may move", sidecar(func(c *corev1.Container) { c.Image = "registry.example/sidecar:v1" }), "not that of the installed release"},
		"suffix": {"not the digest, but its look", sidecar(func(c *corev1.Container) { c.Image = "evil:" + strings.TrimPrefix(digest, "sha256:")[:60] }), "not that of the installed release"},
		"container": {"ours is an init container", func(p *corev1.Pod) {
			p.Spec.InitContainers, p.Spec.Containers[0].Name = p.Spec.InitContainers[1:], sidecarName
		}, "half of one"},
		"audience": {"any container could mount it", addVolume(token("mine", audience)), "the sidecar's alone"},
		"among others": {"any container could mount it", addVolume(corev1.Volume{Name: "mine", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: append(token("", "vault").Projected.Sources, corev1.VolumeProjection{
				ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "other"},
			}),
		}}}), "the sidecar's alone"},
		"identity":       {"the agent would be the sidecar", mount("sallyport-identity", "/x", true), "remove the mount"},
		"private":        {"the sidecar's own files", mount("sallyport-private", "/x", true), "remove the mount"},
		"agent writable": {"the sidecar's writes could be redirected", mount("sallyport-agent", "/x", false), "remove the mount"},
		"in an init container": {"it is as good", func(p *corev1.Pod) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "i", Image: "i:1", VolumeMounts: []corev1.VolumeMount{{Name: "sallyport-identity", MountPath: "/x"}}})
		}, "remove the mount"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := injected(t, "asks")
			test.change(pod)
			policy := ""
			if test.says != "" {
				policy = "sallyport-pods"
			}
			held(t, test.why, developer.Create(t.Context(), pod, client.DryRunAll), policy, test.says)
		})
	}
}

// TestPodsThatDoNotAsk creates pods without the annotation. Only our names and
// our audience are refused.
func TestPodsThatDoNotAsk(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
		says   string
	}{
		"plain":  {"of no concern", untouched, ""},
		"others": {"of no concern", both(addVolume(token("vault", "vault")), addVolume(token("api", "")), addVolume(empty("data")), mount("data", "/var/run/sallyport", false)), ""},
		"annotated by others": {"of no concern", func(p *corev1.Pod) {
			p.Annotations, p.Labels = map[string]string{"sallyport.example/credentials": "x"}, map[string]string{"injected": "true"}
		}, ""},
		"powerful":  {"the broker's concern, and only of pods that ask", func(p *corev1.Pod) { p.Spec.HostNetwork, p.Spec.HostPID = true, true }, ""},
		"large":     {"within the budget of an expression", large, ""},
		"container": {"it would be taken for ours", func(p *corev1.Pod) { p.Spec.Containers[0].Name = sidecarName }, "reserved for Sallyport"},
		"init": {"it would be taken for ours", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: sidecarName, Image: "x", RestartPolicy: &always}}
		}, "written by Sallyport"},
		"identity":      {"without the annotation, too", addVolume(token("sallyport-identity", audience)), "written by Sallyport"},
		"volume":        {"it would be taken for ours", addVolume(empty("sallyport-private")), "written by Sallyport"},
		"agent volume":  {"it would be taken for ours", addVolume(empty("sallyport-agent")), "written by Sallyport"},
		"audience":      {"a sidecar of the author's own", both(addVolume(token("mine", audience)), mount("mine", "/x", true)), "the sidecar's alone"},
		"label":         {"it says that it was injected", func(p *corev1.Pod) { p.Labels = map[string]string{inject.LabelInjected: "true"} }, "written by Sallyport"},
		"another label": {"it says something about us", func(p *corev1.Pod) { p.Labels = map[string]string{inject.LabelInjected: "false"} }, "written by Sallyport"},
		"plan":          {"it says that it was injected", func(p *corev1.Pod) { p.Annotations = map[string]string{inject.AnnotationPlan: "{}"} }, "written by Sallyport"},
		"all of it": {"an injected pod that takes the question back", func(p *corev1.Pod) {
			*p = *injected(t, "x")
			delete(p.Annotations, inject.AnnotationCredentials)
		}, "written by Sallyport"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := plain("plain")
			test.change(pod)
			policy := ""
			if test.says != "" {
				policy = "sallyport-pods"
			}
			held(t, test.why, developer.Create(t.Context(), pod, client.DryRunAll), policy, test.says)
			system := pod.DeepCopy()
			system.Namespace = "kube-system"
			held(t, "the cluster's own pods never wait for us", developer.Create(t.Context(), system, client.DryRunAll), "", "")
		})
	}
}

// large has more of everything than people have.
func large(p *corev1.Pod) {
	for i := range 60 {
		addVolume(token(fmt.Sprintf("v%d", i), "vault"))(p)
	}
	for i := range 100 {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: "x"}
		for j := range 60 {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: fmt.Sprintf("v%d", j), MountPath: fmt.Sprintf("/v%d", j)})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		c.Name = fmt.Sprintf("i%d", i)
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
}

// TestGoldenPodsPass creates each shape of pod that people run, as the webhook
// leaves it.
func TestGoldenPodsPass(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(cluster.Root(), "internal", "inject", "testdata", "golden", "*.out.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("listing golden pods: %d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(text, pod); err != nil {
			t.Fatal(err)
		}
		pod.Namespace, pod.Spec.ServiceAccountName = namespace, "agent"
		held(t, filepath.Base(file), developer.Create(t.Context(), pod, client.DryRunAll), "", "")
	}
}
