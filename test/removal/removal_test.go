//go:build e2e

// Package removal takes Sallyport out of a cluster as the README says. It runs
// after the other end-to-end tests, which need it.
package removal

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/stage"
)

// overlay is what hack/deploy.sh has installed.
const overlay = "../../bin/local"

// limit bounds every wait.
const limit = 2 * time.Minute

// TestRemoval leaves guarded pods running, lets pods that ask start again, and
// leaves nothing behind.
func TestRemoval(t *testing.T) {
	c, err := kube.Find(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	guarded := "-n=" + stage.With.Agents
	before := run(t, c, "get", "pods", guarded, "-l", "app=agent", "-o", "jsonpath={.items[*].metadata.uid}")
	if before == "" {
		t.Fatal("there is no guarded pod: the other end-to-end tests come first")
	}
	run(t, c, "delete", "mutatingwebhookconfiguration", "agent.sallyport.dev")
	run(t, c, "delete", "--ignore-not-found", "-k", overlay, "--timeout="+limit.String())

	if after := run(t, c, "get", "pods", guarded, "-l", "app=agent", "-o", "jsonpath={.items[*].metadata.uid}"); after != before {
		t.Errorf("the guarded pod is another one: %s, then %s", before, after)
	}
	if out := run(t, c, "get", "crd,clusterrole,clusterrolebinding,priorityclass,namespace,validatingadmissionpolicy,validatingadmissionpolicybinding", "-o", "name"); strings.Contains(out, "sallyport-") || strings.Contains(out, "sallyport.dev") {
		t.Errorf("something is left:\n%s", out)
	}
	refused(t, c)
	run(t, c, "delete", "pods", guarded, "-l", "app=agent", "--wait=false")
	err = kube.Until(t.Context(), limit, "a pod without a sidecar", func(ctx context.Context) error {
		out, err := c.Run(ctx, "get", "pods", guarded, "-l", "app=agent", "--field-selector=status.phase=Running",
			"-o", `jsonpath={range .items[?(@.metadata.deletionTimestamp=="")]}{.metadata.uid}{end}{range .items[*]}{.metadata.uid} {.spec.initContainers[*].name};{end}`)
		if err == nil && (strings.Contains(out, before) || strings.Contains(out, "sallyport-sidecar") || out == "") {
			err = fmt.Errorf("the pods are %q", out)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// refused waits until the guarded agent's requests are refused: its credential
// is gone.
func refused(t *testing.T, c kube.Cluster) {
	t.Helper()
	err := kube.Until(t.Context(), limit, "a refusal", func(ctx context.Context) error {
		out, err := c.Exec(ctx, stage.With.Agents, "deployment/agent", "agent", "bash", "-c",
			`curl -s -m 20 -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL/repos/acme/docs"`)
		if err == nil && out != "403" && out != "503" {
			err = fmt.Errorf("the answer was %s", out)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func run(t *testing.T, c kube.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
