package policy

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

// debugger is a debug container that looks into target.
func debugger(target string) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", Image: "debug:1", TerminationMessagePolicy: corev1.TerminationMessageReadFile, ImagePullPolicy: corev1.PullAlways,
		},
		TargetContainerName: target,
	}
}

// connect asks to run a command in a container, or to be attached to it.
func connect(ctx context.Context, who user, verb, subresource, pod, container string) error {
	var options runtime.Object = &corev1.PodExecOptions{Container: container, Command: []string{"ls"}, Stdout: true}
	if subresource == "attach" {
		options = &corev1.PodAttachOptions{Container: container, Stdout: true}
	}
	return who.CoreV1().RESTClient().Verb(verb).Namespace(namespace).Resource("pods").Name(pod).SubResource(subresource).
		VersionedParams(options, scheme.ParameterCodec).Do(ctx).Error()
}

// mint asks for a token of account.
func mint(ctx context.Context, who user, account string, audiences ...string) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	_, err := who.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	return err
}

// TestUpdates changes pods that run.
func TestUpdates(t *testing.T) {
	ours, theirs := live(t, "updated"), plain("updated-plain")
	if err := developer.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	label := func(value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels = map[string]string{inject.LabelInjected: value, "app": "x"} }
	}
	annotate := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			if p.Annotations == nil {
				p.Annotations = map[string]string{}
			}
			p.Annotations[key] = value
		}
	}
	tests := map[string]struct {
		why    string
		pod    *corev1.Pod
		change func(*corev1.Pod)
		says   string
	}{
		"image":            {"another program in the sidecar", ours, sidecar(func(c *corev1.Container) { c.Image = "evil:1" }), "image of container sallyport-sidecar"},
		"another digest":   {"not even a release's", ours, sidecar(func(c *corev1.Container) { c.Image = "x@sha256:" + strings.Repeat("cd", 32) }), "image of container sallyport-sidecar"},
		"label gone":       {"no informer would see it", ours, func(p *corev1.Pod) { p.Labels = nil }, "label sallyport.dev/injected"},
		"label":            {"no informer would see it", ours, label("no"), "label sallyport.dev/injected"},
		"label of theirs":  {"it was not injected", theirs, label("true"), "label sallyport.dev/injected"},
		"credentials":      {"they were planned at creation", ours, annotate(inject.AnnotationCredentials, "notes,other"), "annotations of sallyport.dev"},
		"plan":             {"only we write it", ours, annotate(inject.AnnotationPlan, "{}"), "annotations of sallyport.dev"},
		"plan gone":        {"only we write it", ours, func(p *corev1.Pod) { delete(p.Annotations, inject.AnnotationPlan) }, "annotations of sallyport.dev"},
		"new key":          {"nobody reads it", ours, annotate("sallyport.dev/x", "y"), "annotations of sallyport.dev"},
		"asks too late":    {"nobody reads it", theirs, annotate(inject.AnnotationCredentials, "notes"), "annotations of sallyport.dev"},
		"other annotation": {"of no concern", ours, annotate("sallyport.example/x", "y"), ""},
		"other label":      {"of no concern", ours, label("true"), ""},
		"agent's image":    {"of no concern", ours, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "agent:2" }, ""},
		"theirs":           {"of no concern", theirs, both(annotate("x", "y"), func(p *corev1.Pod) { p.Spec.Containers[0].Image = "agent:2" }), ""},
		"finalizer":        {"of no concern", theirs, func(p *corev1.Pod) { p.Finalizers = []string{"example.com/x"} }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := test.pod.DeepCopy()
			test.change(pod)
			policy := ""
			if test.says != "" {
				policy = "sallyport-updates"
			}
			held(t, test.why, developer.Update(t.Context(), pod.DeepCopy(), client.DryRunAll), policy, test.says)
			if policy != "" && strings.Contains(test.says, "image") {
				return // a status is written without the spec
			}
			held(t, "by its status: "+test.why, developer.Status().Update(t.Context(), pod, client.DryRunAll), policy, test.says)
		})
	}
	condition := []byte(`{"status":{"conditions":[{"type":"sallyport.dev/ScopeEnforced","status":"True"}]}}`)
	for _, pod := range []*corev1.Pod{ours, theirs} {
		err := node.Status().Patch(t.Context(), pod.DeepCopy(), client.RawPatch("application/strategic-merge-patch+json", condition), client.DryRunAll)
		held(t, "kubelets and the broker write statuses", err, "", "")
	}
}

