package mcp

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// differ are the scenarios that need a method which no grant can allow, with
// what the suite is told.
var differ = map[string]string{
	"completion-complete": "no grant can allow this method",
	"logging-set-level":   "no grant can allow this method",
	// It sets the level first.
	"tools-call-with-logging": "no grant can allow this method",
}

// TestConformance: the official suite finds the same of a server through the
// sidecar as without it, but for what no grant can allow.
func TestConformance(t *testing.T) {
	for name, args := range map[string][]string{"with sessions": {"-stateless=false"}, "without": {"-stateless=true"}} {
		t.Run(name, func(t *testing.T) {
			server := serveConformance(t, args...)
			s := runSidecar(t, newFront(t, server), conformance("query: {name: key}"))
			a := s.agents["agent"]
			without, through := servers(t, "http://"+server+"/mcp"), servers(t, a.url+"?key="+a.token)
			all := scenarios(t, "--server")
			for where, found := range map[string]map[string]found{"without": without, "through": through} {
				if played := slices.Sorted(maps.Keys(found)); !slices.Equal(played, all) {
					t.Errorf("%s, %q were played of %q", where, played, all)
				}
			}
			for scenario := range differ {
				if !slices.Contains(all, scenario) {
					t.Errorf("the suite has no %s", scenario)
				}
			}
			for _, scenario := range all {
				told, refused := differ[scenario]
				same := slices.Equal(without[scenario].status, through[scenario].status)
				switch {
				case refused && (same || !strings.Contains(through[scenario].errors, told)):
					t.Errorf("%s is the same as without, or is told something else: %+v", scenario, through[scenario])
				case !refused && !same:
					t.Errorf("%s differs: without %+v, through %+v", scenario, without[scenario], through[scenario])
				}
			}
		})
	}
}

// alike are the scenarios for clients in which a sidecar changes nothing; the
// others are in oauth.
var alike = []string{"elicitation-sep1034-client-defaults", "initialize", "sse-retry", "tools_call"}

// TestConformanceOfClients: the suite finds the same of a client that
// `sallyport run` has as its COMMAND as of one without.
func TestConformanceOfClients(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "scope.yaml"), clients)
	env := append(os.Environ(), "SALLYPORT="+programs+"sallyport", "SCOPE="+filepath.Join(dir, "scope.yaml"),
		"AUDIT="+filepath.Join(dir, "audit.jsonl"), "CLIENT="+programs+"everything-client", "SHOW=?key=")
	for _, scenario := range alike {
		t.Run(scenario, func(t *testing.T) {
			play := func(command string) found {
				return suite(t, env, "client", "--command", command, "--scenario", scenario, "--timeout", "120000")[scenario]
			}
			without, through := play(programs+"everything-client"), play("./through.sh")
			if len(without.status) == 0 || !slices.Equal(without.status, through.status) {
				t.Errorf("it differs: without %+v, through %+v", without, through)
			}
		})
	}
	s := &sidecar{audit: filepath.Join(dir, "audit.jsonl")}
	if n := len(s.records(t)); n < 4*len(alike) {
		t.Errorf("%d requests went through the sidecar", n)
	}
}

// TestScenarios: the suite has no scenario that is not played, and no kind of
// scenarios besides those for servers and for clients.
func TestScenarios(t *testing.T) {
	played := slices.Sorted(maps.Keys(oauth))
	played = append(played, alike...)
	slices.Sort(played)
	if all := scenarios(t, "--client"); !slices.Equal(played, all) {
		t.Errorf("%q are played of %q", played, all)
	}
	if kinds := listed(t, `(?m)^(\S.*) scenarios`, "list"); !slices.Equal(kinds, []string{"Client", "Server"}) {
		t.Errorf("there are scenarios for %q", kinds)
	}
	// tier-check plays the same, and asks GitHub how an SDK's project is kept.
	if commands := listed(t, `(?m)^  ([a-z-]+) `, "--help"); !slices.Equal(commands, []string{"client", "help", "list", "server", "tier-check"}) {
		t.Errorf("the suite has %q", commands)
	}
}

// scenarios are those of a kind, in order.
func scenarios(t *testing.T, kind string) []string {
	t.Helper()
	return listed(t, `(?m)^  - (\S+)`, "list", kind)
}

// listed is what is matched, in order, in what the suite says when it is called
// with these arguments.
func listed(t *testing.T, match string, args ...string) (all []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), node(t), append([]string{pinned(t, "@modelcontextprotocol/conformance", "dist/index.js")}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range regexp.MustCompile(match).FindAllSubmatch(out, -1) {
		all = append(all, string(part[1]))
	}
	slices.Sort(all)
	return all
}

// servers runs all scenarios for servers.
func servers(t *testing.T, url string) map[string]found {
	t.Helper()
	return suite(t, nil, "server", "--url", url, "--suite", "all")
}

// found is what the suite has found of one scenario.
type found struct {
	status []string // of each check
	errors string
	heard  []string // what the suite's own servers have heard
	said   string   // by the client
}

// checks are the names of those of one outcome.
func (f *found) checks(outcome string) (names []string) {
	for _, s := range f.status {
		if name, is := strings.CutSuffix(s, " "+outcome); is {
			names = append(names, name)
		}
	}
	return names
}

