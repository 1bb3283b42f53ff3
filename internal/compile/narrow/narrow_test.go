package narrow

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// upstream is an app that is given much.
const upstream = `
metadata: {name: github, namespace: agents}
spec:
  endpoints:
  - {name: rest, url: https://api.github.com, profile: github-rest, inject: {bearer: {}}}
  - {name: git, url: https://github.com, profile: github-git, inject: {basic: {username: x-access-token}}}
  - {name: other, url: https://uploads.github.com, inject: {bearer: {}}}
  - {name: mcp, url: https://api.githubcopilot.com, profile: mcp, inject: {bearer: {}}}
  source:
    githubApp:
      appID: 1
      installationID: 2
      privateKeyRef: {name: app, key: pem}
      repositories: [docs, web, Infra]
      permissions: {contents: write, issues: write, pull_requests: write, administration: write, members: read, workflows: write}
`

func parsed[T any](t testing.TB, text string) (out T) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return out
}

// consumer has these grants.
func consumer(t testing.TB, up *v1alpha1.UpstreamSecret, grants string) bundle.Credential {
	t.Helper()
	c, err := compile.Credential(&v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "agents"},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "github"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Grants:   parsed[[]v1alpha1.Grant](t, grants),
		},
	}, up)
	if err != nil {
		t.Fatalf("%v in\n%s", err, grants)
	}
	return c
}

// to is what is asked for consumers with these grants.
func to(t testing.TB, up *v1alpha1.UpstreamSecret, grants ...string) v1alpha1.GitHubApp {
	t.Helper()
	var all []Need
	for _, text := range grants {
		c := consumer(t, up, text)
		all = append(all, Of(up, &c))
	}
	return To(*up.Spec.Source.GitHubApp, all)
}

// spelled is what a token is asked for, as one text.
func spelled(g v1alpha1.GitHubApp) string {
	out := slices.Clone(g.Repositories)
	for _, name := range slices.Sorted(maps.Keys(g.Permissions)) {
		out = append(out, name+":"+string(g.Permissions[name]))
	}
	return strings.Join(out, " ")
}

const whole = "docs web Infra administration:write contents:write issues:write members:read pull_requests:write workflows:write"

