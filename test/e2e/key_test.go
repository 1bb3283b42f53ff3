//go:build e2e

package e2e

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/test/canary"
	"github.com/sallyport-dev/sallyport/test/stage"
)

// search looks through all that the agent of a half can read.
//
// A stream of more than a hundred megabytes may break on a busy node, which
// says nothing: it is read again.
func search(t *testing.T, half stage.Half) *canary.Scanner {
	t.Helper()
	var err error
	for range 3 {
		s := &canary.Scanner{Secrets: keys()}
		if err = world.ReadAll(t.Context(), half, s); err == nil {
			return s
		}
		t.Logf("reading again: %v", err)
	}
	t.Fatal(err)
	return nil
}

// keys are the real ones, by what they open.
func keys() map[string]string {
	return map[string]string{"GitHub": world.Key, "the API server": world.ClusterKey}
}

// TestKeyIsNowhereInTheAgent searches for both real keys in every rendering
// that answers are masked for. The same search finds both where the agent
// holds them.
func TestKeyIsNowhereInTheAgent(t *testing.T) {
	control := search(t, stage.Without)
	for name := range keys() {
		if control.Found()[name] == "" {
			t.Errorf("the search finds no key of %s where there is one", name)
		}
	}
	guarded := search(t, stage.With)
	for name, form := range guarded.Found() {
		t.Errorf("the key of %s is in the agent's container, as %s", name, form)
	}
	const least = 50 << 20 // the image alone has more
	if guarded.Size() < least {
		t.Errorf("only %d bytes were searched", guarded.Size())
	}
	t.Logf("%d bytes searched in the agent, %d in the control", guarded.Size(), control.Size())
}

// TestKeyIsInNoObjectAndNoLog searches what a reader of the namespace sees.
func TestKeyIsInNoObjectAndNoLog(t *testing.T) {
	var all bytes.Buffer
	for _, args := range [][]string{
		{"get", "pods,replicasets,deployments,configmaps,events,scopedcredentials", "-n", stage.With.Agents, "-o", "yaml"},
		{"logs", "-n", stage.With.Agents, "deployment/agent", "-c", "agent"},
		{"logs", "-n", stage.With.Agents, "deployment/agent", "-c", "sallyport-sidecar"},
		{"get", "upstreamsecrets", "-n", stage.Secrets, "-o", "yaml"},
		{"get", "configmaps,events", "-n", "sallyport-system", "-o", "yaml"},
		{"logs", "-n", "sallyport-system", "-l", "app.kubernetes.io/part-of=sallyport", "--tail=-1"},
	} {
		text, err := world.Cluster.Run(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Errorf("kubectl %s printed nothing", strings.Join(args, " "))
		}
		all.WriteString(text)
	}
	for name, secret := range keys() {
		if form := canary.Find(secret, all.String()); form != "" {
			t.Errorf("the key of %s is in an object or a log, as %s", name, form)
		}
	}
}
