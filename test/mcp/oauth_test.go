package mcp

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// got is a scenario of how a client gets itself a token of the server. Through a
// sidecar it gets none: the sidecar has one, and takes its own from the client in
// that place. So every such scenario differs.
type got struct {
	// fail are the checks of the suite that fail through the sidecar. Others
	// that succeed without it are missing then: nobody has asked for anything.
	fail string
	// gives up is what the client tries last, once it has found no document
	// about the server.
	givesUp string
	// extension is of MCP, and the Go SDK's client has none of it.
	extension bool
	// without the sidecar these checks fail too, for a reason of the client's.
	without string
	// scope is the step for which a token needs a scope of the server's, which
	// the one that the operator holds lacks.
	scope string
}

const register, authorize, token = "POST /register", "GET /authorize", "POST /token"

var oauth = map[string]got{
	"auth/metadata-default":             {givesUp: register, fail: "prm-pathbased-requested authorization-server-metadata client-registration authorization-request token-request"},
	"auth/metadata-var1":                {givesUp: register, fail: "prm-pathbased-requested authorization-server-metadata client-registration authorization-request token-request"},
	"auth/metadata-var2":                {givesUp: register, fail: "authorization-server-metadata client-registration authorization-request token-request"},
	"auth/metadata-var3":                {givesUp: register, fail: "authorization-server-metadata client-registration authorization-request token-request"},
	"auth/basic-cimd":                   {givesUp: register, fail: "cimd-client-id-used"},
	"auth/scope-from-www-authenticate":  {givesUp: register, fail: "scope-from-www-authenticate", scope: "connect"},
	"auth/scope-from-scopes-supported":  {givesUp: register, fail: "scope-from-scopes-supported"},
	"auth/scope-omitted-when-undefined": {givesUp: register, fail: "scope-omitted-when-undefined"},
	"auth/scope-step-up":                {givesUp: register, fail: "scope-step-up-initial scope-step-up-escalation", scope: "tools"},
	"auth/scope-retry-limit":            {givesUp: register, fail: "scope-retry-limit", scope: "tools"},
	"auth/token-endpoint-auth-basic":    {givesUp: register, fail: "token-endpoint-auth-method resource-parameter-in-authorization resource-parameter-in-token"},
	"auth/token-endpoint-auth-post":     {givesUp: register, fail: "token-endpoint-auth-method resource-parameter-in-authorization resource-parameter-in-token"},
	"auth/token-endpoint-auth-none":     {givesUp: register, fail: "token-endpoint-auth-method resource-parameter-in-authorization resource-parameter-in-token"},
	"auth/pre-registration":             {givesUp: authorize, fail: "pre-registration-auth"},
	// The Go SDK holds the issuer to where it has found the document.
	"auth/2025-03-26-oauth-metadata-backcompat": {
		givesUp: register, without: "client-registration authorization-request token-request",
		fail: "authorization-server-metadata client-registration authorization-request token-request",
	},
	"auth/2025-03-26-oauth-endpoint-fallback": {givesUp: register, fail: "client-registration authorization-request token-request"},
	// Nothing fails: what it shall not ask for, it does not. That it has read
	// which server the document names is missing.
	"auth/resource-mismatch":              {givesUp: register},
	"auth/offline-access-scope":           {givesUp: register, fail: "sep-2207-offline-access-requested"},
	"auth/offline-access-not-supported":   {givesUp: register, fail: "sep-2207-offline-access-not-requested"},
	"auth/client-credentials-jwt":         {givesUp: token, fail: "client-credentials-jwt-verified", extension: true},
	"auth/client-credentials-basic":       {givesUp: token, fail: "client-credentials-basic-auth", extension: true},
	"auth/cross-app-access-complete-flow": {fail: "complete-flow-token-exchange complete-flow-jwt-bearer", extension: true},
}

// TestConformanceOfOAuth: a client that would get itself a token is refused by
// the sidecar, whatever is granted, and nothing of it reaches the server; one
// that shows the sidecar's token calls the same server's tool, with the token
// that the operator holds.
func TestConformanceOfOAuth(t *testing.T) {
	for scenario, want := range oauth {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			b := newBehind(t)
			client := programs + "everything-client"
			if want.extension {
				client = strings.Join([]string{node(t), "oauth.mjs", filepath.Dir(pinned(t, "@modelcontextprotocol/sdk", "package.json"))}, " ")
			}
			want.direct(t, b.play(t, scenario, client, ""))
			through := b.play(t, scenario, "./through.sh", client)
			want.refused(t, through, b.records(t))
			want.served(t, b.play(t, scenario, "./through.sh", "./token.sh"))
		})
	}
}

