package proxy

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/sidecar/metrics"
	"github.com/sallyport-dev/sallyport/sidecar/process"
)

// TestMetrics has the page tell what happened, and docs/reference/metrics.md
// list what is on it.
func TestMetrics(t *testing.T) {
	f := newFixture(t, echo)
	a := f.agent()
	for _, path := range []string{"/notes/7", "/admin", "/notes/8"} {
		a.send(request("GET", path) + "\r\n")
		a.read("GET")
	}
	var got string
	over := func() bool { // the last answer is sent before its exchange is over
		var page metrics.Text
		f.server.Metrics(&page)
		got = string(page.Bytes())
		return strings.Contains(got, "\nsallyport_exchanges 0\n")
	}
	if !eventually(over) {
		t.Error("an exchange is under way")
	}
	for _, want := range []string{
		`sallyport_decisions_total{namespace="agents",credential="notes",decision="Allow",reason=""} 2`,
		`sallyport_decisions_total{namespace="agents",credential="notes",decision="Deny",reason="OutOfScope"} 1`,
		`sallyport_request_duration_seconds_count{namespace="agents",credential="notes"} 2`,
		`sallyport_requests_in_flight{namespace="agents",credential="notes"} 0`,
		`sallyport_connections 1`,
		`sallyport_held_bytes 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, positive := range []string{"requests_in_flight_limit", "applied_timestamp_seconds", "applied_generation", "connections_limit", "exchanges_limit", "held_bytes_limit", "tunnels_limit"} {
		if !regexp.MustCompile(`(?m)^sallyport_` + positive + `(\{.*\})? [1-9]`).MatchString(got) {
			t.Errorf("%s is not above zero", positive)
		}
	}
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## Of the sidecar\n(.*?)\n## `).FindSubmatch(text)
	if section == nil {
		t.Fatal("docs/reference/metrics.md has no section of the sidecar")
	}
	if diff := cmp.Diff(names(got, `(?m)^# TYPE (\S+ \S+)$`, " "), names(string(section[1]), "(?m)^\\| `(\\S+)` \\| (\\S+) \\|", " ")); diff != "" {
		t.Errorf("docs/reference/metrics.md: -page +reference\n%s", diff)
	}
}

// TestMetricsOfLimits has the page tell those of a sidecar with the memory that there is.
func TestMetricsOfLimits(t *testing.T) {
	before := debug.SetMemoryLimit(2 * (128 << 20 / 100 * 85)) // twice what a sidecar has by default
	s := New(Options{})
	debug.SetMemoryLimit(before)
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	var page metrics.Text
	s.Metrics(&page)
	for _, want := range []string{
		fmt.Sprint("connections_limit ", min(2*maxConnections, process.Descriptors()/2)), "exchanges_limit 1024", "held_bytes_limit 4.194304e+07",
	} {
		if !strings.Contains(string(page.Bytes()), "\nsallyport_"+want+"\n") {
			t.Errorf("the page lacks %s:\n%s", want, page.Bytes())
		}
	}
}

// names are what the groups of a pattern match in a text.
func names(text, pattern, separator string) []string {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all[strings.Join(m[1:], separator)] = true
	}
	return slices.Sorted(maps.Keys(all))
}
