package profile

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

func TestLookup(t *testing.T) {
	github := Profile{
		Scope: scope.Profile{
			SlashInTail:    true,
			FoldPaths:      []string{"/repos/{owner}/{repo}", "/orgs/{org}", "/users/{username}"},
			ReserveQuery:   []string{"client_id", "client_secret"},
			ForwardHeaders: []string{"X-GitHub-Api-Version"},
		},
		Env: []bundle.EnvVar{
			{Name: "GITHUB_API_URL", Value: "{url:ENDPOINT}"},
			{Name: "GITHUB_TOKEN", Value: "{token}"},
			{Name: "GH_TOKEN", Value: "{token}"},
		},
	}
	tests := map[string]struct {
		why  string
		name string
		want Profile
		ok   bool
	}{
		"strict":      {"nothing is equal, nothing extra goes upstream", "strict", Profile{}, true},
		"default":     {"an endpoint without a profile is strict", "", Profile{}, true},
		"github-rest": {"a change here changes what every GitHub scope allows", "github-rest", github, true},
		"later":       {"a name of the API without data must not pass for strict", "odata", Profile{}, false},
		"unknown":     {"a typo must not pass for strict", "github", Profile{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := Lookup(test.name)
			if ok != test.ok {
				t.Errorf("%s: known %v, want %v", test.why, ok, test.ok)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

// TestData holds every profile to the rules of the language that it is used in.
func TestData(t *testing.T) {
	token := regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	secrets := []string{"authorization", "cookie", "proxy-authorization", "host", "connection"}
	for _, name := range Names() {
		p, _ := Lookup(name)
		for _, header := range append(p.Scope.ForwardHeaders, p.Scope.RefuseHeaders...) {
			if !token.MatchString(header) {
				t.Errorf("%s: %q is no header name", name, header)
			}
			for _, secret := range secrets {
				if strings.ToLower(header) == secret {
					t.Errorf("%s: %s belongs to the sidecar", name, header)
				}
			}
		}
		for _, path := range p.Scope.FoldPaths {
			if !strings.HasPrefix(path, "/") || !strings.Contains(path, "{") {
				t.Errorf("%s: %q folds nothing", name, path)
			}
		}
		for _, v := range p.Env {
			if v.Value != "{token}" && v.Value != "{url:ENDPOINT}" {
				t.Errorf("%s: %s=%q holds neither token nor url", name, v.Name, v.Value)
			}
		}
	}
}

func TestReadAllIsStrict(t *testing.T) {
	tests := map[string]struct{ why, text string }{
		"unknown key": {"a misspelt rule would be a missing rule", `{"profile": {"foldPath": ["/a/{b}"]}}`},
		"not JSON":    {"half a file is no profile", `{"profile": {`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{"data/x.json": {Data: []byte(test.text)}}
			if got, err := readAll(files); err == nil {
				t.Errorf("%s: read %v", test.why, got)
			}
		})
	}
}
