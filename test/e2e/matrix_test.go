//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/test/canary"
	"github.com/sallyport-dev/sallyport/test/kube"
)

// thief is a container that asks the broker with the identity it was given.
func thief(volume string) corev1.Container {
	always, no := corev1.ContainerRestartPolicyAlways, false
	c := corev1.Container{
		Name: "thief", Image: world.images.Agent, ImagePullPolicy: corev1.PullNever, RestartPolicy: &always,
		Command: []string{"bash", "-c", `intruder broker -token="$(cat /stolen/token)"; sleep infinity`},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if volume != "" {
		c.VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: "/stolen", ReadOnly: true}}
	}
	return c
}

// forgery is a pod as an author could write it where no webhook is asked.
type forgery struct {
	why    string
	change func(*corev1.Pod)
	policy string // that refuses it; empty: none does
	// Of those that ask the broker themselves: the container. Else the sidecar
	// asks, and the condition tells.
	asks string
	says string // by attestation
}

var forgeries = map[string]forgery{
	"own-mount": {"the sidecar's identity in another container", func(p *corev1.Pod) {
		p.Spec.InitContainers = slices.Insert(p.Spec.InitContainers, 0, thief("sallyport-identity"))
	}, "sallyport-pods", "thief", "container thief"},
	"own-identity": {"a second one", func(p *corev1.Pod) {
		v := p.Spec.Volumes[slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "sallyport-identity" })]
		v.Name = "mine"
		p.Spec.Volumes = append(p.Spec.Volumes, v)
		p.Spec.InitContainers = slices.Insert(p.Spec.InitContainers, 0, thief("mine"))
	}, "sallyport-pods", "thief", "volume mine"},
	"second-sidecar": {"it would be given the same", func(p *corev1.Pod) {
		second := *p.Spec.InitContainers[0].DeepCopy()
		second.Name = "second"
		p.Spec.InitContainers = slices.Insert(p.Spec.InitContainers, 0, second)
	}, "sallyport-pods", "", "container second"},
	"pre-named": {"a program of the author's by our name", func(p *corev1.Pod) {
		c := thief("sallyport-identity")
		c.Name = "sallyport-sidecar"
		p.Spec.InitContainers[0] = c
	}, "sallyport-pods", "sallyport-sidecar", ".image"},
	"variable": {"it steers the sidecar's program", func(p *corev1.Pod) {
		c := &p.Spec.InitContainers[0]
		c.Env = append(c.Env, corev1.EnvVar{Name: "GODEBUG", Value: "netdns=cgo"})
	}, "", "", "env GODEBUG"},
}

// forged is what the author makes of a live pod.
func forged(live *corev1.Pod, name string, change func(*corev1.Pod)) *corev1.Pod {
	p := live.DeepCopy()
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	p.ObjectMeta = metav1.ObjectMeta{ // without the labels by which a ReplicaSet would adopt it
		Name: name, Namespace: live.Namespace, Labels: map[string]string{"sallyport.dev/injected": "true"}, Annotations: live.DeepCopy().Annotations,
	}
	p.Spec.NodeName, p.Status = "", corev1.PodStatus{}
	change(p)
	return p
}

// create has dora create a pod.
func (p *probe) create(ctx context.Context, pod *corev1.Pod, args ...string) error {
	text, err := json.Marshal(pod)
	if err != nil {
		return err
	}
	_, err = world.Cluster.Pipe(ctx, string(text), append([]string{"--as=dora", "-n", p.Namespace, "create", "-f", "-"}, args...)...)
	return err
}

// bindings end with the one that is waited for: the API server hears of them in
// the order in which they change, so that it then knows of all.
var bindings = []string{"sallyport-debug", "sallyport-exec", "sallyport-tokens", "sallyport-updates", "sallyport-pods"}

// policies sets what the bindings of all policies do, in their order.
func policies(ctx context.Context, action string) error {
	for _, name := range bindings {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/validationActions","value":[%q]}]`, action)
		if _, err := world.Cluster.Run(ctx, "patch", "validatingadmissionpolicybinding", name, "--type=json", "-p", patch); err != nil {
			return err
		}
	}
	return nil
}

// withoutWebhook has the webhook left out for the namespace, until the test ends.
func (p *probe) withoutWebhook(t *testing.T) {
	t.Helper()
	patch := func(ctx context.Context, op string) error {
		_, err := world.Cluster.Run(ctx, "patch", "mutatingwebhookconfiguration", "agent.sallyport.dev", "--type=json", "-p", op)
		return err
	}
	const path = `"path":"/webhooks/0/namespaceSelector/matchExpressions/0"`
	err := patch(t.Context(), fmt.Sprintf(`[{"op":"add",%s,"value":{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":[%q]}}]`, path, p.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := patch(context.WithoutCancel(t.Context()), `[{"op":"remove",`+path+`}]`); err != nil {
			t.Error(err)
		}
	})
}

