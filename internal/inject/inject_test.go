package inject

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

var update = flag.Bool("update", false, "write what Sidecar makes to testdata/golden")

// Handles of tests: their checksums are right.
const (
	handleA = "spt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
	handleB = "spt_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ3EAd4B"
)

const testRoots = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func testSettings() Settings {
	return Settings{
		Image:    "registry.example/sallyport-sidecar@sha256:" + strings.Repeat("ab", 32),
		Broker:   "sallyport-broker.sallyport-system.svc:9443",
		RootsPEM: testRoots,
		UID:      14399,
	}
}

func github() Credential {
	return Credential{Name: "release-notes", Handle: handleA, Endpoints: []string{"rest"}, URLs: []string{"https://api.github.com"}, Env: []bundle.EnvVar{
		{Name: "GITHUB_API_URL", Value: "{url:rest}"},
		{Name: "GITHUB_TOKEN", Value: "{token}"},
	}}
}

func notes() Credential {
	return Credential{Name: "openai", Handle: handleB, Endpoints: []string{"api", "files"}, URLs: []string{"https://api.openai.com", "https://files.example:8443/x"}, Env: []bundle.EnvVar{
		{Name: "OPENAI_BASE_URL", Value: "{url:api}/v1"},
		{Name: "OPENAI_API_KEY", Value: "{token}"},
		{Name: "FILES_URL", Value: "{url:files}?key={token}"},
	}}
}

// ask is a Deployment's pod that asks for credentials.
func ask(credentials string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Annotations = map[string]string{AnnotationCredentials: credentials}
	pod.Spec.Containers = []corev1.Container{{Name: "agent", Image: "agent:1"}}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func mustPlan(t testing.TB, pod *corev1.Pod, s Settings, credentials ...Credential) Plan {
	t.Helper()
	plan, _, err := NewPlan(pod, s, credentials)
	if err != nil {
		t.Fatalf("planning: %v", err)
	}
	return plan
}

// again injects a copy of pod, as a second pass of admission would.
func again(t testing.TB, pod *corev1.Pod, s Settings, credentials ...Credential) *corev1.Pod {
	t.Helper()
	out := pod.DeepCopy()
	if err := Sidecar(out, mustPlan(t, out, s, credentials...)); err != nil {
		t.Fatalf("injecting: %v", err)
	}
	return out
}

func readPod(t *testing.T, file string) *corev1.Pod {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text, pod); err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	return pod
}

// TestGolden injects pods of the shapes that people run. A pair of files shows
// each before and after; -update writes the second.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("listing testdata/golden: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) { testGolden(t, file) })
	}
}

func testGolden(t *testing.T, file string) {
	s, in := testSettings(), readPod(t, file)
	if strings.Contains(file, "openshift") {
		s.UID = 0
	}
	asked, err := ParseAnnotations(in.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	var credentials []Credential
	for _, c := range []Credential{github(), notes()} {
		if slices.Contains(asked.Credentials, c.Name) {
			credentials = append(credentials, c)
		}
	}
	out := again(t, in, s, credentials...)
	got, err := yaml.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: run go test with -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("what is injected has changed; read the difference, then run go test with -update (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(out, again(t, out, s, credentials...), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a second pass changes the pod (-first +second):\n%s", diff)
	}
	restrictedSidecar(t, out)
	readableToken(t, out)
}

func sidecarOf(t testing.TB, pod *corev1.Pod) (int, corev1.Container) {
	t.Helper()
	for i, c := range pod.Spec.InitContainers {
		if c.Name == ContainerName {
			return i, c
		}
	}
	t.Fatal("the pod has no sidecar")
	return 0, corev1.Container{}
}

