package compile

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Sources from which tokens are minted. They stand in place of the secretRef of
// upstreamText.
const (
	appSource     = `githubApp: {appID: 1, installationID: 2, privateKeyRef: {name: app, key: pem}, repositories: [docs], permissions: {contents: read}}`
	clientSource  = `oauth2: {grant: ClientCredentials, tokenURL: "https://login.example/token", clientID: me, clientSecretRef: {name: key, key: secret}, scopes: [read]}`
	refreshSource = `oauth2: {grant: RefreshToken, tokenURL: "https://login.example:8443/token", clientID: me, refreshTokenRef: {name: key, key: token}}`
	secretSource  = `secretRef: {name: key, key: token}`
)

func withSource(t testing.TB, text string) *v1alpha1.UpstreamSecret {
	t.Helper()
	if !strings.Contains(upstreamText, secretSource) {
		t.Fatal("no source to replace")
	}
	return upstreamOf(t, strings.Replace(upstreamText, secretSource, text, 1))
}

// TestMintedSources holds that what is minted compiles, and that nothing of the
// source stands in the document.
func TestMintedSources(t *testing.T) {
	for _, source := range []string{appSource, clientSource, refreshSource} {
		up := withSource(t, source)
		if err := Upstream(up); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		if _, err := Credential(credentialOf(t, credentialText), up); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestMintedSourcesRefuse(t *testing.T) {
	for name, tc := range map[string]struct{ why, source, from, to, want string }{
		"no app":           {"nobody to sign as", appSource, "appID: 1", "appID: 0", `spec.source.githubApp.appID: "0": `},
		"no installation":  {"nowhere to ask", appSource, "installationID: 2", "installationID: -2", `spec.source.githubApp.installationID: "-2": `},
		"all repositories": {"none means all to GitHub", appSource, "[docs]", "[]", "spec.source.githubApp.repositories: list at least one"},
		"owner":            {"the installation has one", appSource, "[docs]", "[acme/docs]", `spec.source.githubApp.repositories[0]: "acme/docs": `},
		"all permissions":  {"none means all to GitHub", appSource, "{contents: read}", "{}", "spec.source.githubApp.permissions: list at least one"},
		"level":            {"what it allows is not known", appSource, "{contents: read}", "{contents: own}", `spec.source.githubApp.permissions[contents]: "own": `},
		"no key of an app": {"nothing to sign with", appSource, "{name: app, key: pem}", "{name: app}", "spec.source.githubApp.privateKeyRef: "},
		"clear text":       {"the client's secret goes there", clientSource, "https://login", "http://login", `spec.source.oauth2.tokenURL: "http://login.example/token": `},
		"user information": {"another reader takes it for the host", clientSource, "https://login", "https://a@login", "spec.source.oauth2.tokenURL: "},
		"query":            {"some put keys there", clientSource, "/token", "/token?x=y", "spec.source.oauth2.tokenURL: "},
		"port":             {"no such port", refreshSource, ":8443", ":84430", `spec.source.oauth2.tokenURL: "https://login.example:84430/token": write a port`},
		"no port":          {"nowhere", refreshSource, ":8443", ":", "spec.source.oauth2.tokenURL: "},
		"no host":          {"nowhere", clientSource, "https://login.example/token", "https:///token", "spec.source.oauth2.tokenURL: "},
		"no client":        {"nobody asks", clientSource, "clientID: me", `clientID: ""`, "spec.source.oauth2.clientID: "},
		"other grant":      {"not known", clientSource, "grant: ClientCredentials", "grant: Password", `spec.source.oauth2.grant: "Password": `},
		"no secret":        {"nothing proves who asks", clientSource, "clientSecretRef: {name: key, key: secret}, ", "", "spec.source.oauth2.clientSecretRef: "},
		"no refresh token": {"nothing to begin with", refreshSource, ", refreshTokenRef: {name: key, key: token}", "", "spec.source.oauth2.refreshTokenRef: "},
		"a refresh token":  {"it would be ignored", clientSource, "scopes:", "refreshTokenRef: {name: key, key: token}, scopes:", "spec.source.oauth2.refreshTokenRef: "},
		"two scopes":       {"they would be joined", clientSource, "[read]", `["read write"]`, `spec.source.oauth2.scopes[0]: "read write": `},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(tc.source, tc.from) {
				t.Fatalf("no %s in %s", tc.from, tc.source)
			}
			refusedFor(t, tc.why, Upstream(withSource(t, strings.Replace(tc.source, tc.from, tc.to, 1))), v1alpha1.ReasonInvalid, tc.want)
		})
	}
}

// TestAppNeedsItsAPI holds that tokens of an app are minted at one place that
// the spec names.
func TestAppNeedsItsAPI(t *testing.T) {
	none := withSource(t, appSource)
	none.Spec.Endpoints[0].Profile = ""
	refusedFor(t, "no API", Upstream(none), v1alpha1.ReasonInvalid, "spec.source.githubApp: have exactly one endpoint with profile github-rest")
	two := withSource(t, appSource)
	two.Spec.Endpoints[1].Profile = "github-rest"
	two.Spec.Endpoints[1].Headers = nil
	refusedFor(t, "two APIs", Upstream(two), v1alpha1.ReasonInvalid, "spec.source.githubApp: have exactly one endpoint with profile github-rest")
}
