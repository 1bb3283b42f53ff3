package inject

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func TestNewPlan(t *testing.T) {
	pod := ask("release-notes,openai", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "fetch"}}
	})
	plan, warnings, err := NewPlan(pod, testSettings(), []Credential{github(), notes()})
	if err != nil {
		t.Fatal(err)
	}
	want := Plan{
		Version: 1, Image: testSettings().Image, Client: "base-url", UID: 14399, Roots: digest(testRoots),
		Listen:     []Listener{{"release-notes", "rest", 14400}, {"openai", "api", 14401}, {"openai", "files", 14402}},
		Handles:    map[string]string{"release-notes": handleA, "openai": handleB},
		Env:        []string{"GITHUB_API_URL", "GITHUB_TOKEN", "OPENAI_BASE_URL", "OPENAI_API_KEY", "FILES_URL"},
		Containers: []string{"fetch", "agent"},
		Broker:     testSettings().Broker, RootsPEM: testRoots,
		Variables: []bundle.EnvVar{
			{Name: "GITHUB_API_URL", Value: "http://127.0.0.1:14400"},
			{Name: "GITHUB_TOKEN", Value: handleA},
			{Name: "OPENAI_BASE_URL", Value: "http://127.0.0.1:14401/v1"},
			{Name: "OPENAI_API_KEY", Value: handleB},
			{Name: "FILES_URL", Value: "http://127.0.0.1:14402?key=" + handleB},
		},
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(warnings) != 0 {
		t.Errorf("nothing is doubtful, got %q", warnings)
	}
	for _, secret := range []string{testRoots, testSettings().Broker} {
		if strings.Contains(plan.String(), secret) {
			t.Errorf("the record holds %q, which whoever renders must know by himself", secret)
		}
	}
}

func TestVariables(t *testing.T) {
	tests := map[string]struct {
		why      string
		first    []bundle.EnvVar
		second   []bundle.EnvVar
		want     []bundle.EnvVar
		warnings int
	}{
		"of two credentials": {
			"the first named keeps it, and the author is told",
			[]bundle.EnvVar{{Name: "KEY", Value: "{token}"}}, []bundle.EnvVar{{Name: "KEY", Value: "{token}"}},
			[]bundle.EnvVar{{Name: "KEY", Value: handleA}}, 1,
		},
		"of one credential": {
			"its own comes before the preset, as it was meant",
			[]bundle.EnvVar{{Name: "KEY", Value: "x-{token}"}, {Name: "KEY", Value: "{token}"}}, nil,
			[]bundle.EnvVar{{Name: "KEY", Value: "x-" + handleA}}, 0,
		},
		"unknown endpoint": {
			"a variable that leads nowhere is not set, and the author is told",
			[]bundle.EnvVar{{Name: "URL", Value: "{url:nowhere}"}}, nil, nil, 1,
		},
		"other's endpoint": {
			"a credential's variables lead to its own endpoints alone",
			[]bundle.EnvVar{{Name: "URL", Value: "{url:api}"}}, nil, nil, 1,
		},
		"Basic": {
			"git shows the token as a password",
			[]bundle.EnvVar{{Name: "X", Value: "Basic {basic}"}}, nil,
			[]bundle.EnvVar{{Name: "X", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+handleA))}}, 0,
		},
		"not a placeholder": {
			"text is text",
			[]bundle.EnvVar{{Name: "X", Value: "{TOKEN} {url:}"}}, nil,
			[]bundle.EnvVar{{Name: "X", Value: "{TOKEN} {url:}"}}, 0,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := github(), notes()
			a.Env, b.Env = test.first, test.second
			plan, warnings, err := NewPlan(ask("release-notes,openai"), testSettings(), []Credential{a, b})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, plan.Variables); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
			if len(warnings) != test.warnings {
				t.Errorf("%s: got warnings %q", test.why, warnings)
			}
		})
	}
}

func TestNewPlanRefuses(t *testing.T) {
	pod := ask("release-notes")
	for name, change := range map[string]func(*Settings){
		"tag":       func(s *Settings) { s.Image = "sidecar:latest" },
		"no image":  func(s *Settings) { s.Image = "" },
		"no port":   func(s *Settings) { s.Broker = "broker" },
		"no roots":  func(s *Settings) { s.RootsPEM = "" },
		"user":      func(s *Settings) { s.UID = -1 },
		"all unset": func(s *Settings) { *s = Settings{} },
	} {
		s := testSettings()
		change(&s)
		if _, _, err := NewPlan(pod, s, []Credential{github()}); err == nil {
			t.Errorf("%s: settings %+v must be refused", name, s)
		}
	}
	forged := github()
	forged.Handle = "spt_guessable"
	for name, credentials := range map[string][]Credential{
		"none": nil, "another": {notes()}, "too many": {github(), notes()}, "forged handle": {forged},
	} {
		if _, _, err := NewPlan(pod, testSettings(), credentials); err == nil {
			t.Errorf("%s: a plan must serve what the pod asks for and nothing else", name)
		}
	}
	_, _, err := NewPlan(ask("release-notes", func(p *corev1.Pod) { p.Annotations[AnnotationContainers] = "missing" }), testSettings(), []Credential{github()})
	refused(t, "a container that is not there cannot be served", err, AnnotationContainers)
}