// narrowed has for grants what is asked for, at some with another endpoint in place of
// one of upstream.
var narrowed = map[string]struct {
	grants, want string
	url          [2]string
}{
	"reads of one repository's issues": {grants: `
- http: {methods: [GET], paths: ["/repos/{repo=*/*}/issues"]}
  where: {repo: {in: [acme/docs]}}
  query: {unlisted: Allow}`, want: "docs issues:read pull_requests:read"},
	"a comment, in either letter case": {grants: `
- http: {methods: [POST], paths: ["/repos/{repo=*/*}/issues/{number}/comments"]}
  where: {repo: {in: [acme/iNFRA]}, number: {type: Integer}}
  body: {unlisted: Allow}`, want: "Infra issues:write pull_requests:write"},
	"another owner's repository of that name": {grants: `
- http: {methods: [GET], paths: ["/repos/{owner}/{repo}/labels"]}
  where: {owner: {equals: other}, repo: {glob: "w*"}}`, want: "web issues:read pull_requests:read"},
	"branches are deleted": {grants: `
- http: {methods: [DELETE], paths: ["/repos/{repo=*/*}/git/refs/{ref...}"]}
  where: {repo: {in: [acme/docs, acme/web]}, ref: {glob: "heads/agent/**"}}`, want: "docs web contents:write workflows:write"},
	"reads of all of one repository": {grants: `
- http: {methods: [GET, HEAD], paths: ["/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"]}
  where: {repo: {in: [acme/docs]}}`, want: "docs administration:write contents:write issues:read members:read pull_requests:read"}, // releases and its pages' health is among them
	"what only says what a repository is": {grants: `
- http: {methods: [GET], paths: ["/repos/{repo=*/*}/languages"]}
  where: {repo: {in: [acme/docs]}}`, want: "docs metadata:read"},
	"nothing of any repository": {grants: `
- http: {methods: [GET], paths: ["/rate_limit"]}`, want: "docs metadata:read"},
	"a search reaches all": {grants: `
- http: {methods: [GET], paths: ["/search/issues"]}
  query: {unlisted: Allow}`, want: "docs web Infra administration:read contents:read issues:read members:read pull_requests:read"},
	"an area that is not known": {grants: `
- http: {methods: [PUT], paths: ["/repos/{repo=*/*}/brand-new"]}
  where: {repo: {in: [acme/docs]}}
  body: {unlisted: Allow}`, want: strings.Replace(whole, "docs web Infra", "docs", 1)},
	"a repository that is not listed": {grants: `
- git: {endpoint: git, repos: {in: [acme/other]}, fetch: true}`, want: "docs contents:read"},
	"fetches of a wiki": {grants: `
- git: {endpoint: git, repos: {in: [acme/web.wiki]}, fetch: true}`, want: "web contents:read"},
	"a draft of a release": {grants: `
- http: {methods: [GET], paths: ["/repos/{repo=*/*}/releases"]}
  where: {repo: {in: [acme/docs]}}`, want: "docs contents:write"},
	"below another base path": {grants: `
- http: {methods: [GET], paths: ["/repos/{repo=*/*}"]}
  where: {repo: {in: [acme/docs]}}`, want: whole, url: [2]string{"https://api.github.com,", "https://api.github.com/orgs/acme/teams/x,"}},
	"repositories of one owner": {grants: `
- git: {endpoint: git, repos: {in: [docs]}, fetch: true}`, want: whole, url: [2]string{"https://github.com,", "https://github.com/acme,"}},
	"GitHub Enterprise Server": {grants: `
- http: {methods: [GET], paths: ["/repos/{repo=*/*}/labels"]}
  where: {repo: {in: [acme/docs]}}`, want: "docs issues:read pull_requests:read", url: [2]string{"https://api.github.com,", "https://github.example/api/v3,"}},
	"fetches": {grants: `
- git: {endpoint: git, repos: {in: [acme/web]}, fetch: true}`, want: "web contents:read"},
	"fetches of any": {grants: `
- git: {endpoint: git, repos: {glob: "acme/*"}, fetch: true}`, want: "docs web Infra contents:read"},
	"pushes": {grants: `
- git: {endpoint: git, repos: {in: [acme/infra]}, fetch: true, push: {refs: ["refs/heads/agent/*"], actions: [Update]}}`, want: "Infra contents:write workflows:write"},
	"GraphQL that reads": {grants: `
- graphql: {path: /graphql, operations: [Query], select: [{"on": Query, fields: [viewer]}, {"on": User, fields: [login]}]}`, want: "docs web Infra administration:read contents:read issues:read members:read pull_requests:read"},
	"GraphQL that writes": {grants: `
- graphql: {path: /graphql, operations: [Query, Mutation], select: [{"on": Mutation.createIssue, args: {input.title: {maxLength: 100}}}, {"on": CreateIssuePayload, fields: [clientMutationId]}]}`, want: whole},
	"tools": {grants: `
- mcp: {endpoint: mcp, path: /mcp, revisions: ["2025-06-18"], tools: [{name: get_issue, arguments: {number: {type: Integer}}}]}`, want: whole},
	"an endpoint of which nothing is known": {grants: `
- http: {endpoint: other, methods: [GET], paths: ["/repos/{repo=*/*}/labels"]}
  where: {repo: {in: [acme/docs]}}`, want: whole},
}

func TestTo(t *testing.T) {
	for name, test := range narrowed {
		t.Run(name, func(t *testing.T) {
			up := parsed[v1alpha1.UpstreamSecret](t, strings.Replace(upstream, "url: "+test.url[0], "url: "+test.url[1], 1))
			grants := strings.ReplaceAll(test.grants, "\n- ", "\n- name: it\n  ")
			for _, kind := range []string{"http: {", "graphql: {"} {
				if !strings.Contains(grants, "endpoint:") {
					grants = strings.Replace(grants, kind, kind+"endpoint: rest, ", 1)
				}
			}
			if got := spelled(to(t, &up, grants)); got != test.want {
				t.Errorf("asked for %s\n     want %s", got, test.want)
			}
		})
	}
}