// TestDebug puts debug containers into pods.
func TestDebug(t *testing.T) {
	ours, theirs := live(t, "debugged"), plain("debugged-plain")
	if err := developer.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	yes := true
	with := func(change func(*corev1.EphemeralContainer)) func(*corev1.EphemeralContainer) { return change }
	power := func(name corev1.Capability) func(*corev1.EphemeralContainer) {
		return func(c *corev1.EphemeralContainer) {
			c.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{name}}}
		}
	}
	mounts := func(name string) func(*corev1.EphemeralContainer) {
		return func(c *corev1.EphemeralContainer) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: name, MountPath: "/x", ReadOnly: true}}
		}
	}
	tests := map[string]struct {
		why    string
		pod    *corev1.Pod
		change func(*corev1.EphemeralContainer)
		says   string
	}{
		"of the agent":   {"people have to look", ours, with(func(*corev1.EphemeralContainer) {}), ""},
		"of nothing":     {"people have to look", ours, with(func(c *corev1.EphemeralContainer) { c.TargetContainerName = "" }), ""},
		"of the sidecar": {"its processes would be seen", ours, with(func(c *corev1.EphemeralContainer) { c.TargetContainerName = sidecarName }), "may not look into"},
		"our name":       {"it would be taken for ours", theirs, with(func(c *corev1.EphemeralContainer) { c.Name = sidecarName }), "may not look into"},
		"identity":       {"it would be the sidecar", ours, mounts("sallyport-identity"), "may not mount"},
		"private":        {"the sidecar's own files", ours, mounts("sallyport-private"), "may not mount"},
		"agent's":        {"the broker would not stand it", ours, mounts("sallyport-agent"), "may not mount"},
		"ptrace":         {"what kubectl debug adds by itself", ours, power("SYS_PTRACE"), "--profile=restricted"},
		"as runtimes":    {"they read it so", ours, power("cap_net_admin"), "--profile=restricted"},
		"privileged":     {"it has the node", ours, with(func(c *corev1.EphemeralContainer) { c.SecurityContext = &corev1.SecurityContext{Privileged: &yes} }), "--profile=restricted"},
		"harmless power": {"of no concern", ours, power("NET_BIND_SERVICE"), ""},
		"theirs":         {"of no concern", theirs, power("SYS_PTRACE"), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod, c := test.pod.DeepCopy(), debugger("agent")
			test.change(&c)
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, c)
			policy := ""
			if test.says != "" {
				policy = "sallyport-debug"
			}
			held(t, test.why, developer.SubResource("ephemeralcontainers").Update(t.Context(), pod, client.DryRunAll), policy, test.says)
		})
	}
}

// TestExec connects to containers. There is no kubelet, so who is let through
// gets another error.
func TestExec(t *testing.T) {
	pod := live(t, "connected")
	for _, subresource := range []string{"exec", "attach"} {
		for _, verb := range []string{"GET", "POST"} {
			err := connect(t.Context(), developer, verb, subresource, pod.Name, sidecarName)
			held(t, verb+" "+subresource+": it holds keys", err, "sallyport-exec", "holds keys")
			for _, container := range []string{"agent", ""} {
				err := connect(t.Context(), developer, verb, subresource, pod.Name, container)
				if err == nil || deniedBy(err, "sallyport-exec") || !strings.Contains(err.Error(), "host") {
					t.Errorf("%s %s %q: got %v, want the complaint that the pod runs nowhere", verb, subresource, container, err)
				}
			}
		}
	}
}

