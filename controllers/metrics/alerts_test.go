package metrics_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/test/envtest"
)

// alert is a rule of Prometheus Operator's PrometheusRule.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// TestAlerts holds alerts, metrics and runbook together: each metric of the
// manager has an alert, each alert is about metrics that there are and reasons
// of the closed set, and leads to a section of its own.
func TestAlerts(t *testing.T) {
	reference, runbook := read(t, "docs/reference/metrics.md"), read(t, "docs/how-to/alerts.md")
	metrics := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(sallyport_\\S+)` \\|").FindAllStringSubmatch(reference, -1) {
		metrics[row[1]] = false
	}
	_, manager, _ := strings.Cut(reference, "\n## Of the manager\n")
	sections := regexp.MustCompile(`(?m)^## (\S+)$`).FindAllStringSubmatch(runbook, -1)
	var described, raised []string
	for _, s := range sections {
		described = append(described, s[1])
	}
	for _, a := range alerts(t) {
		raised = append(raised, a.Alert)
		named := regexp.MustCompile(`sallyport_[a-z_]+`).FindAllString(a.Expr, -1)
		if len(named) == 0 {
			t.Errorf("%s is about no metric of ours", a.Alert)
		}
		for _, name := range named {
			name = strings.TrimSuffix(name, "_bucket")
			if _, ok := metrics[name]; !ok {
				t.Errorf("%s is about %s, which nobody shows", a.Alert, name)
			}
			metrics[name] = true
		}
		for _, list := range regexp.MustCompile(`reason=~"([^"]*)"`).FindAllStringSubmatch(a.Expr, -1) {
			for reason := range strings.SplitSeq(list[1], "|") {
				if !slices.Contains(scope.Reasons(), scope.Reason(reason)) {
					t.Errorf("%s is about the reason %s, which there is not", a.Alert, reason)
				}
			}
		}
		if !strings.HasSuffix(a.Annotations["runbook_url"], "docs/how-to/alerts.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("%s leads to %q", a.Alert, a.Annotations["runbook_url"])
		}
		if !slices.Contains([]string{"warning", "critical"}, a.Labels["severity"]) || a.Annotations["summary"] == "" {
			t.Errorf("%s lacks a severity or a summary", a.Alert)
		}
	}
	if !slices.Equal(raised, described) {
		t.Errorf("alerts %q, and the runbook describes %q", raised, described)
	}
	for name, used := range metrics {
		if !used && strings.Contains(manager, "`"+name+"`") {
			t.Errorf("no alert is about %s", name)
		}
	}
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var rule struct {
		Kind string `json:"kind"`
		Spec struct {
			Groups []struct {
				Rules []alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/monitoring/alerts.yaml")), &rule); err != nil {
		t.Fatal(err)
	}
	for _, g := range rule.Spec.Groups {
		all = append(all, g.Rules...)
	}
	if rule.Kind != "PrometheusRule" || len(all) == 0 {
		t.Fatalf("%s has %d alerts", rule.Kind, len(all))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(envtest.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
