package podwebhook

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatchv4 "gopkg.in/evanphx/json-patch.v4" // what the API server applies with
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

func apply(t testing.TB, raw, patch []byte) []byte {
	t.Helper()
	decoded, err := jsonpatchv4.DecodePatch(patch)
	if err != nil {
		t.Fatalf("reading the patch: %v", err)
	}
	out, err := decoded.Apply(raw)
	if err != nil {
		t.Fatalf("applying %s: %v", patch, err)
	}
	return out
}

// TestPasses admits a pod twice, as the API server does when another webhook
// changed it meanwhile.
func TestPasses(t *testing.T) {
	full := &store{objects: []client.Object{credential(), upstream()}}
	raw := jsonOf(t, pod)
	first := review(t, handler(full, full), raw)
	once := apply(t, raw, first.Patch)
	if second := review(t, handler(full, full), once); !second.Allowed || second.Patch != nil {
		t.Errorf("the second pass: allowed %v, %q, patch %s", second.Allowed, second.Result.Message, second.Patch)
	}
	var injected corev1.Pod
	if err := json.Unmarshal(once, &injected); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, v := range injected.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	handle := env["GITHUB_TOKEN"]
	if diff := cmp.Diff(map[string]string{"GITHUB_API_URL": "http://127.0.0.1:14400", "GITHUB_GRAPHQL_URL": "http://127.0.0.1:14400/graphql", "GITHUB_TOKEN": handle, "GH_TOKEN": handle, "GH_ENTERPRISE_TOKEN": handle, "GITHUB_PERSONAL_ACCESS_TOKEN": handle}, env); diff != "" {
		t.Errorf("presets of the profile (-want +got):\n%s", diff)
	}
	args := strings.Join(injected.Spec.InitContainers[0].Args, " ")
	if !strings.Contains(args, "--listen=release-notes/raw=14401") || !strings.Contains(args, "--handle=release-notes="+handle) {
		t.Errorf("arguments %s", args)
	}

	drifted := []byte(strings.ReplaceAll(string(once), `"readOnlyRootFilesystem":true`, `"readOnlyRootFilesystem":false,"privileged":true`))
	again := apply(t, drifted, review(t, handler(full, full), drifted).Patch)
	if diff := cmp.Diff(asPod(t, once), asPod(t, again)); diff != "" {
		t.Errorf("what drifted is rendered again (-once +again):\n%s", diff)
	}
}

func asPod(t testing.TB, raw []byte) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	if err := json.Unmarshal(raw, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// FuzzPatch: the patch makes of the object's bytes what Sidecar makes of the
// pod, has no remove, and leaves what this program does not know where it was.
func FuzzPatch(f *testing.F) {
	for seed := range int64(30) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		r := rand.New(rand.NewPCG(uint64(seed), 0))
		raw, unknown := strangePod(r)
		full := &store{objects: []client.Object{credential(), upstream()}}
		after := raw
		for range 2 {
			got := review(t, handler(full, full), after)
			if !got.Allowed {
				t.Fatalf("refused: %s", got.Result.Message)
			}
			if got.Patch == nil {
				break
			}
			addsOnly(t, got.Patch)
			after = apply(t, after, got.Patch)
		}
		for _, marker := range unknown {
			if strings.Count(string(after), `"`+marker+`"`) != 1 {
				t.Fatalf("%s is gone", marker)
			}
		}
		want := asPod(t, raw)
		if err := inject.Sidecar(want, planOf(t, asPod(t, after))); err != nil {
			t.Fatal(err)
		}
		if got := asPod(t, after); !equality.Semantic.DeepEqual(want, got) {
			t.Fatalf("the patch made something else than Sidecar (-want +got):\n%s", cmp.Diff(want, got))
		}
	})
}

// planOf reads the plan of an injected pod, and adds what is not recorded.
func planOf(t *testing.T, p *corev1.Pod) inject.Plan {
	t.Helper()
	plan, ok, err := inject.Injected(p)
	if err != nil || !ok {
		t.Fatalf("no plan: %v", err)
	}
	s, _ := testSettings()
	plan.Broker, plan.RootsPEM = s.Broker, s.RootsPEM
	for _, name := range plan.Env {
		value := plan.Handles["release-notes"]
		switch name {
		case "GITHUB_API_URL":
			value = "http://127.0.0.1:14400"
		case "GITHUB_GRAPHQL_URL":
			value = "http://127.0.0.1:14400/graphql"
		}
		plan.Variables = append(plan.Variables, bundle.EnvVar{Name: name, Value: value})
	}
	return plan
}