// TestTokens asks for tokens of the agent's account.
func TestTokens(t *testing.T) {
	held(t, "a sidecar's identity", mint(t.Context(), developer, "agent", audience), "sallyport-tokens", "its kubelet alone")
	held(t, "among others", mint(t.Context(), developer, "agent", "vault", audience), "sallyport-tokens", "its kubelet alone")
	held(t, "of no concern", mint(t.Context(), developer, "agent", "vault"), "", "")
	held(t, "of no concern", mint(t.Context(), developer, "agent"), "", "")
	held(t, "kubelets do", mint(t.Context(), node, "agent", audience), "", "")
}

// TestBreakGlass lets those through who may bypass pods of sallyport.dev, and
// finds each use in the audit log: a request that broke a rule and succeeded.
func TestBreakGlass(t *testing.T) {
	pod := live(t, "broken")
	forbidden := map[string]func(user) error{
		"sallyport-pods": func(who user) error {
			p := plain("broken-create")
			p.Spec.Containers[0].Name = sidecarName
			return who.Create(t.Context(), p, client.DryRunAll)
		},
		"sallyport-updates": func(who user) error {
			p := pod.DeepCopy()
			p.Labels = nil
			return who.Update(t.Context(), p, client.DryRunAll)
		},
		"sallyport-debug": func(who user) error {
			p := pod.DeepCopy()
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{debugger(sidecarName)}
			return who.SubResource("ephemeralcontainers").Update(t.Context(), p, client.DryRunAll)
		},
		"sallyport-exec": func(who user) error {
			err := connect(t.Context(), who, "POST", "exec", pod.Name, sidecarName)
			if err != nil && strings.Contains(err.Error(), "host") {
				return nil // let through: the pod runs nowhere
			}
			return err
		},
		"sallyport-tokens": func(who user) error { return mint(t.Context(), who, "agent", audience) },
	}
	for policy, try := range forbidden {
		t.Run(policy, func(t *testing.T) {
			held(t, "no role", try(developer), policy, "")
			held(t, "the role in a namespace alone", try(owner), policy, "")
			held(t, "the role", try(onCall), "", "")
			audited(t, policy, "otto")
		})
	}
	if err := onCall.Create(t.Context(), plain("sound"), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	for _, e := range auditEvents(t) {
		used := e.ImpersonatedUser != nil && e.ImpersonatedUser.Username == "otto"
		switch violated := e.violated(); {
		case violated == "":
		case e.ResponseStatus.Code == http.StatusForbidden && used:
			t.Errorf("%s was refused to otto", violated)
		case e.ResponseStatus.Code != http.StatusForbidden && !used:
			t.Errorf("%s was let through for %+v, %d", violated, e.ImpersonatedUser, e.ResponseStatus.Code)
		case e.ObjectRef.Name == "sound":
			t.Errorf("nothing is wrong with the pod, and yet %s", violated)
		}
	}
}

// auditEvent is what is read of a line of the audit log.
type auditEvent struct {
	Annotations      map[string]string
	ImpersonatedUser *authenticationv1.UserInfo
	ObjectRef        corev1.ObjectReference
	ResponseStatus   metav1.Status
}

// violated names the policy whose rule the request broke.
func (e *auditEvent) violated() string {
	for key := range e.Annotations {
		if policy, ok := strings.CutSuffix(key, "/violated"); ok {
			return policy
		}
	}
	return ""
}

func auditEvents(t *testing.T) (all []auditEvent) {
	t.Helper()
	text, err := os.ReadFile(auditLog)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e auditEvent
		if err := json.Unmarshal([]byte(line), &e); err == nil {
			all = append(all, e)
		} // else it is being written
	}
	return all
}

// audited waits until the audit log has somebody break a rule of policy.
func audited(t *testing.T, policy, name string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return slices.ContainsFunc(auditEvents(t), func(e auditEvent) bool {
			return e.violated() == policy && e.ImpersonatedUser != nil && e.ImpersonatedUser.Username == name
		}), nil
	})
	if err != nil {
		t.Errorf("the audit log does not tell that %s broke a rule of %s: %v", name, policy, err)
	}
}