// TestTamperMatrix goes each way around admission: first it is refused by a
// policy, then all policies are switched off, and the broker refuses the pod or
// cuts it off. No other test runs meanwhile.
func TestTamperMatrix(t *testing.T) {
	p := newProbe("matrix").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	if err := world.Cluster.Apply(t.Context(), fmt.Sprintf(dora, p.Namespace)); err != nil {
		t.Fatal(err)
	}
	live := p.pod(t)
	ways := p.changeable(t, &live)
	p.withoutWebhook(t)
	bare := forged(&live, "bare", func(pod *corev1.Pod) {
		pod.Spec.InitContainers, pod.Labels = nil, nil
		delete(pod.Annotations, "sallyport.dev/plan")
		ours := func(name string) bool { return strings.HasPrefix(name, "sallyport-") }
		pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return ours(v.Name) })
		c := &pod.Spec.Containers[0]
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return ours(m.Name) })
	})
	p.await(t, "the webhook to be left out", func(ctx context.Context) error {
		return says(p.create(ctx, bare, "--dry-run=server"), "ValidatingAdmissionPolicy 'sallyport-pods'")
	})
	for name, f := range forgeries {
		if f.policy == "" {
			continue
		}
		err := p.create(t.Context(), forged(&live, name, f.change), "--dry-run=server")
		if err := says(err, "ValidatingAdmissionPolicy '"+f.policy+"'"); err != nil {
			t.Errorf("%s, %s: %v", name, f.why, err)
		}
	}
	t.Cleanup(func() {
		if err := policies(context.WithoutCancel(t.Context()), "Deny"); err != nil {
			t.Error(err)
		}
		p.await(t, "the policies to be back", func(ctx context.Context) error {
			return says(p.create(ctx, bare, "--dry-run=server"), "ValidatingAdmissionPolicy 'sallyport-pods'")
		})
	})
	if err := policies(t.Context(), "Audit"); err != nil {
		t.Fatal(err)
	}
	p.await(t, "the policies to be off", func(ctx context.Context) error { return p.create(ctx, bare, "--dry-run=server") })
	for name, f := range forgeries {
		if err := p.create(t.Context(), forged(&live, name, f.change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.create(t.Context(), bare); err != nil {
		t.Error(err)
	}
	ways(t)
	for name, f := range forgeries {
		t.Run(name, func(t *testing.T) { p.refused(t, name, f) })
	}
	t.Run("webhook down", func(t *testing.T) { p.nothing(t, "bare") })
}

// says wants an error with that text.
func says(err error, text string) error {
	if err == nil || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("want a refusal that says %q, got: %w", text, err)
	}
	return nil
}

func (p *probe) await(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := kube.Until(ctx, soon, what, check); err != nil {
		t.Error(err)
	}
}

// refused waits until the broker has refused a forged pod, and looks for the key.
func (p *probe) refused(t *testing.T, name string, f forgery) {
	p.await(t, "the broker to refuse "+name, func(ctx context.Context) error {
		text, err := p.conditionOf(ctx, name)
		if err == nil && f.asks != "" {
			var said string
			said, err = world.Cluster.Run(ctx, "logs", "-n", p.Namespace, name, "-c", f.asks)
			text += said
			if !strings.Contains(said, `"Status":403`) {
				err = fmt.Errorf("container %s says %q", f.asks, said)
			}
		}
		if form := canary.Find(p.Key, text); form != "" {
			t.Errorf("the key was handed out, as %s", form)
		}
		if err == nil && !(strings.Contains(text, "AttestationFailed") && strings.Contains(text, f.says)) {
			err = fmt.Errorf("%s: %q", f.why, text)
		}
		return err
	})
}

func (p *probe) conditionOf(ctx context.Context, pod string) (string, error) {
	return world.Cluster.Run(ctx, "get", "pod", pod, "-n", p.Namespace, "-o", `jsonpath={.status.conditions[?(@.type=="sallyport.dev/ScopeEnforced")]}`)
}

// nothing holds that a pod without a sidecar has no identity to ask with.
func (p *probe) nothing(t *testing.T, pod string) {
	if _, err := world.Cluster.Run(t.Context(), "wait", "-n", p.Namespace, "pod/"+pod, "--for=condition=Ready", "--timeout="+soon.String()); err != nil {
		t.Fatal(err)
	}
	out, err := world.Cluster.Exec(t.Context(), p.Namespace, pod, "agent", "intruder", "broker")
	var answers []answered
	if err == nil {
		err = json.Unmarshal([]byte(out), &answers)
	}
	if err != nil || len(answers) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, a := range answers {
		if a.Status < 400 {
			t.Errorf("the broker answered %s: %d", a.Name, a.Status)
		}
	}
}

// changeable starts pods, by the webhook, to be changed while they run. What it
// returns changes them, as dora, and holds that each is cut off.
func (p *probe) changeable(t *testing.T, live *corev1.Pod) func(*testing.T) {
	t.Helper()
	changes := map[string][]string{
		"image": {"set", "image", "pod/image", "sallyport-sidecar=" + p.Agent},
		"label": {"label", "pod", "label", "sallyport.dev/injected-"},
		"debug": {"debug", "debug", "--image=" + p.Agent, "--image-pull-policy=Never", "--target=sallyport-sidecar",
			"--profile=restricted", "--attach=false", "--", "sleep", "infinity"},
	}
	for _, name := range []string{"image", "label", "debug", "exec"} {
		if err := p.create(t.Context(), forged(live, name, func(*corev1.Pod) {})); err != nil {
			t.Fatal(err)
		}
	}
	_, err := world.Cluster.Run(t.Context(), "wait", "-n", p.Namespace, "pod/image", "pod/label", "pod/debug", "pod/exec",
		"--for=condition=Ready", "--timeout="+soon.String())
	if err != nil {
		t.Fatal(err)
	}
	for name := range changes {
		p.await(t, name+" to have access", p.read(name, true))
	}
	return func(t *testing.T) {
		for name, args := range changes {
			if out, err := p.asDora(t, args...); err != nil {
				t.Errorf("%s, no policy being there: %v\n%s", name, err, out)
			}
		}
		for name := range changes {
			t.Run(name, func(t *testing.T) { p.await(t, "access to end", p.read(name, false)) })
		}
		t.Run("token", p.minted)
		t.Run("exec", p.executed)
	}
}

// read has the agent of a pod read, and tells whether that is granted as wanted.
func (p *probe) read(pod string, granted bool) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := world.Cluster.Exec(ctx, p.Namespace, pod, "agent", "bash", "-c",
			`curl -s -m 5 -w ' %{http_code}' -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL`+readable+`" || true`)
		if err == nil && strings.HasSuffix(out, " 200") != granted {
			err = fmt.Errorf("the answer was %q", out)
		}
		return err
	}
}

