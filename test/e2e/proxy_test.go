//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/stage"
)

// proxied are the manifests of an agent in proxy mode. Its upstreams are in the
// cluster, by names that NO_PROXY does not cover.
const proxied = `
apiVersion: v1
kind: Namespace
metadata:
  name: NAMESPACE
  labels: {sallyport.dev-test: e2e, pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: holder, namespace: NAMESPACE}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Secret
metadata: {name: NAMESPACE, namespace: SECRETS, labels: {sallyport.dev-test: e2e}}
stringData: {token: KEY, cluster: CLUSTER_TOKEN}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: NAMESPACE, namespace: SECRETS, labels: {sallyport.dev-test: e2e}}
spec:
  endpoints:
  - {name: rest, url: "https://api.UPSTREAM", profile: github-rest, inject: {bearer: {}}, tls: {caBundle: UPSTREAM_CA}}
  source: {secretRef: {name: NAMESPACE, key: token}}
  consumers: {namespaces: [NAMESPACE]}
  network: {private: Allow}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: NAMESPACE-git, namespace: SECRETS, labels: {sallyport.dev-test: e2e}}
spec:
  endpoints:
  - {name: git, url: "https://api.UPSTREAM", profile: github-git, inject: {basic: {username: x-access-token}}, tls: {caBundle: UPSTREAM_CA}}
  source: {secretRef: {name: NAMESPACE, key: token}}
  consumers: {namespaces: [NAMESPACE]}
  network: {private: Allow}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: NAMESPACE-cluster, namespace: SECRETS, labels: {sallyport.dev-test: e2e}}
spec:
  endpoints:
  - {name: api, url: "https://kubernetes.default", inject: {bearer: {}}, tls: {caBundle: CLUSTER_CA}}
  source: {secretRef: {name: NAMESPACE, key: cluster}}
  consumers: {namespaces: [NAMESPACE]}
  network: {private: Allow}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: rest, namespace: NAMESPACE}
spec:
  upstream: {namespace: SECRETS, name: NAMESPACE}
  holders: {serviceAccounts: [holder]}
  grants:
  - {name: read, http: {methods: [GET], paths: ["/repos/acme/docs"]}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: git, namespace: NAMESPACE}
spec:
  upstream: {namespace: SECRETS, name: NAMESPACE-git}
  holders: {serviceAccounts: [holder]}
  grants:
  - {name: fetch, git: {repos: {equals: acme/docs}, fetch: true}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: cluster, namespace: NAMESPACE}
spec:
  upstream: {namespace: SECRETS, name: NAMESPACE-cluster}
  holders: {serviceAccounts: [holder]}
  grants:
  - {name: discover, http: {methods: [GET], paths: ["/api", "/apis", "/api/v1"]}, query: {params: {timeout: {type: String}}}}
  - {name: groups, http: {methods: [GET], paths: ["/apis/{group}/{version}"]}, query: {params: {timeout: {type: String}}}}
  - {name: maps, http: {methods: [GET], paths: ["/api/v1/namespaces/NAMESPACE/configmaps"]}, query: {params: {limit: {type: Integer}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      labels: {app: agent}
      annotations: {sallyport.dev/credentials: "rest,git,cluster", sallyport.dev/client: proxy}
    spec:
      serviceAccountName: holder
      terminationGracePeriodSeconds: 1
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        seccompProfile: {type: RuntimeDefault}
      containers:
      - name: agent
        image: CLIENTS
        imagePullPolicy: Never
        command: [sleep, infinity]
        securityContext:
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
`

// prelude is what a shell of the agent does first. The token of REST is in the
// variable that the profile knows; no other is read from anywhere but its file.
const prelude = `export HOME=/tmp TOKEN=$GITHUB_TOKEN GIT_TERMINAL_PROMPT=0; cd /tmp; `

// clients are scripts that print what they got for a URL.
var clients = map[string]string{
	"curl": `curl -sS -m 20 -w ' %{http_code}' -H "Authorization: Bearer $TOKEN" URL`,
	"Go":   `goclient GET URL`,
	"Python requests": `python3 -c 'import os, requests
r = requests.get("URL", headers={"Authorization": "Bearer " + os.environ["TOKEN"]}, timeout=20)
print(r.status_code, r.text)'`,
	"Node fetch": `node --input-type=module -e 'const r = await fetch("URL", {headers: {authorization: "Bearer " + process.env.TOKEN}, signal: AbortSignal.timeout(20000)});
console.log(r.status, await r.text())'`,
}

// TestProxyMode runs programs as they are in a pod in proxy mode: what is granted
// works, and nothing else reaches an upstream.
func TestProxyMode(t *testing.T) {
	const namespace = "e2e-proxy"
	var roots corev1.ConfigMap
	if err := world.Cluster.Get(t.Context(), &roots, "configmap", "kube-root-ca.crt", "-n", "kube-system"); err != nil {
		t.Fatal(err)
	}
	manifests := strings.NewReplacer(
		"NAMESPACE", namespace, "SECRETS", stage.Secrets, "UPSTREAM_CA", strconv.Quote(world.UpstreamCA()), "UPSTREAM", stage.With.Upstream,
		"CLUSTER_CA", strconv.Quote(roots.Data["ca.crt"]), "CLUSTER_TOKEN", world.ClusterKey, "CLIENTS", os.Getenv("SALLYPORT_CLIENTS_IMAGE"), "KEY", world.Key,
	).Replace(proxied)
	if err := world.Cluster.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	p := &probe{Namespace: namespace}
	p.running(t)
	p.awaitProxy(t)
	rest := "https://api." + stage.With.Upstream
	for name, script := range clients {
		t.Run(name, func(t *testing.T) {
			if out, err := p.shell(t, strings.ReplaceAll(script, "URL", rest+"/repos/acme/docs")); err != nil || !strings.Contains(out, "200") || !strings.Contains(out, "acme/docs") {
				t.Errorf("granted: %v: %s", err, out)
			}
			if out, err := p.shell(t, strings.ReplaceAll(script, "URL", rest+ungranted)); err != nil || !strings.Contains(out, "403") || !strings.Contains(out, "OutOfScope") {
				t.Errorf("not granted: %v: %s", err, out)
			}
			if out, err := p.shell(t, strings.ReplaceAll(script, "URL", "https://"+stranger+"/")); err == nil {
				t.Errorf("another host: %s", out)
			}
		})
	}
	t.Run("git", func(t *testing.T) { p.useGit(t, rest) })
	t.Run("kubectl", func(t *testing.T) { p.useKubectl(t) })
	t.Run("keys", func(t *testing.T) { p.lookForKeys(t) })
	t.Run("nothing else", func(t *testing.T) { p.lookUpstream(t) })
}

