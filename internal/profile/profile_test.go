package profile

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

func TestLookup(t *testing.T) {
	github := Profile{
		Scope: scope.Profile{
			SlashInTail:    true,
			FoldPaths:      []string{"/repos/{owner}/{repo}", "/orgs/{org}", "/users/{username}"},
			Aliases:        []scope.Alias{{Path: "/api/v3/", Means: "/"}, {Path: "/api/graphql", Means: "/graphql"}},
			ReserveQuery:   []string{"client_id", "client_secret"},
			ForwardHeaders: []string{"X-GitHub-Api-Version", "GraphQL-Features"},
		},
		Env: []EnvVar{
			{Name: "GITHUB_API_URL", Value: "{url:ENDPOINT}"},
			{Name: "GITHUB_GRAPHQL_URL", Value: "{url:ENDPOINT}/graphql"},
			{Name: "GITHUB_TOKEN", Value: "{token}"},
			{Name: "GH_TOKEN", Value: "{token}"},
		},
	}
	openai := Profile{
		Scope: scope.Profile{ForwardHeaders: []string{"OpenAI-Beta", "Idempotency-Key"}},
		Env: []EnvVar{
			{Name: "OPENAI_BASE_URL", Value: "{url:ENDPOINT}/v1"},
			{Name: "OPENAI_API_BASE", Value: "{url:ENDPOINT}/v1"},
			{Name: "OPENAI_API_KEY", Value: "{token}"},
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
		"strict-json": {"a body is not the profile's business", "strict-json", Profile{}, true},
		"openai":      {"organization and project choose who pays, and are not forwarded", "openai", openai, true},
		"later":       {"a name of the API without data must not pass for strict", "grpc", Profile{}, false},
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
			holds := slices.ContainsFunc([]string{"{token}", "{basic}", "{url:ENDPOINT}", "{upstream}"}, func(what string) bool { return strings.Contains(v.Value, what) })
			if !holds && v.Name != "GIT_CONFIG_COUNT" {
				t.Errorf("%s: %s=%q holds neither token nor url", name, v.Name, v.Value)
			}
			if v.Inject != "" && v.Inject != "bearer" && v.Inject != "header" && v.Inject != "basic" {
				t.Errorf("%s: %s is for %q, which no endpoint has", name, v.Name, v.Inject)
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

// TestProfilesRefuse judges requests by the profiles: an upstream would act on
// what stands in them, however it is spelled, though no grant lists it.
func TestProfilesRefuse(t *testing.T) {
	tests := map[string]struct{ why, profile, target, header string }{
		"method":           {"POST becomes GET", "google-rest", "/a?%24httpMethod=GET", ""},
		"method, spelled":  {"names have no letter case to some", "google-rest", "/a?%24HttpMethod=GET", ""},
		"key":              {"another identity", "google-rest", "/a?key=x", ""},
		"callback":         {"a script", "google-rest", "/a?%24callback=x", ""},
		"payer":            {"another project pays", "google-rest", "/a?userProject=x", ""},
		"upload":           {"another way to read the body", "google-rest", "/a?uploadType=multipart", ""},
		"key header":       {"another identity", "google-rest", "/a", "x-goog-api-key"},
		"expand":           {"other resources", "odata", "/a?%24expand=messages", ""},
		"expand, 4.01":     {"the dollar sign may be left out", "odata", "/a?Expand=messages", ""},
		"format":           {"another form", "odata", "/a?%24format=atom", ""},
		"method header":    {"every profile refuses it", "odata", "/a", "X-HTTP-Method"},
		"override":         {"every profile refuses it", "openai", "/a", "X-HTTP-Method-Override"},
		"override, strict": {"every profile refuses it", "strict-json", "/a?_method=PUT", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, known := Lookup(test.profile)
			if !known {
				t.Fatal("no such profile")
			}
			grant := scope.Grant{Name: "all", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/a"}}, Query: scope.Query{UnlistedAllow: true}}
			policy, err := scope.Compile(p.Scope, []scope.Grant{grant}, nil)
			if err != nil {
				t.Fatal(err)
			}
			head := scope.Head{Method: "GET", Target: test.target}
			if test.header != "" {
				head.Fields = []scope.Field{{Name: test.header, Value: "GET"}}
			}
			var r scope.Request
			if err := r.Parse(&head, &p.Scope); err != nil {
				t.Fatal(err)
			}
			if d := policy.Decide(&r); d.Verdict == scope.Allow {
				t.Errorf("%s: allowed", test.why)
			}
			if err := r.Parse(&scope.Head{Method: "GET", Target: "/a?page=1"}, &p.Scope); err != nil || policy.Decide(&r).Verdict != scope.Allow {
				t.Error("an ordinary request is refused")
			}
		})
	}
}