// TestRenderedAgain changes what we made, as an export, another webhook or an
// author would.
func TestRenderedAgain(t *testing.T) {
	clean := again(t, ask("release-notes"), testSettings(), github())
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
	}{
		"image":    {"an author must not choose what runs as the sidecar", func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = "evil:1" }},
		"argument": {"an author must not choose the broker", func(p *corev1.Pod) { p.Spec.InitContainers[0].Args[0] = "--broker=evil:1" }},
		"debug":    {"GODEBUG can switch TLS checks off", func(p *corev1.Pod) { p.Spec.InitContainers[0].Env = []corev1.EnvVar{{Name: "GODEBUG", Value: "x=1"}} }},
		"command":  {"another command is another program", func(p *corev1.Pod) { p.Spec.InitContainers[0].Command = []string{"sh"} }},
		"mount": {"a volume of the author's could replace a file of ours", func(p *corev1.Pod) {
			c := &p.Spec.InitContainers[0]
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "evil", MountPath: "/etc"})
		}},
		"lifecycle": {"a hook runs in the sidecar", func(p *corev1.Pod) {
			p.Spec.InitContainers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}}
		}},
		"run once": {"the sidecar would end before the agent starts", func(p *corev1.Pod) { p.Spec.InitContainers[0].RestartPolicy = nil }},
		"identity": {"a Secret of the author's is no identity", func(p *corev1.Pod) {
			p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "x"}}
		}},
		"variable": {"an old port leads nowhere", func(p *corev1.Pod) { p.Spec.Containers[0].Env[0].Value = "http://127.0.0.1:14400/old" }},
		"removed":  {"a template that was copied from a pod has only the marks", func(p *corev1.Pod) { p.Spec.InitContainers = nil }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := clean.DeepCopy()
			test.change(pod)
			got := again(t, pod, testSettings(), github())
			if diff := cmp.Diff(clean, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-clean +got):\n%s", test.why, diff)
			}
		})
	}
}

// TestSecondPass holds what other webhooks do between two passes.
func TestSecondPass(t *testing.T) {
	first := again(t, ask("release-notes"), testSettings(), github())
	mesh := corev1.Container{Name: "istio-proxy", Image: "proxy:1"}
	always := corev1.ContainerRestartPolicyAlways
	mesh.RestartPolicy = &always
	first.Spec.InitContainers = slices.Insert(first.Spec.InitContainers, 0, mesh)
	first.Spec.Containers = append(first.Spec.Containers, corev1.Container{Name: "late"})

	second := again(t, first, testSettings(), github())
	if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("another webhook put its containers in, which are not ours to serve or to move (-first +second):\n%s", diff)
	}

	limits := &first.Spec.InitContainers[1].Resources.Limits
	(*limits)[corev1.ResourceCPU] = defaultCPU.DeepCopy()
	_, c := sidecarOf(t, again(t, first, testSettings(), github()))
	if c.Resources.Limits.Cpu().Cmp(defaultCPU) != 0 {
		t.Error("what a LimitRange adds must stay, else a quota refuses the pod")
	}

	renamed := first.DeepCopy()
	renamed.Spec.Containers[0].Name = "renamed"
	plan := mustPlan(t, renamed, testSettings(), github())
	if !slices.Contains(plan.Containers, "renamed") {
		t.Errorf("an exported pod with other containers must be served, got %q", plan.Containers)
	}
}

// TestLeavesAlone holds that a refused pod is not half changed.
func TestLeavesAlone(t *testing.T) {
	pod := ask("release-notes")
	plan := mustPlan(t, pod, testSettings(), github())
	pod.Spec.HostPID = true
	before := pod.DeepCopy()
	if err := Sidecar(pod, plan); err == nil {
		t.Fatal("a pod with the node's processes must be refused")
	}
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Errorf("a refused pod was changed (-before +after):\n%s", diff)
	}
}

// TestZeroPlan holds that forgetting to plan serves nobody.
func TestZeroPlan(t *testing.T) {
	if err := Sidecar(ask("release-notes"), Plan{}); err == nil {
		t.Error("the zero plan must be refused")
	}
	if err := Sidecar(&corev1.Pod{}, mustPlan(t, ask("release-notes"), testSettings(), github())); err == nil {
		t.Error("a pod that does not ask must be refused")
	}
}
