package podwebhook

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	jsonpatchv4 "gopkg.in/evanphx/json-patch.v4" // what the API server applies with
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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
	var ops []jsonpatch.Operation
	if err := json.Unmarshal(text, &ops); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"/metadata/annotations/", "/spec/initContainers/0", "/spec/volumes/"}
	for _, op := range ops {
		replaces := op.Operation == "replace" && slices.ContainsFunc(allowed, func(p string) bool { return strings.HasPrefix(op.Path, p) })
		if op.Operation != "add" && !replaces {
			t.Fatalf("%s %s: others' fields are only added to", op.Operation, op.Path)
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

// TestPatchRemovesNothing holds the guard against mistakes of our own.
func TestPatchRemovesNothing(t *testing.T) {
	before := &corev1.Pod{}
	before.Labels = map[string]string{"a": "b"}
	before.Spec.Containers = []corev1.Container{{Name: "agent", Args: []string{"x"}}}
	tests := map[string]func(*corev1.Pod){
		"a label":     func(p *corev1.Pod) { delete(p.Labels, "a") },
		"a container": func(p *corev1.Pod) { p.Spec.Containers[0].Name = "other" },
		"arguments":   func(p *corev1.Pod) { p.Spec.Containers[0].Args = nil },
	}
	for name, change := range tests {
		after := before.DeepCopy()
		change(after)
		if ops, err := patch(before, after); err == nil {
			t.Errorf("%s was removed by %v", name, ops)
		}
	}
}
