package compile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/measure"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
)

// TestGitGrant writes out the defaults of a grant of git, counts what it
// reaches, and does not tell apart what means the same.
func TestGitGrant(t *testing.T) {
	all := strings.Replace(gitGrant, "push:", "fetch: true, push:", 1)
	all = strings.Replace(all, "[Create]", "[Delete, Create]", 1)
	got, err := Credential(credentialOf(t, strings.Replace(credentialText, putGrant, all, 1)), upstreamOf(t, upstreamText))
	if err != nil {
		t.Fatal(err)
	}
	want := &scope.Git{
		Repos: scope.Matcher{Set: &scope.Matcher{In: []string{"acme/docs"}, FoldASCII: true}}, Fetch: true, FetchBytes: 1 << 20,
		Push: &git.Push{Refs: []string{"refs/heads/agent/**"}, Actions: []git.Action{git.Delete, git.Create}, MaxBytes: 512 << 20, MaxCommands: 1000},
	}
	if diff := cmp.Diff(want, got.Grants[1].Git); diff != "" || got.Grants[1].Endpoint != "rest" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := measure.Reach(got.Grants[1:]); r.Reads != 1 || r.Writes != 1 || r.Deletes != 1 {
		t.Errorf("reach %+v", r)
	}
	turned, err := Credential(credentialOf(t, strings.Replace(credentialText, putGrant, strings.Replace(all, "[Delete, Create]", "[Create, Delete]", 1), 1)), upstreamOf(t, upstreamText))
	if err != nil || turned.ScopeHash != got.ScopeHash {
		t.Errorf("another hash for another order: %v", err)
	}
	wider, err := Credential(credentialOf(t, strings.Replace(credentialText, putGrant, strings.Replace(all, "agent/**", "**", 1), 1)), upstreamOf(t, upstreamText))
	if err != nil || wider.ScopeHash == got.ScopeHash {
		t.Errorf("one hash for two scopes: %v", err)
	}
}

// TestGitVariables lead git to the sidecar, by the way in which the endpoint
// takes the token.
func TestGitVariables(t *testing.T) {
	for inject, header := range map[string]string{"basic: {username: x}": "Basic {basic}", "bearer: {}": "Bearer {token}"} {
		up := strings.NewReplacer("github-rest", "github-git", "https://api.github.com", "https://github.com", "bearer: {}", inject).Replace(upstreamText)
		got := Variables(credentialOf(t, credentialText), upstreamOf(t, up))
		want := []bundle.EnvVar{
			{Name: "GH_TOKEN", Value: "x{token}"},
			{Name: "FILES", Value: "{url:files}"},
			{Name: "GIT_CONFIG_COUNT", Value: "2"},
			{Name: "GIT_CONFIG_KEY_0", Value: "url.{url:rest}/.insteadOf"},
			{Name: "GIT_CONFIG_VALUE_0", Value: "https://github.com/"},
			{Name: "GIT_CONFIG_KEY_1", Value: "http.{url:rest}/.extraHeader"},
			{Name: "GIT_CONFIG_VALUE_1", Value: "Authorization: " + header},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", inject, diff)
		}
	}
}