// TestConsumersTogether need what each of them does.
func TestConsumersTogether(t *testing.T) {
	up := parsed[v1alpha1.UpstreamSecret](t, upstream)
	if got := spelled(to(t, &up)); got != whole {
		t.Errorf("for nobody %s", got)
	}
	got := spelled(to(t, &up, `[{name: a, http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs/labels"]}}]`,
		`[{name: b, git: {endpoint: git, repos: {in: [acme/web]}, fetch: true}}]`))
	if got != "docs web contents:read issues:read pull_requests:read" {
		t.Errorf("for both %s", got)
	}
	if got := spelled(*up.Spec.Source.GitHubApp); got != whole {
		t.Errorf("the source is changed: %s", got)
	}
}

// facts are what GitHub documents, and what it asks besides; see the files.
func facts(t testing.TB) (all [][]string) {
	t.Helper()
	for _, file := range []string{"testdata/permissions.txt", "testdata/observed.txt"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); !strings.HasPrefix(line, "#") {
				all = append(all, fields)
			}
		}
	}
	return all
}

// levels are those that GitHub knows of the permissions that it does not both read
// and write by (its schema of app permissions).
var levels = map[string]string{"workflows": "write"}

// TestLevels holds that no level is asked for that GitHub does not know: it refuses
// the whole request.
func TestLevels(t *testing.T) {
	up := parsed[v1alpha1.UpstreamSecret](t, upstream)
	for _, grants := range []string{
		`[{name: it, http: {endpoint: rest, methods: [GET], paths: ["/search/{rest...}"]}}]`,
		`[{name: it, http: {endpoint: rest, methods: [GET], paths: ["/repos/{repo=*/*}/{rest...}"]}}]`,
		`[{name: it, git: {endpoint: git, repos: {in: [acme/web]}, fetch: true}}]`,
	} {
		for name, level := range to(t, &up, grants).Permissions {
			if want := levels[name]; want != "" && string(level) != want {
				t.Errorf("%s: asked for %s:%s", grants, name, level)
			}
		}
	}
}

// TestCostly has a scope of which too much would have to be worked out: it ends, and
// all stays as it is listed.
func TestCostly(t *testing.T) {
	up := parsed[v1alpha1.UpstreamSecret](t, upstream)
	for _, many := range []int{1, 2, 64} { // of one it is known too late that it is too much
		var grants strings.Builder
		for i := range many {
			fmt.Fprintf(&grants, "- {name: g%d, http: {endpoint: rest, methods: [GET, POST], paths: [\"/repos/{rest...}\"]}, where: {rest: {pattern: '.*a.{%d}'}}, query: {unlisted: Allow}, body: {unlisted: Allow}}\n", i, 8+i%3)
		}
		if got := spelled(to(t, &up, grants.String())); got != whole {
			t.Errorf("%d grants: asked for %s", many, got)
		}
	}
}

// TestDocumented asks, for a scope of one operation alone, for whatever GitHub
// documents that it may need, of all that there is.
func TestDocumented(t *testing.T) {
	up := parsed[v1alpha1.UpstreamSecret](t, upstream)
	app := up.Spec.Source.GitHubApp
	app.Permissions = map[string]v1alpha1.GitHubPermission{}
	all := facts(t)
	for _, fact := range all {
		app.Permissions[fact[2]] = v1alpha1.GitHubWrite
	}
	named := regexp.MustCompile(`\{[^}]*\}`)
	left := 0
	for _, fact := range all {
		method, path, permission, access := fact[0], fact[1], fact[2], fact[3]
		i := 0
		path = named.ReplaceAllStringFunc(path, func(string) string { i++; return "{p" + strconv.Itoa(i) + "}" })
		path = regexp.MustCompile(`[^/]*\}[^/]+|[^/]+\{[^/]*`).ReplaceAllString(path, "{odd}")
		grants := fmt.Sprintf(`[{name: it, http: {endpoint: rest, methods: [%s], paths: [%q]}}]`, method, path)
		got := to(t, &up, grants).Permissions
		if permission == implied {
			continue
		}
		if level := got[permission]; level != v1alpha1.GitHubWrite && string(level) != access {
			t.Errorf("%s %s: asked for %v, and it may need %s:%s", method, fact[1], got, permission, access)
		}
		left += len(app.Permissions) - len(got)
	}
	if mean := left / len(all); mean < len(app.Permissions)/2 {
		t.Errorf("of %d permissions %d are left out, on average", len(app.Permissions), mean)
	}
}