func addsOnly(t *testing.T, text []byte) {
	t.Helper()
	var ops []operation
	if err := json.Unmarshal(text, &ops); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"/metadata/annotations/", "/spec/initContainers/0", "/spec/volumes/"}
	for _, op := range ops {
		replaces := op.Op == "replace" && slices.ContainsFunc(allowed, func(p string) bool { return strings.HasPrefix(op.Path, p) })
		if op.Op != "add" && !replaces {
			t.Fatalf("%s %s: others' fields are only added to", op.Op, op.Path)
		}
	}
}

// strangePod is a pod of a newer API: fields that we do not know stand at every
// level. It returns their values too.
func strangePod(r *rand.Rand) (raw []byte, unknown []string) {
	strange := func(into map[string]any) map[string]any {
		if r.IntN(2) == 0 {
			marker := fmt.Sprintf("unknown-%d", len(unknown))
			unknown = append(unknown, marker)
			into["fieldOfTomorrow"] = map[string]any{"a": []any{marker}}
		}
		return into
	}
	list := func(prefix string, most int, make func(name string) map[string]any) []any {
		all := []any{}
		for i := range r.IntN(most + 1) {
			all = append(all, strange(make(fmt.Sprintf("%s%d", prefix, i))))
		}
		return all
	}
	container := func(name string) map[string]any {
		return map[string]any{
			"name": name, "image": "x",
			"env":          list("VAR", 3, func(n string) map[string]any { return map[string]any{"name": n, "value": n} }),
			"volumeMounts": list("data", 2, func(n string) map[string]any { return map[string]any{"name": n, "mountPath": "/" + n} }),
		}
	}
	spec := map[string]any{"containers": append(list("app", 3, container), container("agent")), "initContainers": nil}
	if r.IntN(3) > 0 {
		spec["initContainers"] = list("init", 3, container)
	}
	if r.IntN(3) > 0 {
		spec["volumes"] = list("data", 3, func(n string) map[string]any { return map[string]any{"name": n, "emptyDir": map[string]any{}} })
	}
	meta := map[string]any{"generateName": "agent-", "annotations": map[string]any{inject.AnnotationCredentials: "release-notes", "a/b~c": "d"}}
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": strange(meta), "spec": strange(spec)})
	if err != nil {
		panic(err)
	}
	return text, unknown
}

// TestPatchRemovesNothing holds the guard against mistakes of our own: whatever
// is not an addition, or is where injection writes nothing.
func TestPatchRemovesNothing(t *testing.T) {
	before := &corev1.Pod{}
	before.Labels, before.Annotations = map[string]string{"a": "b"}, map[string]string{"a": "b"}
	before.Spec.Containers = []corev1.Container{{
		Name: "agent", Args: []string{"x"}, Env: []corev1.EnvVar{{Name: "A", Value: "a"}, {Name: "B"}},
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
	}}
	before.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	before.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "other"}}
	agent := func(p *corev1.Pod) *corev1.Container { return &p.Spec.Containers[0] }
	tests := map[string]func(*corev1.Pod){
		"a label":           func(p *corev1.Pod) { delete(p.Labels, "a") },
		"an annotation":     func(p *corev1.Pod) { delete(p.Annotations, "a") },
		"a container":       func(p *corev1.Pod) { agent(p).Name = "other" },
		"an init container": func(p *corev1.Pod) { p.Spec.InitContainers = nil },
		"arguments":         func(p *corev1.Pod) { agent(p).Args = nil },
		"a variable":        func(p *corev1.Pod) { agent(p).Env = agent(p).Env[1:] },
		"a value":           func(p *corev1.Pod) { agent(p).Env[0].Value = "" },
		"a source":          func(p *corev1.Pod) { agent(p).Env[0].ValueFrom = &corev1.EnvVarSource{} },
		"a source of a value": func(p *corev1.Pod) {
			agent(p).Env[0] = corev1.EnvVar{Name: "A", Value: "b", ValueFrom: &corev1.EnvVarSource{}}
		},
		"a mount":         func(p *corev1.Pod) { agent(p).VolumeMounts = nil },
		"a mount's path":  func(p *corev1.Pod) { agent(p).VolumeMounts[0].MountPath = "/other" },
		"a mount's kind":  func(p *corev1.Pod) { agent(p).VolumeMounts[0].ReadOnly = true },
		"a volume":        func(p *corev1.Pod) { p.Spec.Volumes = p.Spec.Volumes[1:] },
		"a volume's kind": func(p *corev1.Pod) { p.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{} },
		"an order":        func(p *corev1.Pod) { slices.Reverse(p.Spec.Volumes) },
		"a namespace":     func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"a name":          func(p *corev1.Pod) { p.Name = "other" },
		"a status":        func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning },
	}
	for name, change := range tests {
		after := before.DeepCopy()
		change(after)
		if ops, err := patch(before, after); err == nil {
			t.Errorf("%s was removed or changed by %v", name, ops)
		}
	}
}