// direct holds what is found without a sidecar: the scenario is played.
func (want *got) direct(t *testing.T, f found) {
	t.Helper()
	if fail := strings.Join(f.checks("FAILURE"), " "); fail != want.without || len(f.checks("SUCCESS")) == 0 || len(f.heard) == 0 {
		t.Errorf("without a sidecar %q fail, want %q: %+v", fail, want.without, f)
	}
}

// refused holds what is found of the client behind a sidecar.
func (want *got) refused(t *testing.T, f found, records []record) {
	t.Helper()
	if fail := strings.Join(f.checks("FAILURE"), " "); fail != want.fail || len(f.heard) > 0 {
		t.Errorf("%q fail, want %q; the server has heard %q", fail, want.fail, f.heard)
	}
	tried := map[string]bool{}
	for _, r := range records {
		tried[r.Method+" "+r.Path] = true
		if r.Verdict != "Deny" || r.Reason != "Unauthenticated" {
			t.Errorf("not refused for want of a token: %+v", r)
		}
	}
	all := []string{
		"GET /.well-known/oauth-authorization-server", "GET /.well-known/oauth-protected-resource", "GET /.well-known/oauth-protected-resource/mcp",
		"GET /.well-known/openid-configuration", "POST /mcp",
	}
	if want.givesUp != "" {
		all = append(all, want.givesUp)
	}
	slices.Sort(all)
	if seen := slices.Sorted(maps.Keys(tried)); !slices.Equal(seen, all) {
		t.Errorf("refused %q\nwant %q", seen, all)
	}
}

// served holds what is found of a client that shows the sidecar's token.
func (want *got) served(t *testing.T, f found) {
	t.Helper()
	for _, heard := range f.heard {
		if !strings.Contains(heard, " for /mcp") {
			t.Errorf("the client has asked for a token: %s", heard)
		}
	}
	var connected, tools, called told
	lines := json.NewDecoder(strings.NewReader(f.said))
	for _, line := range []*told{&connected, &tools, &called} {
		if err := lines.Decode(line); err != nil {
			t.Fatalf("%v: the client said %q", err, f.said)
		}
	}
	if want.scope != "" {
		if (connected.Error == "") == (want.scope == "connect") || !strings.Contains(connected.Error+tools.Error, "Forbidden") {
			t.Errorf("a token without the scope: %s, %s", connected, tools)
		}
		return
	}
	valid := 0
	for _, id := range f.checks("SUCCESS") {
		if id == "valid-bearer-token" {
			valid++
		}
	}
	if called.Error != "" || !strings.Contains(string(called.Result), `"text":"test"`) || valid != 4 {
		t.Errorf("%d requests had a token that is good: %s, %s, %s", valid, connected, tools, called)
	}
}

// behind is a place for a sidecar.
type behind struct{ dir string }

func newBehind(t *testing.T) *behind {
	t.Helper()
	b := &behind{t.TempDir()}
	write(t, b.file("scope.yaml"), oauthScope)
	return b
}

func (b *behind) file(name string) string { return filepath.Join(b.dir, name) }

// play plays a scenario with a command, which starts client.
func (b *behind) play(t *testing.T, scenario, command, client string) found {
	t.Helper()
	env := append(os.Environ(), "SALLYPORT="+programs+"sallyport", "SCOPE="+b.file("scope.yaml"), "AUDIT="+b.file("audit.jsonl"),
		"GOSDK="+programs+"gosdk", "CLIENT="+client)
	return suite(t, env, "client", "--command", command, "--scenario", scenario, "--timeout", "120000")[scenario]
}

func (b *behind) records(t *testing.T) []record {
	t.Helper()
	return (&sidecar{audit: b.file("audit.jsonl")}).records(t)
}

// oauthScope grants all that a client does that gets itself a token, as far as it
// asks the server for it, and a key that the suite's servers take.
const oauthScope = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: test-token-of-the-operator}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: mcp, namespace: agents}
spec:
  plaintext: AllowClusterInternal
  endpoints:
  - {name: tools, url: "http://mcp.tools.svc", profile: mcp, inject: {bearer: {}}}
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
      tools: [{name: test-tool}]
  - name: discovery
    http: {methods: [GET], paths: ["/.well-known/{document...}", /authorize]}
    query: {unlisted: Allow}
  - name: registration
    http: {methods: [POST], paths: [/register]}
    body: {unlisted: Allow}
  - name: tokens
    http: {methods: [POST], paths: [/token]}
    body: {media: Form, unlisted: Allow}
`