// What the programs ask for in vain: a path that nobody else asks for, and a host that
// no credential is for.
const (
	ungranted = "/repos/acme/docs/branches/e2e-proxy"
	stranger  = "elsewhere.example"
)

// lookUpstream holds that what was not granted was refused by the sidecar, for each
// program, and that the upstream saw none of it.
func (p *probe) lookUpstream(t *testing.T) {
	seen, err := world.Cluster.Run(t.Context(), "logs", "-n", stage.With.Upstream, "deployment/api", "--tail=-1")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen, `"/repos/acme/docs"`) || strings.Contains(seen, ungranted) {
		t.Errorf("of %s the upstream's log has %d, of what is granted %d", ungranted, strings.Count(seen, ungranted), strings.Count(seen, `"/repos/acme/docs"`))
	}
	said, err := world.Cluster.Run(t.Context(), "logs", "-n", p.Namespace, "deployment/agent", "-c", "sallyport-sidecar", "--tail=-1")
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]int{}
	for line := range strings.Lines(said) {
		var record struct{ Event, Method, Path, Reason string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Event == "decision" {
			refused[record.Method+" "+record.Path+" "+record.Reason]++
		}
	}
	for _, what := range []string{"CONNECT " + stranger + ":443 OutOfScope", "GET " + ungranted + " OutOfScope"} {
		if refused[what] < len(clients) {
			t.Errorf("%s: %d times of %d", what, refused[what], len(clients))
		}
	}
}

// shell runs a script in the agent's container.
func (p *probe) shell(t *testing.T, script string) (string, error) {
	t.Helper()
	return world.Cluster.Exec(t.Context(), p.Namespace, "deployment/agent", "agent", "bash", "-c", prelude+script+" 2>&1")
}

// awaitProxy waits until the scopes are accepted: before that all is refused.
func (p *probe) awaitProxy(t *testing.T) {
	t.Helper()
	err := kube.Until(t.Context(), soon, "an answer through the proxy", func(context.Context) error {
		out, err := p.shell(t, strings.ReplaceAll(clients["curl"], "URL", "https://api."+stage.With.Upstream+"/repos/acme/docs"))
		if err == nil && !strings.HasSuffix(out, "200") {
			err = fmt.Errorf("the answer was %s", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *probe) useGit(t *testing.T, rest string) {
	if out, err := p.shell(t, "rm -rf it && git clone -q "+rest+"/acme/docs it && git -C it log --oneline"); err != nil {
		t.Errorf("clone: %v: %s", err, out)
	}
	out, err := p.shell(t, "git -C it push "+rest+"/acme/docs HEAD:refs/heads/release-9")
	if err == nil || !strings.Contains(out, "remote: sallyport: A part of the request is out of scope") {
		t.Errorf("push: %v: %s", err, out)
	}
}

func (p *probe) useKubectl(t *testing.T) {
	const kubectl = `printf '{"apiVersion":"v1","kind":"Config","clusters":[{"name":"it","cluster":{"server":"https://kubernetes.default"}}],"users":[{"name":"it","user":{"tokenFile":"/var/run/sallyport/cluster/token"}}],"contexts":[{"name":"it","context":{"cluster":"it","user":"it","namespace":"e2e-proxy"}}],"current-context":"it"}' >config; kubectl --kubeconfig config `
	if out, err := p.shell(t, kubectl+"get configmaps -o name"); err != nil || !strings.Contains(out, "configmap/kube-root-ca.crt") {
		t.Errorf("configmaps: %v: %s", err, out)
	}
	for _, args := range []string{"get secrets", "delete configmap kube-root-ca.crt", "get pods -A"} {
		if out, err := p.shell(t, kubectl+args); err == nil || !strings.Contains(out, "orbidden") {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
}

// lookForKeys holds that neither upstream's key nor the authority's is where the
// agent reads, and that the authority's is in its own volume.
func (p *probe) lookForKeys(t *testing.T) {
	out, err := p.shell(t, "cat /var/run/sallyport/_trust/* /var/run/sallyport/*/token; env; ls /var/run/sallyport-private")
	if err == nil {
		t.Error("the agent has the sidecar's volume")
	}
	for name, key := range map[string]string{"upstream's": world.Key, "cluster's": world.ClusterKey, "authority's": "PRIVATE KEY"} {
		if strings.Contains(out, key) {
			t.Errorf("the %s key is where the agent reads", name)
		}
	}
	if !strings.Contains(out, "BEGIN CERTIFICATE") || !strings.Contains(out, "HTTPS_PROXY=http://127.0.0.1:14400") {
		t.Errorf("the agent finds %d bytes", len(out))
	}
	if out, err := p.shell(t, "echo x >/var/run/sallyport/_trust/ca.crt"); err == nil {
		t.Errorf("the agent writes whom it trusts: %s", out)
	}
}