// TestPatchAdds holds each kind of addition, and that a value which was empty is
// added: a path without its last step cannot be replaced.
func TestPatchAdds(t *testing.T) {
	before := &corev1.Pod{}
	before.Annotations = map[string]string{"a/b~c": "d"}
	before.Spec.Containers = []corev1.Container{{Name: "agent", Env: []corev1.EnvVar{{Name: "A", Value: "a"}, {Name: "B"}}}}
	before.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "sallyport-agent"}, {Name: "sallyport-private"}}
	forged, usual := resource.MustParse("1E100000000"), resource.MustParse("1Mi") // which take minutes to compare by value
	before.Spec.Volumes[2].EmptyDir = &corev1.EmptyDirVolumeSource{SizeLimit: &forged}
	tests := map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"nothing":           {func(*corev1.Pod) {}, `null`},
		"first label":       {func(p *corev1.Pod) { p.Labels = map[string]string{"x": "y"} }, `[{"op":"add","path":"/metadata/labels","value":{"x":"y"}}]`},
		"second annotation": {func(p *corev1.Pod) { p.Annotations["x"] = "y" }, `[{"op":"add","path":"/metadata/annotations/x","value":"y"}]`},
		"escaped":           {func(p *corev1.Pod) { p.Annotations["a/b~c"] = "e" }, `[{"op":"replace","path":"/metadata/annotations/a~1b~0c","value":"e"}]`},
		"value":             {func(p *corev1.Pod) { p.Spec.Containers[0].Env[0].Value = "b" }, `[{"op":"replace","path":"/spec/containers/0/env/0/value","value":"b"}]`},
		"value of none":     {func(p *corev1.Pod) { p.Spec.Containers[0].Env[1].Value = "b" }, `[{"op":"add","path":"/spec/containers/0/env/1/value","value":"b"}]`},
		"first mount": {func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "m", MountPath: "/m"}}
		},
			`[{"op":"add","path":"/spec/containers/0/volumeMounts","value":[{"name":"m","mountPath":"/m"}]}]`},
		"container between": {func(p *corev1.Pod) {
			p.Spec.Containers = slices.Insert(p.Spec.Containers, 0, corev1.Container{Name: "x"})
		},
			`[{"op":"add","path":"/spec/containers/0","value":{"name":"x","resources":{}}}]`},
		"volume of ours": {func(p *corev1.Pod) { p.Spec.Volumes[1].EmptyDir = &corev1.EmptyDirVolumeSource{} },
			`[{"op":"replace","path":"/spec/volumes/1","value":{"name":"sallyport-agent","emptyDir":{}}}]`},
		"a forged limit": {func(p *corev1.Pod) { p.Spec.Volumes[2].EmptyDir.SizeLimit = &usual },
			`[{"op":"replace","path":"/spec/volumes/2","value":{"name":"sallyport-private","emptyDir":{"sizeLimit":"1Mi"}}}]`},
	}
	for name, test := range tests {
		after := before.DeepCopy()
		test.change(after)
		ops, err := patch(before, after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := json.Marshal(ops)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
