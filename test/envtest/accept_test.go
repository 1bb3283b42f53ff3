package envtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TestAccepted sends every manifest of the tree as a careful client does. What
// is stored must decode.
func TestAccepted(t *testing.T) {
	for _, pattern := range [][]string{
		{"api", "v1alpha1", "testdata", "*.yaml"},
		{"config", "samples", "*.yaml"},
		{"test", "corpus", "scopes", "*.yaml"},
	} {
		found := ours(t, pattern...)
		if len(found) == 0 {
			t.Errorf("no object of ours in %v", pattern)
		}
		for _, name := range sorted(found) {
			t.Run(name, func(t *testing.T) {
				stored, err := try(t, found[name])
				if err != nil {
					t.Fatal(err)
				}
				decode(t, found[name].kind(), stored)
			})
		}
	}
}

// TestDefaults shows what a reader of the smallest objects sees.
func TestDefaults(t *testing.T) {
	tests := map[string]struct {
		why     string
		object  manifest
		pointer []string
		want    any
	}{
		"UpstreamSecret": {
			"every bound and choice is visible",
			smallest(t, "UpstreamSecret").with(t, "/spec/endpoints/0/tls", `{}`),
			[]string{"spec"},
			map[string]any{
				"endpoints": []any{map[string]any{
					"name": "api", "url": "https://api.example", "profile": "strict",
					"inject": map[string]any{"bearer": map[string]any{}},
					"tls":    map[string]any{"minVersion": "1.2"},
				}},
				"source":    map[string]any{"secretRef": map[string]any{"name": "key", "key": "token"}},
				"network":   map[string]any{"private": "Deny"},
				"plaintext": "Deny",
				"response":  map[string]any{"redirects": "Return", "cookies": "Drop"},
				"limits": map[string]any{
					"headerBytes": number(32768), "bodyBytes": number(1048576), "concurrency": number(256),
					"requestTimeout": "30s", "answerTimeout": "5m", "streamTimeout": "30m",
				},
			},
		},
		"ScopedCredential": {
			"no consumers, ceiling, query or body appears by itself",
			smallest(t, "ScopedCredential"),
			[]string{"spec"},
			map[string]any{
				"upstream": map[string]any{"name": "small"},
				"holders":  map[string]any{"serviceAccounts": []any{"agent"}},
				"lifetime": "10m",
				"mode":     "Enforce",
				"grants": []any{map[string]any{
					"name": "read",
					"http": map[string]any{"methods": []any{"GET"}, "paths": []any{"/"}},
				}},
			},
		},
		"query and body": {
			"what a grant does not list stays denied",
			smallest(t, "ScopedCredential").with(t, "/spec/grants/0/query", `{}`).with(t, "/spec/grants/0/body", `{}`),
			[]string{"spec", "grants", "0"},
			map[string]any{
				"name":  "read",
				"http":  map[string]any{"methods": []any{"GET"}, "paths": []any{"/"}},
				"query": map[string]any{"unlisted": "Deny"},
				"body":  map[string]any{"unlisted": "Deny", "media": "JSON"},
			},
		},
		"never": {
			"what is left out matches anything, so nothing is filled in",
			smallest(t, "ScopedCredential").with(t, "/spec/never", `[{"http": {}, "query": {}, "body": {}}]`),
			[]string{"spec", "never", "0"},
			map[string]any{"http": map[string]any{}, "query": map[string]any{}, "body": map[string]any{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stored, err := try(t, test.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, at(parse(t, stored), test.pointer)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

// TestNumbersSurvive sends bounds that a float or 32 bits would change.
func TestNumbersSurvive(t *testing.T) {
	tests := map[string]struct{ why, sent, text string }{
		"above 2^53":       {"a float rounds it to ...992", `9007199254740993`, "9007199254740993"},
		"above 32 bits":    {"intstr fails on it", `-4294967296`, "-4294967296"},
		"least of 64 bits": {"the edge", `-9223372036854775808`, "-9223372036854775808"},
		"most of 64 bits":  {"the edge", `9223372036854775807`, "9223372036854775807"},
		"above 64 bits":    {"any size, as text", `"18446744073709551617"`, "18446744073709551617"},
		"fraction":         {"any precision, as text", `"1.5"`, "1.5"},
		"long fraction":    {"a float would cut it", `"0.1000000000000000000000001"`, "0.1000000000000000000000001"},
		"text":             {"an integer in quotes is one too", `"7"`, "7"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := smallest(t, "ScopedCredential").with(t, "/spec/sets", fmt.Sprintf(`[{"name": "bound", "min": %s}]`, test.sent))
			stored, err := try(t, m)
			if err != nil {
				t.Fatalf("%s: %v", test.why, err)
			}
			sc, ok := decode(t, "ScopedCredential", stored).(*v1alpha1.ScopedCredential)
			if !ok {
				t.Fatal("decoded something else")
			}
			if got := string(sc.Spec.Sets[0].Min); got != test.text {
				t.Errorf("%s: sent %s, stored %s", test.why, test.sent, got)
			}
		})
	}
}

// TestLargest sends as many grants and rules as the schema takes. The API
// server has a budget for evaluating them, which must suffice.
func TestLargest(t *testing.T) {
	grant := func(i int) string {
		return fmt.Sprintf(`{"name": "g%d", "http": {"methods": [%s], "paths": ["/a/%d/{x}"]}, "where": {"x": {"type": "String"}},
			"query": {"params": {"a": {"min": 1}}}, "body": {"fields": {"a": {"type": "Any"}}}, "limits": {"requests": {"count": 1, "per": "1m"}}}`,
			i, `"GET"`+methods(15), i)
	}
	grants := make([]string, 256)
	for i := range grants {
		grants[i] = grant(i)
	}
	never := make([]string, 64)
	for i := range never {
		never[i] = `{"graphql": {"select": [` + strings.Trim(strings.Repeat(`{"on": "A.b"},`, 64), ",") + `]}}`
	}
	began := time.Now()
	m := smallest(t, "ScopedCredential").
		with(t, "/spec/grants", "["+strings.Join(grants, ",")+"]").
		with(t, "/spec/never", "["+strings.Join(never, ",")+"]")
	if _, err := try(t, m); err != nil {
		t.Fatal(err)
	}
	ceiling := smallest(t, "UpstreamSecret").with(t, "/spec/ceiling", `{"grants": [`+strings.Join(grants, ",")+`]}`)
	if _, err := try(t, ceiling); err != nil {
		t.Fatal(err)
	}
	t.Logf("both took %v", time.Since(began))
}

// methods returns n more methods, each with a comma before it.
func methods(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `, "M%s"`, strings.Repeat("X", i+1))
	}
	return b.String()
}
