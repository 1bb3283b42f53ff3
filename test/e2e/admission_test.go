//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/kube"
)

// TestAnyOrder applies everything in one go, what is needed last: the pod is
// refused until there is what it asks for, and nobody has to do anything.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	p := newProbe("order")
	start := time.Now()
	p.apply(t, "namespace", "deployment", "accounts", "credential", "upstream", "key")
	p.running(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	t.Logf("settled after %.1f s", time.Since(start).Seconds())
}

// TestMissingCredential refuses a pod, in words that its owner finds in an
// Event, and lets it in once the credential is there.
func TestMissingCredential(t *testing.T) {
	t.Parallel()
	p := newProbe("missing")
	p.apply(t, "namespace", "accounts", "key", "upstream", "deployment")
	err := kube.Until(t.Context(), soon, "an Event that names what is missing", func(ctx context.Context) error {
		out, err := world.Cluster.Run(ctx, "get", "events", "-n", p.Namespace, "--field-selector=reason=FailedCreate", "-o", "jsonpath={.items[*].message}")
		if err == nil && !(strings.Contains(out, "sallyport.dev/credentials") && strings.Contains(out, "probe")) {
			err = fmt.Errorf("the Events say %q", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.apply(t, "credential")
	p.running(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
}

// TestNotAccepted starts the pod all the same, and denies until the credential
// is accepted.
func TestNotAccepted(t *testing.T) {
	t.Parallel()
	p := newProbe("unaccepted")
	p.Wrong = "    where: {nothing: {equals: x}}"
	p.start(t)
	got, err := p.send(t.Context(), "GET", readable)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusForbidden && got.status != http.StatusServiceUnavailable {
		t.Errorf("the answer was %d %s", got.status, got.body)
	}
	p.Wrong = ""
	p.apply(t, "credential")
	p.until(t, "GET", readable, http.StatusOK, "main")
}

// TestUnservable refuses pods that no sidecar could guard, and names annotation
// and remedy.
func TestUnservable(t *testing.T) {
	t.Parallel()
	p := newProbe("unservable")
	p.apply(t, "namespace", "accounts", "key", "upstream", "credential")
	for name, test := range map[string]struct{ why, spec, remedy string }{
		"hostNetwork": {"every process of the node would reach the sidecar", "hostNetwork: true", "hostNetwork"},
		"processes":   {"the agent could read the sidecar's memory", "shareProcessNamespace: true", "shareProcessNamespace"},
		"impostor": {"a name is no proof",
			"initContainers: [{name: sallyport-sidecar, image: example.com/mine, restartPolicy: Always}]", "rename or remove it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := world.Cluster.Pipe(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s, annotations: {sallyport.dev/credentials: probe}}
spec:
  serviceAccountName: holder
  %s
  containers: [{name: agent, image: example.com/agent}]
`, strings.ToLower(name), p.Namespace, test.spec), "create", "-f", "-")
			if err == nil || !strings.Contains(err.Error(), "sallyport.dev/credentials") || !strings.Contains(err.Error(), test.remedy) {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}

// TestJob completes though it has a sidecar.
func TestJob(t *testing.T) {
	t.Parallel()
	p := newProbe("job")
	p.apply(t, "namespace", "accounts", "key", "upstream", "credential")
	job := fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: agent, namespace: %s}
spec:
  backoffLimit: 0
  template:
    metadata:
      annotations: {sallyport.dev/credentials: probe}
    spec:
      restartPolicy: Never
%s`, p.Namespace, strings.Replace(p.manifestOf(t, "podspec"), "[sleep, infinity]",
		`[bash, -ec, 'curl -sf -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL/repos/acme/docs"']`, 1))
	if err := world.Cluster.Apply(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if _, err := world.Cluster.Run(t.Context(), "wait", "-n", p.Namespace, "job/agent", "--for=condition=Complete", "--timeout="+soon.String()); err != nil {
		t.Fatal(err)
	}
	out, err := world.Cluster.Run(t.Context(), "logs", "-n", p.Namespace, "job/agent", "-c", "agent")
	if err != nil || !strings.Contains(out, "acme/docs") {
		t.Errorf("the job printed %q, %v", out, err)
	}
}

// TestUserAsks answers the first questions of a person by kubectl alone.
func TestUserAsks(t *testing.T) {
	t.Parallel()
	p := newProbe("asks").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	if _, err := world.Cluster.Run(t.Context(), "wait", "-n", p.Namespace, "scred/probe", "--for=condition=Ready", "--timeout="+soon.String()); err != nil {
		t.Error(err)
	}
	out, err := world.Cluster.Run(t.Context(), "get", "scred", "-n", p.Namespace)
	if err != nil || !strings.Contains(out, "True") || !strings.Contains(out, "1/1") {
		t.Errorf("kubectl get scred: %v\n%s", err, out)
	}
	out, err = world.Cluster.Run(t.Context(), "get", "pods", "-n", p.Namespace, "-l", "app=agent", "-o",
		`jsonpath={.items[0].status.conditions[?(@.type=="sallyport.dev/ScopeEnforced")].status}`)
	if err != nil || out != "True" {
		t.Errorf("the pod's condition is %q, %v", out, err)
	}
	out, err = world.Cluster.Run(t.Context(), "explain", "scopedcredential.spec.holders")
	if err != nil || !strings.Contains(out, "serviceAccounts") {
		t.Errorf("kubectl explain: %v\n%s", err, out)
	}
	// A typo is refused, not dropped.
	p.Extra = "  - name: typo\n    http: {methods: [GET], path: [/repos/acme/docs]}"
	if err := world.Cluster.Apply(t.Context(), p.manifests(t, "credential")); err == nil || !strings.Contains(err.Error(), "path") {
		t.Errorf("a manifest with a typo: %v", err)
	}
}
