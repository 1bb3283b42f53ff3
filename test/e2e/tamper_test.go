//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/test/kube"
)

// dora may do everything with the core API in the namespace of a probe. The
// tests' own user is an administrator, who may bypass the policies.
const dora = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: core, namespace: %[1]s}
rules:
- {apiGroups: [""], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dora, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: core}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: dora}
`

// asDora runs kubectl as dora, in the namespace of the probe.
func (p *probe) asDora(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return world.Cluster.Run(t.Context(), append([]string{"--as=dora", "-n", p.Namespace}, args...)...)
}

// TestTamperingIsRefused tries to get at a running sidecar as somebody who may
// do everything with pods. Each attempt is refused by a policy, the same with
// the agent is not, and the agent's work goes on.
func TestTamperingIsRefused(t *testing.T) {
	t.Parallel()
	p := newProbe("tamper").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	if err := world.Cluster.Apply(t.Context(), fmt.Sprintf(dora, p.Namespace)); err != nil {
		t.Fatal(err)
	}
	pod := p.pod(t).Name
	debug := func(target string) []string {
		return []string{"debug", pod, "--image=" + p.Agent, "--image-pull-policy=Never", "--target=" + target, "--profile=restricted", "--attach=false", "--", "true"}
	}
	for name, test := range map[string]struct {
		why, policy string
		args        []string
	}{
		"exec":       {"the sidecar holds the key", "sallyport-exec", []string{"exec", pod, "-c", "sallyport-sidecar", "--", "/sidecar"}},
		"attach":     {"the sidecar holds the key", "sallyport-exec", []string{"attach", pod, "-c", "sallyport-sidecar"}},
		"debug":      {"it would see the sidecar's processes", "sallyport-debug", debug("sallyport-sidecar")},
		"token":      {"it is the sidecar's identity", "sallyport-tokens", []string{"create", "token", "holder", "--audience=broker.sallyport.dev"}},
		"pod token":  {"it is the sidecar's identity", "sallyport-tokens", []string{"create", "token", "holder", "--audience=broker.sallyport.dev", "--bound-object-kind=Pod", "--bound-object-name=" + pod}},
		"image":      {"another program would hold the key", "sallyport-updates", []string{"set", "image", "pod/" + pod, "sallyport-sidecar=" + p.Agent}},
		"label":      {"the broker would not see the pod", "sallyport-updates", []string{"label", "pod", pod, "sallyport.dev/injected-"}},
		"annotation": {"it is read at creation", "sallyport-updates", []string{"annotate", "--overwrite", "pod", pod, "sallyport.dev/credentials=other"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := p.asDora(t, test.args...)
			if err == nil || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+test.policy+"'") {
				t.Errorf("%s: kubectl %s: %v\n%s", test.why, strings.Join(test.args, " "), err, out)
			}
		})
	}
	for name, args := range map[string][]string{
		"exec":  {"exec", pod, "-c", "agent", "--", "true"},
		"debug": debug("agent"),
		"token": {"create", "token", "holder", "--audience=vault"},
		"label": {"label", "pod", pod, "app.kubernetes.io/name=probe"},
	} {
		t.Run(name+" of the agent", func(t *testing.T) {
			if out, err := p.asDora(t, args...); err != nil {
				t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
	p.until(t, "GET", readable, http.StatusOK, "main")
	if now := p.pod(t); now.Name != pod {
		t.Errorf("the pod is another one: %s, then %s", pod, now.Name)
	}
}

// TestTamperedPodIsCutOff lets an administrator, who may bypass the policies,
// put a debug container at the sidecar: the broker cuts the pod off, says why in
// its condition and in an Event, and a new pod has access again.
func TestTamperedPodIsCutOff(t *testing.T) {
	t.Parallel()
	p := newProbe("tampered").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	pod := p.pod(t).Name
	_, err := world.Cluster.Run(t.Context(), "debug", "-n", p.Namespace, pod, "--image="+p.Agent, "--image-pull-policy=Never",
		"--target=sallyport-sidecar", "--container=look", "--profile=restricted", "--attach=false", "--", "sleep", "infinity")
	if err != nil {
		t.Fatal(err)
	}
	p.until(t, "GET", readable, http.StatusForbidden, "Revoked")
	err = kube.Until(t.Context(), soon, "the condition and the Event", func(ctx context.Context) error {
		condition := ""
		for _, c := range p.pod(t).Status.Conditions {
			if c.Type == "sallyport.dev/ScopeEnforced" && c.Status == corev1.ConditionFalse {
				condition = c.Reason + " " + c.Message
			}
		}
		events, err := world.Cluster.Run(ctx, "get", "events", "-n", p.Namespace, "--field-selector=reason=AttestationFailed", "-o", "jsonpath={.items[*].message}")
		for what, text := range map[string]string{"condition": condition, "Event": "AttestationFailed " + events} {
			if err == nil && !(strings.Contains(text, "AttestationFailed") && strings.Contains(text, "ephemeral container look")) {
				err = fmt.Errorf("the %s says %q", what, text)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := world.Cluster.Run(t.Context(), "delete", "pod", "-n", p.Namespace, pod); err != nil {
		t.Fatal(err)
	}
	p.running(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
}

// TestSwappedImageIsCutOff lets an administrator swap the image of a running
// sidecar: whatever starts in its place gets nothing.
func TestSwappedImageIsCutOff(t *testing.T) {
	t.Parallel()
	p := newProbe("swapped").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	pod := p.pod(t).Name
	if _, err := world.Cluster.Run(t.Context(), "set", "image", "-n", p.Namespace, "pod/"+pod, "sallyport-sidecar="+p.Agent); err != nil {
		t.Fatal(err)
	}
	err := kube.Until(t.Context(), soon, "the condition", func(context.Context) error {
		conditions := p.pod(t).Status.Conditions
		for _, c := range conditions {
			if c.Type == "sallyport.dev/ScopeEnforced" && c.Reason == "AttestationFailed" && strings.Contains(c.Message, "[sallyport-sidecar].image") {
				return nil
			}
		}
		return fmt.Errorf("the conditions are %+v", conditions)
	})
	if err != nil {
		t.Error(err)
	}
}
