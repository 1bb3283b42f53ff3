//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/stage"
)

// label marks what a test has made.
const label = "sallyport.dev-test=e2e"

// soon is how long anything may take that has to do with starting a pod.
const soon = 90 * time.Second

// probe is an agent of a test's own: a namespace, a credential for the
// upstream of the story, and a pod to send requests from.
type probe struct {
	Namespace, Agent, Upstream, Secrets, CA, Key string
	Account                                      string // of the pod; the holder is always "holder"
	Annotation                                   string
	Extra                                        string // grants besides the one that reads
	Wrong                                        string // a part of the scope that cannot be compiled
	Lifetime                                     string // of tokens, and of the lease; empty: the default
}

var parts = template.Must(template.New("").Parse(`
{{define "namespace"}}
apiVersion: v1
kind: Namespace
metadata:
  name: {{.Namespace}}
  labels: {sallyport.dev-test: e2e, pod-security.kubernetes.io/enforce: restricted}
{{end}}
{{define "accounts"}}
apiVersion: v1
kind: ServiceAccount
metadata: {name: holder, namespace: {{.Namespace}}}
automountServiceAccountToken: false
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: {{.Namespace}}}
automountServiceAccountToken: false
{{end}}
{{define "podspec"}}
      serviceAccountName: {{.Account}}
      terminationGracePeriodSeconds: 1
      securityContext:
        runAsNonRoot: true
        seccompProfile: {type: RuntimeDefault}
      containers:
      - name: agent
        image: {{.Agent}}
        imagePullPolicy: Never
        command: [sleep, infinity]
        securityContext:
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
{{end}}
{{define "deployment"}}
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: {{.Namespace}}}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      labels: {app: agent}
      annotations: {sallyport.dev/credentials: {{.Annotation}}}
    spec:
{{template "podspec" .}}
{{end}}
{{define "credential"}}
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: probe, namespace: {{.Namespace}}}
spec:
  upstream: {namespace: {{.Secrets}}, name: {{.Namespace}}}
  holders: {serviceAccounts: [holder]}
{{- with .Lifetime}}
  lifetime: {{.}}
  maxOffline: {{.}}
{{- end}}
  grants:
  - name: read
    http: {methods: [GET], paths: ["/repos/acme/docs"]}
{{.Wrong}}
{{.Extra}}
{{end}}
{{define "upstream"}}
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: {{.Namespace}}, namespace: {{.Secrets}}, labels: {sallyport.dev-test: e2e}}
spec:
  endpoints:
  - name: rest
    url: https://api.{{.Upstream}}.svc
    profile: github-rest
    inject: {bearer: {}}
    tls: {caBundle: {{.CA}}}
  source: {secretRef: {name: {{.Namespace}}, key: token}}
  consumers: {namespaces: [{{.Namespace}}]}
  network: {private: Allow}
{{end}}
{{define "key"}}
apiVersion: v1
kind: Secret
metadata: {name: {{.Namespace}}, namespace: {{.Secrets}}, labels: {sallyport.dev-test: e2e}}
stringData: {token: {{.Key}}}
{{end}}
`))

// newProbe describes an agent called name; nothing is applied yet.
func newProbe(name string) *probe {
	return &probe{
		Namespace: "e2e-" + name, Agent: world.images.Agent, Upstream: stage.With.Upstream, Secrets: stage.Secrets,
		CA: strconv.Quote(world.UpstreamCA()), Key: world.Key, Account: "holder", Annotation: "probe",
	}
}

// manifests joins the named parts, in the order given.
func (p *probe) manifests(t *testing.T, names ...string) string {
	t.Helper()
	var out bytes.Buffer
	for _, name := range names {
		out.WriteString("---\n")
		if err := parts.ExecuteTemplate(&out, name, p); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// manifestOf is one part alone.
func (p *probe) manifestOf(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimPrefix(p.manifests(t, name), "---\n")
}

func (p *probe) apply(t *testing.T, names ...string) {
	t.Helper()
	if err := world.Cluster.Apply(t.Context(), p.manifests(t, names...)); err != nil {
		t.Fatal(err)
	}
}

// start applies everything and waits for the pod.
func (p *probe) start(t *testing.T) *probe {
	t.Helper()
	p.apply(t, "namespace", "accounts", "key", "upstream", "credential", "deployment")
	p.running(t)
	return p
}

func (p *probe) running(t *testing.T) {
	t.Helper()
	_, err := world.Cluster.Run(t.Context(), "rollout", "status", "-n", p.Namespace, "deployment/agent", "--timeout="+soon.String())
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what the agent got.
type answer struct {
	status int
	body   string
}

// send has the agent send a request with its token.
func (p *probe) send(ctx context.Context, method, path string) (answer, error) {
	script := fmt.Sprintf(`curl -s -m 20 -X %s -w '\n%%{http_code}' -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL%s"`, method, path)
	out, err := world.Cluster.Exec(ctx, p.Namespace, "deployment/agent", "agent", "bash", "-c", script)
	if err != nil {
		return answer{}, err
	}
	end := strings.LastIndexByte(out, '\n')
	status, err := strconv.Atoi(out[end+1:])
	return answer{status, out[:end]}, err
}

// until waits until the agent gets the status, with that text in the answer.
func (p *probe) until(t *testing.T, method, path string, status int, text string) {
	t.Helper()
	err := kube.Until(t.Context(), soon, fmt.Sprintf("%d for %s %s", status, method, path), func(ctx context.Context) error {
		got, err := p.send(ctx, method, path)
		if err == nil && (got.status != status || !strings.Contains(got.body, text)) {
			err = fmt.Errorf("the answer was %d %s", got.status, got.body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pod is the agent's pod.
func (p *probe) pod(t *testing.T) corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := world.Cluster.Get(t.Context(), &pods, "pods", "-n", p.Namespace, "-l", "app=agent"); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 1 {
		t.Fatalf("%d pods of the agent", len(pods.Items))
	}
	return pods.Items[0]
}

// sidecar is the status of the sidecar in a pod.
func sidecar(pod *corev1.Pod) (corev1.ContainerStatus, error) {
	for _, s := range pod.Status.InitContainerStatuses {
		if s.Name == "sallyport-sidecar" {
			return s, nil
		}
	}
	return corev1.ContainerStatus{}, errors.New("the pod has no sidecar")
}
