package inject

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestParseAnnotations(t *testing.T) {
	asked, err := ParseAnnotations(map[string]string{
		AnnotationCredentials: "release-notes,open.ai",
		AnnotationContainers:  "agent",
		AnnotationClient:      "base-url",
		AnnotationCPU:         "0.5",
		AnnotationMemory:      "64Mi",
		"other.example/key":   "of no concern",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"release-notes", "open.ai"}, asked.Credentials); diff != "" {
		t.Errorf("the order is the author's, since the first named wins (-want +got):\n%s", diff)
	}
	if asked.Client != ClientBaseURL || asked.CPU.String() != "500m" || asked.Memory.String() != "64Mi" || len(asked.Containers) != 1 {
		t.Errorf("got %+v", asked)
	}
}

func TestParseAnnotationsRefuses(t *testing.T) {
	var names []string
	for i := range MaxCredentials + 1 {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	tests := map[string]struct{ why, key, value string }{
		"empty":            {"empty never means all", AnnotationCredentials, ""},
		"too many":         {"bounded", AnnotationCredentials, strings.Join(names, ",")},
		"twice":            {"a copy is a mistake", AnnotationCredentials, "a,b,a"},
		"empty name":       {"a stray comma", AnnotationCredentials, "a,,b"},
		"end":              {"a stray comma", AnnotationCredentials, "a,"},
		"space":            {"names hold none; trimming is repairing", AnnotationCredentials, "a, b"},
		"other namespace":  {"names are of the pod's own", AnnotationCredentials, "other/a"},
		"flag":             {"names become part of arguments", AnnotationCredentials, "a=spt_x"},
		"upper case":       {"no object has such a name", AnnotationCredentials, "A"},
		"long":             {"no object has such a name", AnnotationCredentials, strings.Repeat("a", 300)},
		"no container":     {"empty never means all", AnnotationContainers, ""},
		"pinned":           {"not offered yet", AnnotationClient, "pinned"},
		"two clients":      {"one way, which the plan records", AnnotationClient, "proxy,base-url"},
		"PROXY":            {"one spelling", AnnotationClient, "PROXY"},
		"no client":        {"empty is not the default", AnnotationClient, ""},
		"image":            {"an author may not choose what runs", Domain + "image", "evil:1"},
		"typo":             {"a key that nobody reads would be ignored", Domain + "credential", "a"},
		"no cpu":           {"a quantity is positive", AnnotationCPU, "0"},
		"negative":         {"a quantity is positive", AnnotationMemory, "-64Mi"},
		"little memory":    {"the sidecar would be killed at once", AnnotationMemory, "1Mi"},
		"much memory":      {"the sidecar is not a place to hide a cluster's memory", AnnotationMemory, "1Ti"},
		"exponent":         {"to compare it takes minutes of the webhook", AnnotationCPU, "E100000000"},
		"large exponent":   {"to compare it takes minutes of the webhook", AnnotationMemory, "1e99999999"},
		"small exponent":   {"to compare it takes minutes of the webhook", AnnotationMemory, "1E-99999999"},
		"an exponent":      {"one spelling", AnnotationMemory, "128e6"},
		"long quantity":    {"the bounds need few digits", AnnotationCPU, "1." + strings.Repeat("0", 100)},
		"no quantity":      {"not a number", AnnotationCPU, "much"},
		"quoted and large": {"messages stay short", AnnotationClient, strings.Repeat("x", 10000)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			annotations := map[string]string{AnnotationCredentials: "release-notes"}
			annotations[test.key] = test.value
			_, err := ParseAnnotations(annotations)
			refused(t, test.why, err, test.key)
			if len(err.Error()) > 500 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
	_, err := ParseAnnotations(nil)
	refused(t, "a pod that asks for nothing gets nothing", err, AnnotationCredentials)
}

// FuzzParseAnnotations: what is accepted has names that can stand in arguments
// and in paths, and never more of them than the bound.
func FuzzParseAnnotations(f *testing.F) {
	f.Add("release-notes,openai", "agent", "10m")
	f.Add("", ",", "")
	f.Add("a/b=c", "--broker", "1e9")
	f.Fuzz(func(t *testing.T, credentials, containers, cpu string) {
		asked, err := ParseAnnotations(map[string]string{
			AnnotationCredentials: credentials, AnnotationContainers: containers, AnnotationCPU: cpu,
		})
		if err != nil {
			if len(asked.Credentials) != 0 {
				t.Fatalf("refused, and yet asked for %q", asked.Credentials)
			}
			return
		}
		if n := len(asked.Credentials); n < 1 || n > MaxCredentials || strings.Join(asked.Credentials, ",") != credentials {
			t.Fatalf("read %q as %q", credentials, asked.Credentials)
		}
		if strings.ContainsAny(credentials+containers, "/=\\ \n\x00\"'$;:") || strings.Contains(credentials, "..") {
			t.Fatalf("accepted %q, %q", credentials, containers)
		}
	})
}

// TestEqual has quantities that cannot be compared by value within minutes. The test
// binary's deadline is what ends it then.
func TestEqual(t *testing.T) {
	for name, test := range map[string]struct {
		a, b string
		want bool
	}{
		"the same":         {"1Mi", "1Mi", true},
		"another":          {"1Mi", "2Mi", false},
		"one value":        {"0.5", "500m", true},
		"a large exponent": {"1Mi", "1E100000000", false},
		"a small exponent": {"1Mi", "0E-100000000", false},
		"two of these":     {"1E100000000", "1E99999999", false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := limited(t, test.a), limited(t, test.b)
			if got := Equal(&a, &b); got != test.want {
				t.Errorf("%s and %s: %v", test.a, test.b, got)
			}
		})
	}
}

// limited is a volume of ours that another has given a limit.
func limited(t *testing.T, limit string) corev1.Volume {
	t.Helper()
	q, err := resource.ParseQuantity(limit)
	if err != nil {
		t.Fatal(err)
	}
	v := inMemory(volumeAgent)
	v.EmptyDir.SizeLimit = &q
	return v
}