// suite runs the suite with these arguments, and returns what it has found.
func suite(t *testing.T, env []string, args ...string) map[string]found {
	t.Helper()
	out := t.TempDir()
	command := exec.CommandContext(t.Context(), node(t), append([]string{"--require", "./loopback.cjs",
		pinned(t, "@modelcontextprotocol/conformance", "dist/index.js")}, append(args, "--output-dir", out)...)...)
	command.Env = env
	text, _ := command.CombinedOutput() // it fails where a scenario does
	all := map[string]found{}
	for _, dir := range dirs(t, out) {
		if name := regexp.MustCompile(`^(?:server-)?(.*)-\d{4}-\d\d-\d\dT`).FindStringSubmatch(dir); name != nil {
			f := checks(t, filepath.Join(out, dir, "checks.json"))
			said, _ := os.ReadFile(filepath.Join(out, dir, "stdout.txt")) // of a server there is none
			f.said = string(said)
			all[name[1]] = f
		}
	}
	if len(all) == 0 {
		t.Fatalf("the suite has found nothing:\n%s", text)
	}
	return all
}

// dirs are those below dir, named by their way from there.
func dirs(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// isNote tells what is no finding: that the suite's own server has seen a
// request, of which the refused ones are missing, and how long a client took,
// which is the machine's affair.
func isNote(id string) bool {
	return slices.Contains([]string{"incoming-request", "outgoing-response", "outgoing-sse-event", "outgoing-stream-close", "client-sse-retry-timing"}, id)
}

func checks(t *testing.T, file string) (f found) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ ID, Status, ErrorMessage, Description string }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if strings.HasPrefix(one.ID, "incoming-") {
			f.heard = append(f.heard, one.Description)
		}
		if isNote(one.ID) {
			continue
		}
		f.status = append(f.status, one.ID+" "+one.Status)
		f.errors += one.ErrorMessage + "\n"
	}
	return f
}

// clients grants all that the suite's own servers have, at any path.
const clients = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: mcp, namespace: agents}
spec:
  plaintext: AllowClusterInternal
  endpoints:
  - {name: tools, url: "http://mcp.tools.svc", profile: mcp, inject: {query: {name: key}}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: agent, namespace: agents}
spec:
  upstream: {name: mcp}
  holders: {serviceAccounts: [agent]}
  client: {env: [{name: MCP_URL, value: "{url:tools}"}, {name: MCP_TOKEN, value: "{token}"}]}
  grants:
  - name: mcp
    mcp:
      path: /mcp
      revisions: ["2025-03-26", "2025-06-18", "2025-11-25"]
      tools: [{name: add_numbers, unlisted: Allow}, {name: test_client_elicitation_defaults}]
  - name: root
    mcp: {path: /, revisions: ["2025-03-26", "2025-06-18", "2025-11-25"], tools: [{name: test_reconnection}]}
`

// conformance grants all of the Go SDK's conformance server that can be
// granted, with a key that comes as inject says.
func conformance(inject string) string {
	return `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: mcp, namespace: agents}
spec:
  endpoints:
  - {name: tools, url: "https://mcp.example", profile: mcp, inject: {` + inject + `}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: agent, namespace: agents}
spec:
  upstream: {name: mcp}
  holders: {serviceAccounts: [agent]}
  grants:
  - name: all
    mcp:
      path: /mcp
      revisions: ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
      resources: ["test://**"]
      prompts: [test_simple_prompt, test_prompt_with_arguments, test_prompt_with_embedded_resource, test_prompt_with_image,
        test_input_required_result_prompt, __transient_prompt_for_list_changed]
      tools:
      - {name: test_simple_text, unlisted: Allow}
      - {name: test_image_content, unlisted: Allow}
      - {name: test_audio_content, unlisted: Allow}
      - {name: test_embedded_resource, unlisted: Allow}
      - {name: test_multiple_content_types, unlisted: Allow}
      - {name: test_tool_with_logging, unlisted: Allow}
      - {name: test_tool_with_progress, unlisted: Allow}
      - {name: test_error_handling, unlisted: Allow}
      - {name: test_sampling, unlisted: Allow}
      - {name: test_elicitation, unlisted: Allow}
      - {name: test_elicitation_sep1034_defaults, unlisted: Allow}
      - {name: test_elicitation_sep1330_enums, unlisted: Allow}
      - {name: json_schema_2020_12_tool, unlisted: Allow}
      - {name: test_reconnection, unlisted: Allow}
      - {name: test_x_mcp_header, unlisted: Allow}
      - {name: test_missing_capability, unlisted: Allow}
      - {name: test_streaming_elicitation, unlisted: Allow}
      - {name: test_logging_tool, unlisted: Allow}
      - {name: test_trigger_tool_change, unlisted: Allow}
      - {name: test_trigger_prompt_change, unlisted: Allow}
      - {name: test_input_required_result_elicitation, unlisted: Allow}
      - {name: test_input_required_result_sampling, unlisted: Allow}
      - {name: test_input_required_result_list_roots, unlisted: Allow}
      - {name: test_input_required_result_request_state, unlisted: Allow}
      - {name: test_input_required_result_multiple_inputs, unlisted: Allow}
      - {name: test_input_required_result_multi_round, unlisted: Allow}
      - {name: test_input_required_result_tampered_state, unlisted: Allow}
      - {name: test_input_required_result_capabilities, unlisted: Allow}
      - {name: __transient_tool_for_list_changed, unlisted: Allow}
`
}