// TestHandles holds which handles outlive a pass.
func TestHandles(t *testing.T) {
	pod := ask("release-notes")
	if got := Handles(pod); got != nil {
		t.Errorf("a pod that was never injected has none, got %v", got)
	}
	injected := again(t, pod, testSettings(), github())
	if diff := cmp.Diff(map[string]string{"release-notes": handleA}, Handles(injected)); diff != "" {
		t.Errorf("the agent's containers know them (-want +got):\n%s", diff)
	}
	injected.Spec.InitContainers = nil
	if got := Handles(injected); got != nil {
		t.Errorf("a template with copied marks would share them among its pods, got %v", got)
	}
}

func TestWarnings(t *testing.T) {
	no := false
	author := func(v corev1.EnvVar) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.AutomountServiceAccountToken = &no
			p.Spec.Containers[0].Env = []corev1.EnvVar{v}
		}
	}
	secret := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "token"}}
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
		want   string
	}{
		"api token":      {"a second credential, wider than ours", func(*corev1.Pod) {}, "automountServiceAccountToken"},
		"another url":    {"the agent goes past the sidecar", author(corev1.EnvVar{Name: "GITHUB_API_URL", Value: "https://api.github.com"}), "GITHUB_API_URL"},
		"the real key":   {"the agent still has it", author(corev1.EnvVar{Name: "GITHUB_TOKEN", ValueFrom: secret}), "GITHUB_TOKEN"},
		"other variable": {"of no concern", author(corev1.EnvVar{Name: "HOME", Value: "/"}), ""},
		"same value":     {"leads to the sidecar", author(corev1.EnvVar{Name: "GITHUB_API_URL", Value: "http://127.0.0.1:14400"}), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := ask("release-notes", test.change)
			plan := mustPlan(t, pod, testSettings(), github())
			got := Warnings(pod, plan)
			if (test.want == "") != (len(got) == 0) || !strings.Contains(strings.Join(got, "\n"), test.want) {
				t.Errorf("%s: got %q", test.why, got)
			}
			before := slices.Clone(pod.Spec.Containers[0].Env)
			if err := Sidecar(pod, plan); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, pod.Spec.Containers[0].Env[:len(before)], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("a variable of the author's was changed (-before +after):\n%s", diff)
			}
			if test.want != "automountServiceAccountToken" {
				if second := Warnings(pod, plan); len(second) != len(got) {
					t.Errorf("the second pass says %q, the first said %q", second, got)
				}
			}
		})
	}
}

// FuzzParsePlan: only what String writes is read.
func FuzzParsePlan(f *testing.F) {
	pod := ask("release-notes,openai")
	f.Add(mustPlan(f, pod, testSettings(), github(), notes()).String())
	f.Add(`{"v":1}`)
	f.Add(`{"V":1,"v":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := ParsePlan(text)
		if err != nil {
			return
		}
		if plan.String() != text {
			t.Fatalf("read %q as %q", text, plan.String())
		}
		for name, handle := range plan.Handles {
			if !token.ValidHandle(handle) {
				t.Fatalf("read handle %q of %q", handle, name)
			}
		}
	})
}

func byProxy(p *corev1.Pod) { p.Annotations[AnnotationClient] = ClientProxy }

// In proxy mode one port is for all, whatever endpoints there are, and clients
// are told where the upstream itself is.
func TestProxyPlan(t *testing.T) {
	a, b := github(), notes()
	a.Env = append(a.Env, bundle.EnvVar{Name: "HTTPS_PROXY", Value: "http://elsewhere"}, bundle.EnvVar{Name: "NONE", Value: "{url:none}"})
	b.URLs[1] = "http://files.agents.svc"
	plan, warnings, err := NewPlan(ask("release-notes,openai", byProxy), testSettings(), []Credential{a, b})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Listener{{"release-notes", "", 14400}, {"openai", "", 14400}}, plan.Listen); diff != "" || plan.Client != "proxy" || plan.lastPort() != 14400 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for _, v := range plan.Variables {
		got[v.Name] = v.Value
	}
	for name, want := range map[string]string{
		"HTTPS_PROXY": "http://127.0.0.1:14400", "https_proxy": "http://127.0.0.1:14400", "NODE_EXTRA_CA_CERTS": "/var/run/sallyport/_trust/ca.crt",
		"GITHUB_API_URL": "https://api.github.com", "GITHUB_TOKEN": handleA, "OPENAI_BASE_URL": "https://api.openai.com/v1", "FILES_URL": "http://files.agents.svc?key=" + handleB,
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	told := strings.Join(warnings, "; ")
	if len(warnings) != 3 || !strings.Contains(told, "endpoint files of openai") || !strings.Contains(told, "HTTPS_PROXY leads to the proxy") || !strings.Contains(told, "no endpoint none") {
		t.Errorf("got warnings %q", warnings)
	}
	parsed, err := ParsePlan(plan.String())
	if err != nil || parsed.String() != plan.String() {
		t.Errorf("it does not read again: %v", err)
	}
	for why, change := range map[string]func(*Plan){
		"a port of its own":       func(p *Plan) { p.Listen[1].Port++ },
		"an endpoint":             func(p *Plan) { p.Listen[0].Endpoint = "rest" },
		"a listener of base URLs": func(p *Plan) { p.Client = ClientBaseURL },
		"another mode":            func(p *Plan) { p.Client = "pinned" },
	} {
		p := plan
		p.Listen = slices.Clone(plan.Listen)
		change(&p)
		if _, err := ParsePlan(p.String()); err == nil {
			t.Errorf("%s: the plan is read", why)
		}
	}
}