// minted has dora make an identity. Bound to no pod, it is of no use. Bound to
// one that runs it is that pod's, and whoever shows it is not: only once an
// administrator takes away what the pod is kept to is the same request given
// the key.
func (p *probe) minted(t *testing.T) {
	const pod = "exec"
	ask := func(args ...string) string {
		t.Helper()
		token, err := p.asDora(t, append([]string{"create", "token", "holder", "--audience=broker.sallyport.dev"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		out, err := world.Cluster.Exec(t.Context(), p.Namespace, pod, "agent", "intruder", "broker", "-token="+strings.TrimSpace(token))
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	if out := ask(); !strings.Contains(out, `"Status":401`) {
		t.Errorf("bound to no pod: the broker said %s", out)
	}
	bound := []string{"--bound-object-kind=Pod", "--bound-object-name=" + pod}
	if out := ask(bound...); !strings.Contains(out, `"Status":403`) || !strings.Contains(out, "another key") || canary.Find(p.Key, out) != "" {
		t.Errorf("bound to a pod that runs: the broker said %s", out)
	}
	_, err := world.Cluster.Run(t.Context(), "patch", "pod", pod, "-n", p.Namespace, "--subresource=status", "--type=strategic",
		"-p", `{"status":{"conditions":[{"type":"sallyport.dev/Sidecar","$patch":"delete"}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	p.await(t, "the control: without what the pod is kept to, the token is given the key", func(context.Context) error {
		if out := ask(bound...); !strings.Contains(out, `"Status":200`) || canary.Find(p.Key, out) == "" {
			return fmt.Errorf("the broker said %s", out)
		}
		return nil
	})
}

// executed has dora run in the sidecar's container what there is: no shell, and
// one program, which shows nothing. That is all: attestation sees no exec.
func (p *probe) executed(t *testing.T) {
	for _, command := range [][]string{
		{"cat", "/proc/1/environ"}, {"sh", "-c", "cat /proc/1/mem"}, {"/sidecar"}, {"/sidecar", "--help"}, {"/sidecar", "--broker=/proc/1/environ"},
		{"/sidecar", "--broker=127.0.0.1:1", "--listen=probe/rest=15400", "--health=127.0.0.1:14399"},
	} {
		out, err := p.asDora(t, append([]string{"exec", "exec", "-c", "sallyport-sidecar", "--"}, command...)...)
		if err == nil {
			t.Errorf("%v ran: %s", command, out)
			continue
		}
		if strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
			t.Errorf("%v was not tried, a policy being there: %v", command, err)
		}
		if form := canary.Find(p.Key, out+err.Error()); form != "" {
			t.Errorf("%v shows the key, as %s", command, form)
		}
	}
}
