//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/test/kube"
)

const readable = "/repos/acme/docs"

// TestScopeChange has a running sidecar judge by a new scope, without a
// restart, and by the old one again.
func TestScopeChange(t *testing.T) {
	t.Parallel()
	p := newProbe("scope").start(t)
	before := p.pod(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	p.until(t, "GET", readable+"/branches", http.StatusForbidden, "OutOfScope")

	p.Extra = "  - name: branches\n    http: {methods: [GET], paths: [/repos/acme/docs/branches]}"
	p.apply(t, "credential")
	p.until(t, "GET", readable+"/branches", http.StatusOK, "release-1.0")

	p.Extra = ""
	p.apply(t, "credential")
	p.until(t, "GET", readable+"/branches", http.StatusForbidden, "OutOfScope")

	after := p.pod(t)
	was, err := sidecar(&before)
	if err != nil {
		t.Fatal(err)
	}
	is, err := sidecar(&after)
	if err != nil {
		t.Fatal(err)
	}
	if before.UID != after.UID || was.ContainerID != is.ContainerID || is.RestartCount != 0 {
		t.Errorf("the sidecar is not the one of before: %+v, then %+v", was, is)
	}
}

// TestRefusedScope leaves the last accepted scope in force, and says so: in a
// running sidecar, after a restart of the manager, and in a pod that starts
// afterwards.
func TestRefusedScope(t *testing.T) {
	p := newProbe("refused").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")

	p.Wrong = "    where: {nothing: {equals: x}}"
	p.apply(t, "credential")
	err := kube.Until(t.Context(), soon, "Accepted=False", func(ctx context.Context) error {
		out, err := world.Cluster.Run(ctx, "get", "scred", "probe", "-n", p.Namespace, "-o",
			`jsonpath={.status.conditions[?(@.type=="Accepted")].status}{" "}{.status.conditions[?(@.type=="Accepted")].message}`)
		if err == nil && (!strings.HasPrefix(out, "False ") || !strings.Contains(out, "where.nothing")) {
			err = fmt.Errorf("the condition is %q", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.until(t, "GET", readable, http.StatusOK, "main")

	restart(t, "sallyport-system", "deployment/sallyport-controller")
	p.until(t, "GET", readable, http.StatusOK, "main")
	restart(t, p.Namespace, "deployment/agent")
	p.until(t, "GET", readable, http.StatusOK, "main")
	p.until(t, "GET", readable+"/branches", http.StatusForbidden, "OutOfScope")
}

// restart replaces every pod of a Deployment and waits for the new ones.
func restart(t *testing.T, namespace, name string) {
	t.Helper()
	for _, args := range [][]string{
		{"rollout", "restart", "-n", namespace, name},
		{"rollout", "status", "-n", namespace, name, "--timeout=180s"},
	} {
		if _, err := world.Cluster.Run(t.Context(), args...); err != nil {
			t.Error(err)
		}
	}
}

// TestDeletion cuts access, and leaves the listener to say why.
func TestDeletion(t *testing.T) {
	t.Parallel()
	p := newProbe("deletion").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	if _, err := world.Cluster.Run(t.Context(), "delete", "scopedcredential", "probe", "-n", p.Namespace); err != nil {
		t.Fatal(err)
	}
	p.until(t, "GET", readable, http.StatusForbidden, "Revoked")
}

// TestRotation has the next request carry the new key: the upstream refuses a
// wrong one, and takes the right one again.
func TestRotation(t *testing.T) {
	t.Parallel()
	p := newProbe("rotation").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	p.Key = "ghp_not_this_one"
	p.apply(t, "key")
	p.until(t, "GET", readable, http.StatusUnauthorized, "Bad credentials")
	p.Key = world.Key
	p.apply(t, "key")
	p.until(t, "GET", readable, http.StatusOK, "main")
}

// TestStranger runs a pod of another service account with the same annotation:
// it starts, and gets nothing.
func TestStranger(t *testing.T) {
	t.Parallel()
	p := newProbe("stranger")
	p.Account = "stranger"
	p.start(t)
	p.until(t, "GET", readable, http.StatusForbidden, `"reason"`)
	text, err := world.Cluster.Run(t.Context(), "logs", "-n", p.Namespace, "deployment/agent", "-c", "sallyport-sidecar")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, `"verdict":"Deny"`) || strings.Contains(text, `"verdict":"Allow"`) {
		t.Errorf("the audit records are\n%s", text)
	}
}

// TestManagerRestart restarts every replica of the manager under traffic: not
// one request fails.
func TestManagerRestart(t *testing.T) {
	p := newProbe("restart").start(t)
	p.until(t, "GET", readable, http.StatusOK, "main")
	ctx, stop := context.WithCancel(t.Context())
	statuses := make(chan []string, 1)
	go func() {
		var all []string
		for ctx.Err() == nil {
			out, err := world.Cluster.Exec(t.Context(), p.Namespace, "deployment/agent", "agent", "bash", "-c",
				`for i in $(seq 50); do curl -s -m 20 -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL/repos/acme/docs"; done; true`)
			if err != nil {
				out = err.Error()
			}
			all = append(all, strings.Split(strings.TrimSpace(out), "\n")...)
		}
		statuses <- all
	}()
	restart(t, "sallyport-system", "deployment/sallyport-controller")
	stop()
	all := <-statuses
	if i := slices.IndexFunc(all, func(s string) bool { return s != "200" }); i >= 0 {
		t.Errorf("request %d of %d: %s", i, len(all), all[i])
	}
	t.Logf("%d requests meanwhile", len(all))
	// And the new manager has the pod again.
	p.Extra = "  - name: branches\n    http: {methods: [GET], paths: [/repos/acme/docs/branches]}"
	p.apply(t, "credential")
	p.until(t, "GET", readable+"/branches", http.StatusOK, "release-1.0")
}
