package compile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/measure"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const upstreamText = `
metadata: {name: github, namespace: platform, uid: up-1, generation: 4}
spec:
  endpoints:
  - name: rest
    url: https://api.github.com
    profile: github-rest
    inject: {bearer: {}}
  - name: files
    url: https://files.example/base
    inject: {header: {name: x-api-key}}
    headers: {notion-version: "2022-06-28"}
  source: {secretRef: {name: key, key: token}}
  consumers: {namespaces: [agents]}
`

const credentialText = `
metadata: {name: notes, namespace: agents, uid: sc-1, generation: 7}
spec:
  upstream: {namespace: platform, name: github}
  holders: {serviceAccounts: [agent]}
  client: {env: [{name: GH_TOKEN, value: "x{token}"}, {name: FILES, value: "{url:files}"}]}
  sets:
  - {name: docs, in: [acme/docs], fold: ASCII}
  grants:
  - name: read
    http: {endpoint: rest, methods: [GET], paths: ["/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"]}
    where: {repo: {set: docs}}
    query: {params: {page: {min: 1}}}
    headers: {x-trace: {maxLength: 10}}
  - name: put
    http: {endpoint: files, methods: [PUT, DELETE], paths: ["/blobs/{id}"]}
    body: {media: Opaque}
`

// putGrant is the kind of the second grant, the others may be.
const (
	putGrant = `http: {endpoint: files, methods: [PUT, DELETE], paths: ["/blobs/{id}"]}
    body: {media: Opaque}`
	mcpGrant = `mcp: {endpoint: rest, path: /mcp, revisions: ["2025-11-25"], tools: [{name: find, arguments: {q: {type: String}}}]}`
	gitGrant = `git: {endpoint: rest, repos: {set: docs}, push: {refs: [refs/heads/agent/**], actions: [Create]}}`
)

func parse(t testing.TB, text string, object any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatal(err)
	}
}

func upstreamOf(t testing.TB, text string) *v1alpha1.UpstreamSecret {
	t.Helper()
	var up v1alpha1.UpstreamSecret
	parse(t, text, &up)
	return &up
}

func credentialOf(t testing.TB, text string) *v1alpha1.ScopedCredential {
	t.Helper()
	var sc v1alpha1.ScopedCredential
	parse(t, text, &sc)
	return &sc
}

func ptr[T any](v T) *T { return &v }

func TestCredential(t *testing.T) {
	got, err := Credential(credentialOf(t, credentialText), upstreamOf(t, upstreamText))
	if err != nil {
		t.Fatal(err)
	}
	docs := &scope.Matcher{In: []string{"acme/docs"}, FoldASCII: true}
	want := bundle.Credential{
		Namespace: "agents", Name: "notes",
		Object:   bundle.Object{UID: "sc-1", Generation: 7},
		Upstream: bundle.Object{UID: "up-1", Generation: 4},
		Endpoints: []bundle.Endpoint{
			{
				Name: "rest", URL: "https://api.github.com", MinTLS: "1.2",
				Profile: scope.Profile{
					SlashInTail:    true,
					FoldPaths:      []string{"/repos/{owner}/{repo}", "/orgs/{org}", "/users/{username}"},
					Layouts:        []scope.Layout{{Base: "/api/v3", Moved: []scope.Move{{Plain: "/graphql", There: "/api/graphql"}}}},
					ReserveQuery:   []string{"client_id", "client_secret"},
					ForwardHeaders: []string{"X-GitHub-Api-Version", "GraphQL-Features"},
				},
				Inject: bundle.Inject{Bearer: &struct{}{}},
			},
			{
				Name: "files", URL: "https://files.example/base", MinTLS: "1.2",
				Inject:  bundle.Inject{Header: &bundle.HeaderInjection{Name: "x-api-key", Template: "{secret}"}},
				Headers: map[string]string{"Notion-Version": "2022-06-28"},
			},
		},
		Grants: []scope.Grant{
			{
				Name: "read", Endpoint: "rest",
				HTTP:    &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"}},
				Where:   map[string]scope.Matcher{"repo": {Set: docs}},
				Query:   scope.Query{Params: map[string]scope.Matcher{"page": {Min: ptr("1")}}},
				Headers: map[string]scope.Matcher{"X-Trace": {MaxLength: ptr(10)}},
			},
			{
				Name: "put", Endpoint: "files",
				HTTP: &scope.HTTP{Methods: []string{"PUT", "DELETE"}, Paths: []string{"/blobs/{id}"}},
				Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1048576},
			},
		},
		MaxOffline: 10 * time.Minute,
		Limits: bundle.Limits{
			HeaderBytes: 32768, BodyBytes: 1048576, RequestTimeout: 30 * time.Second,
			AnswerTimeout: 5 * time.Minute, StreamTimeout: 30 * time.Minute, Concurrency: 256,
		},
		Env: []bundle.EnvVar{
			{Name: "GH_TOKEN", Value: "x{token}"}, {Name: "FILES", Value: "{url:files}"},
			{Name: "GITHUB_API_URL", Value: "{url:rest}"}, {Name: "GITHUB_GRAPHQL_URL", Value: "{url:rest}/graphql"}, {Name: "GITHUB_TOKEN", Value: "{token}"},
			{Name: "GH_ENTERPRISE_TOKEN", Value: "{token}"}, {Name: "GITHUB_PERSONAL_ACCESS_TOKEN", Value: "{token}"},
		},
	}
	want.ScopeHash = got.ScopeHash
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	reach := v1alpha1.Reach{Reads: 2, Writes: 1, Deletes: 1, Opaque: 2, Summary: "R2 W1 D1"}
	if diff := cmp.Diff(reach, measure.Reach(got.Grants)); diff != "" {
		t.Errorf("reach (-want +got):\n%s", diff)
	}
}

// TestCredentialRefuses changes one thing in a scope that compiles.
func TestCredentialRefuses(t *testing.T) {
	tests := map[string]struct {
		why, from, to, reason string
		want                  string // beginning of the only problem
	}{
		"no grants":           {"a scope of nothing is a mistake", credentialText[strings.Index(credentialText, "  grants:"):], "", v1alpha1.ReasonInvalid, "spec.grants: "},
		"no method":           {"it grants nothing", "methods: [GET]", "methods: []", v1alpha1.ReasonInvalid, "spec.grants[0].http.methods: "},
		"no path":             {"it grants nothing", `paths: ["/blobs/{id}"]`, "paths: []", v1alpha1.ReasonInvalid, "spec.grants[1].http.paths: "},
		"method twice":        {"TRACE echoes the key", "methods: [GET]", "methods: [GET, TRACE]", v1alpha1.ReasonInvalid, `spec.grants[0].http.methods[1]: "TRACE": `},
		"relative path":       {"not a path", `"/blobs/{id}"`, `"blobs/{id}"`, v1alpha1.ReasonInvalid, `spec.grants[1].http.paths[0]: "blobs/{id}": `},
		"wildcard":            {"it matches whatever the upstream has", `"/blobs/{id}"`, `"/{id}"`, v1alpha1.ReasonInvalid, `spec.grants[1].http.paths[0]: "/{id}": it matches whatever`},
		"tail alone":          {"the same, of any length", `"/blobs/{id}"`, `"/{all...}"`, v1alpha1.ReasonInvalid, `spec.grants[1].http.paths[0]: "/{all...}": it matches whatever`},
		"tail in the middle":  {"where it ends would be ambiguous", `"/blobs/{id}"`, `"/blobs/{all...}/x"`, v1alpha1.ReasonInvalid, `spec.grants[1].http.paths[0]: `},
		"undeclared capture":  {"the constraint would bind nothing", "body: {media: Opaque}", "where: {name: {type: String}}", v1alpha1.ReasonInvalid, "spec.grants[1].where.name: "},
		"capture of one path": {"the other path would be unbound", `"/repos/{repo=*/*}",`, `"/orgs/{org}",`, v1alpha1.ReasonInvalid, "spec.grants[0].where.repo: "},
		"undeclared set":      {"the constraint would be lost", "{set: docs}", "{set: doc}", v1alpha1.ReasonInvalid, `spec.grants[0].where[repo].set: "doc": `},
		"set twice":           {"which counts would be a matter of order", "  grants:", "  - {name: docs, in: [acme/web]}\n  grants:", v1alpha1.ReasonInvalid, `spec.sets[1].name: "docs": `},
		"unused set":          {"it would fail the next change", "  grants:", "  - {name: bad, pattern: '(?i)x'}\n  grants:", v1alpha1.ReasonInvalid, `spec.sets[1].pattern: "(?i)x": `},
		"bad set":             {"told once, at the set", "in: [acme/docs]", "glob: '**x'", v1alpha1.ReasonInvalid, `spec.sets[0].glob: "**x": `},
		"not RE2":             {"it cannot be run in linear time", "page: {min: 1}", "page: {pattern: '(a)\\1'}", v1alpha1.ReasonInvalid, `spec.grants[0].query.params.page.pattern: `},
		"empty matcher":       {"empty never means all", "page: {min: 1}", "page: {}", v1alpha1.ReasonInvalid, "spec.grants[0].query.params.page: "},
		"unknown endpoint":    {"it would be granted nowhere", "endpoint: rest,", "endpoint: git,", v1alpha1.ReasonInvalid, `spec.grants[0].http.endpoint: "git": name an endpoint of the UpstreamSecret: rest, files`},
		"which endpoint":      {"there are two", "endpoint: rest,", "", v1alpha1.ReasonInvalid, "spec.grants[0].http.endpoint: name an endpoint"},
		"grant twice":         {"records could not tell them apart", "name: put", "name: read", v1alpha1.ReasonInvalid, `spec.grants[1].name: "read": `},
		"header twice":        {"two spellings, two matchers", "x-trace: {", "X-Trace: {equals: a}, x-trace: {", v1alpha1.ReasonInvalid, `spec.grants[0].headers[x-trace]: "x-trace": `},
		"header of the key":   {"the agent would choose the key", "body: {media: Opaque}", "headers: {X-Api-Key: {type: String}}", v1alpha1.ReasonInvalid, `spec.grants[1].headers[X-Api-Key]: "X-Api-Key": this header holds the key`},
		"fixed header":        {"the owner fixed it", "body: {media: Opaque}", "headers: {Notion-Version: {type: String}}", v1alpha1.ReasonInvalid, `spec.grants[1].headers[Notion-Version]: "Notion-Version": the UpstreamSecret sets`},
		"authorization":       {"the sidecar makes it", "x-trace:", "authorization:", v1alpha1.ReasonInvalid, "spec.grants[0].headers.Authorization: "},
		"override header":     {"it changes the method behind the judge", "x-trace:", "x-http-method-override:", v1alpha1.ReasonInvalid, "spec.grants[0].headers.X-Http-Method-Override: "},
		"underscore":          {"CGI servers take it for a hyphen", "x-trace:", "x_trace:", v1alpha1.ReasonInvalid, `spec.grants[0].headers[x_trace]: "x_trace": write - for _`},
		"variable of nothing": {"the agent would get the placeholder", "{url:files}", "{url:file}", v1alpha1.ReasonInvalid, `spec.client.env[1].value: "{url:file}": `},
		"variable twice":      {"one would be lost", "name: FILES", "name: GH_TOKEN", v1alpha1.ReasonInvalid, `spec.client.env[1].name: "GH_TOKEN": `},
		"long lifetime":       {"tokens are short-lived", "  sets:", "  lifetime: 2h\n  sets:", v1alpha1.ReasonInvalid, `spec.lifetime: "2h0m0s": `},
		"long offline":        {"a lease never outlives its token", "  sets:", "  lifetime: 1m\n  maxOffline: 2m\n  sets:", v1alpha1.ReasonInvalid, `spec.maxOffline: "2m0s": `},
		"opaque fields":       {"what is listed would not be looked at", "{media: Opaque}", "{media: Opaque, fields: {a: {equals: b}}}", v1alpha1.ReasonInvalid, "spec.grants[1].body.fields: remove fields"},

		"body path":    {"no document has it", "{media: Opaque}", "{fields: {a..b: {equals: x}}}", v1alpha1.ReasonInvalid, `spec.grants[1].body.fields: "a..b": name a field`},
		"body matcher": {"it bounds nothing", "{media: Opaque}", "{fields: {a.b: {required: true}}}", v1alpha1.ReasonInvalid, "spec.grants[1].body.fields.a.b: bound the value"},
		"body set":     {"no reason to leave it out", "{media: Opaque}", "{fields: {a.b: {set: none}}}", v1alpha1.ReasonInvalid, `spec.grants[1].body.fields[a.b].set: "none": there is no set`},
		"body parent":  {"no text has members", "{media: Opaque}", "{fields: {a: {type: String}, a.b: {equals: x}}}", v1alpha1.ReasonInvalid, "spec.grants[1].body.fields.a.type: set a type"},
		"body keys":    {"some readers take them for one", "{media: Opaque}", "{fields: {id: {type: Any}, ID: {type: Any}}}", v1alpha1.ReasonInvalid, `spec.grants[1].body.fields: "id": list the field once`},
		"body element": {"it would ask for nothing", "{media: Opaque}", "{fields: {'a[]': {equals: x, required: true}}}", v1alpha1.ReasonInvalid, "spec.grants[1].body.fields.a[]: remove"},
		"form array":   {"a form has none", "{media: Opaque}", "{media: Form, fields: {a: {type: Array}}}", v1alpha1.ReasonInvalid, `spec.grants[1].body.fields.a.type: "Array": set another type`},
		"part value":   {"it bounds nothing", "{media: Opaque}", "{media: Multipart, parts: {a: {value: {}}}}", v1alpha1.ReasonInvalid, "spec.grants[1].body.parts.a.value: bound the value"},
		"part media":   {"readers differ about parameters", "{media: Opaque}", "{media: Multipart, parts: {a: {media: [image]}}}", v1alpha1.ReasonInvalid, `spec.grants[1].body.parts.a.media: "image": write a media type`},
		"parts":        {"a form has none", "{media: Opaque}", "{media: Form, parts: {a: {}}}", v1alpha1.ReasonInvalid, "spec.grants[1].body.parts: remove parts"},
		"keep":         {"no answer has it", "{media: Opaque}", "{media: Opaque}\n    response: {keep: ['a[']}", v1alpha1.ReasonInvalid, `spec.grants[1].response.keep: "a[": write []`},
		"rate":         {"it would bound nothing", "{media: Opaque}", "{media: Opaque}\n    limits: {requests: {count: 1, per: 10ms}}", v1alpha1.ReasonInvalid, `spec.grants[1].limits.requests: "1 per 10ms": allow`},
		"no requests":  {"it would refuse all", "  grants:", "  limits: {requests: {count: 0, per: 1m}}\n  grants:", v1alpha1.ReasonInvalid, `spec.limits.requests: "0 per 1m0s": allow`},
		"set text":     {"no text is an array", "in: [acme/docs], fold: ASCII", "type: Array", v1alpha1.ReasonInvalid, `spec.grants[0].where.repo.set.type: "Array": set another type`},
		"git where":    {"it has no captures", putGrant, gitGrant + "\n    where: {repo: {set: docs}}", v1alpha1.ReasonInvalid, "spec.grants[1].where: where goes with http"},
		"git nothing":  {"neither fetch nor push", putGrant, "git: {endpoint: rest, repos: {set: docs}}", v1alpha1.ReasonInvalid, "spec.grants[1].git: set fetch: true, push, or both"},
		"git set":      {"the constraint would be lost", putGrant, "git: {endpoint: rest, repos: {set: none}, fetch: true}", v1alpha1.ReasonInvalid, `spec.grants[1].git.repos.set: "none": there is no set`},
		"git refs":     {"no push has such a ref", putGrant, strings.Replace(gitGrant, "refs/heads/agent/**", "agent/**", 1), v1alpha1.ReasonInvalid, `spec.grants[1].git.push.refs[0]: "agent/**": write a glob of full names`},
		"git action":   {"nobody would enforce it", putGrant, strings.Replace(gitGrant, "Create", "Force", 1), v1alpha1.ReasonInvalid, `spec.grants[1].git.push.actions: "Force": list Create, Update or Delete`},
		"git options":  {"nobody would enforce it", putGrant, strings.Replace(gitGrant, "]}}", "], pushOptions: Some}}", 1), v1alpha1.ReasonInvalid, `spec.grants[1].git.push.pushOptions: "Some": write None or Any`},
		"graphql":      {"nothing says what the types are", putGrant, "graphql: {endpoint: files, path: /g, operations: [Query], select: []}", v1alpha1.ReasonInvalid, "spec.grants[1].graphql: the endpoint has no schema"},
		"mcp":          {"a revision is missing", putGrant, strings.Replace(mcpGrant, "2025-11-25", "2024-11-05", 1), v1alpha1.ReasonInvalid, `spec.grants[1].mcp.revisions: "2024-11-05": name revisions`},
		"mcp nothing":  {"it allows nothing", putGrant, strings.Replace(mcpGrant, "tools", "prompts: [], tools", 1) + "\n    headers: {Mcp-Name: {type: String}}", v1alpha1.ReasonInvalid, "spec.grants[1].headers.Mcp-Name: remove the header"},
		"mcp path":     {"a server has one", putGrant, strings.Replace(mcpGrant, "path: /mcp", "path: '/{any}'", 1), v1alpha1.ReasonInvalid, `spec.grants[1].mcp.path: "/{any}": write the path of the server`},
		"mcp argument": {"it bounds nothing", putGrant, strings.Replace(mcpGrant, "type: String", "", 1), v1alpha1.ReasonInvalid, "spec.grants[1].mcp.tools[find].arguments.q: bound the value"},
		"grpc":         {"no service has such a method", putGrant, "grpc: {endpoint: rest, methods: [a.B/C, /a.B/C]}", v1alpha1.ReasonInvalid, `spec.grants[1].grpc.methods[1]: "/a.B/C": write it as package.Service/Method`},
		"grpc header":  {"what it says is the protocol's", putGrant, "grpc: {endpoint: rest, methods: [a.B/C]}\n    headers: {grpc-timeout: {type: String}}", v1alpha1.ReasonInvalid, "spec.grants[1].headers.Grpc-Timeout: remove the header"},
		"grpc nothing": {"it allows nothing", putGrant, "grpc: {endpoint: rest, methods: []}", v1alpha1.ReasonInvalid, "spec.grants[1].grpc.methods: list a method"},
		"grpc where":   {"it has no captures", putGrant, "grpc: {endpoint: rest, methods: [a.B/C]}\n    where: {repo: {set: docs}}", v1alpha1.ReasonInvalid, "spec.grants[1].where: where goes with http"},
		"observe":      {"not enforced yet", "  grants:", "  mode: Observe\n  grants:", v1alpha1.ReasonUnsupported, `spec.mode: "Observe": `},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(credentialText, test.from, test.to, 1)
			if text == credentialText {
				t.Fatal("nothing was changed")
			}
			_, err := Credential(credentialOf(t, text), upstreamOf(t, upstreamText))
			refusedFor(t, test.why, err, test.reason, test.want)
		})
	}
}

// refusedFor expects one problem that begins with want, and tells what to do.
func refusedFor(t *testing.T, why string, err error, reason, want string) {
	t.Helper()
	var refused *Refused
	if !errors.As(err, &refused) || !errors.Is(err, ErrRefused) {
		t.Fatalf("%s: not refused: %v", why, err)
	}
	if len(refused.Problems) != 1 || refused.Reason != reason || !strings.HasPrefix(refused.Error(), want) {
		t.Errorf("%s: got %s %v\nwant %s %s", why, refused.Reason, refused, reason, want)
	}
}

func TestUpstreamRefuses(t *testing.T) {
	tests := map[string]struct{ why, from, to, reason, want string }{
		"other profile":    {"its rules are missing", "profile: github-rest", "profile: later", v1alpha1.ReasonUnsupported, `spec.endpoints[0].profile: "later": `},
		"no schema":        {"nobody looked for it", "profile: github-rest", "graphql: {schemaRef: {name: a, key: b}}", v1alpha1.ReasonUnsupported, `spec.endpoints[0].graphql.schemaRef: `},
		"SigV4 alone":      {"a token signs nothing", "{bearer: {}}", "{awsSigV4: {region: a, service: b}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: source.awsKeys"},
		"certificate":      {"a token is none", "{bearer: {}}", "{clientCertificate: {}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: source.clientCertificate"},
		"no injection":     {"where the key goes must be said", "{bearer: {}}", "{}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: "},
		"two injections":   {"two places, one checked", "{bearer: {}}", "{bearer: {}, query: {name: k}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: "},
		"two sources":      {"which holds the key is a guess", "secretRef: {name: key, key: token}", "secretRef: {name: key, key: token}, oauth2: {tokenURL: x}", v1alpha1.ReasonInvalid, "spec.source: set one source"},
		"no source":        {"there is no key", "secretRef: {name: key, key: token}", "", v1alpha1.ReasonInvalid, "spec.source: "},
		"ceiling of none":  {"it would allow nothing", "  consumers:", "  ceiling: {grants: []}\n  consumers:", v1alpha1.ReasonInvalid, "spec.ceiling.grants: "},
		"ceiling of git":   {"it names no repository", "  consumers:", "  ceiling: {grants: [{name: a, git: {endpoint: rest, fetch: true}}]}\n  consumers:", v1alpha1.ReasonInvalid, "spec.ceiling.grants[0].git.repos: bound the value"},
		"ceiling's set":    {"it would bound nothing", "  consumers:", "  ceiling: {sets: [{name: a, glob: '**a'}], grants: [{name: a, http: {endpoint: rest, methods: [GET], paths: [/a]}}]}\n  consumers:", v1alpha1.ReasonInvalid, `spec.ceiling.sets[0].glob: "**a": `},
		"clear text":       {"the key would be readable", "https://api", "http://api", v1alpha1.ReasonInvalid, `spec.endpoints[0].url: "http://api.github.com": http:// sends the key`},
		"user information": {"another reader takes it for the host", "https://api.github.com", "https://a@api.github.com", v1alpha1.ReasonInvalid, "spec.endpoints[0].url: "},
		"query":            {"paths would land in it", "https://api.github.com", "https://api.github.com/?a=b", v1alpha1.ReasonInvalid, "spec.endpoints[0].url: "},
		"trailing slash":   {"two slashes in every path", "https://api.github.com", "https://api.github.com/", v1alpha1.ReasonInvalid, "spec.endpoints[0].url: "},
		"port":             {"no such port", "https://api.github.com", "https://api.github.com:65536", v1alpha1.ReasonInvalid, "spec.endpoints[0].url: "},
		"no host":          {"nowhere to go", "https://api.github.com", "https:api", v1alpha1.ReasonInvalid, "spec.endpoints[0].url: "},
		"fixed framing":    {"it belongs to the message", "notion-version:", "content-length:", v1alpha1.ReasonInvalid, "spec.endpoints[1].headers[content-length]: "},
		"fixed key":        {"it would replace the key", "notion-version:", "x-api-key:", v1alpha1.ReasonInvalid, "spec.endpoints[1].headers[x-api-key]: "},
		"no certificate":   {"a CA that nobody can read trusts nothing", "profile: github-rest", "tls: {caBundle: x}", v1alpha1.ReasonInvalid, "spec.endpoints[0].tls.caBundle: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(upstreamText, test.from, test.to, 1)
			if text == upstreamText {
				t.Fatal("nothing was changed")
			}
			up := upstreamOf(t, text)
			refusedFor(t, test.why, Upstream(up), test.reason, test.want)
			// Its consumers hear that it is not accepted, and nothing of what it says.
			_, err := Credential(credentialOf(t, credentialText), up)
			refusedFor(t, test.why, err, test.reason, `spec.upstream: "platform/github": this UpstreamSecret is not accepted`)
		})
	}
}

func TestPlaintext(t *testing.T) {
	tests := map[string]struct {
		why, url string
		ok       bool
	}{
		"service":    {"a Service of the cluster", "http://api.tools.svc", true},
		"whole name": {"the same in full", "http://api.tools.svc.cluster.local:8080/base", true},
		"outside":    {"the key would leave the cluster", "http://api.example", false},
		"look-alike": {"svc must be the end of the name", "http://svc.example", false},
		"address":    {"no name at all", "http://10.0.0.1", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			up := upstreamOf(t, strings.Replace(upstreamText, "https://api.github.com", test.url, 1))
			up.Spec.Plaintext = v1alpha1.PlaintextAllowClusterInternal
			if err := Upstream(up); (err == nil) != test.ok {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}

// TestNotFound: what is missing and what is not shared look the same.
func TestNotFound(t *testing.T) {
	sc := credentialOf(t, credentialText)
	_, missing := Credential(sc, nil)
	refusedFor(t, "it does not exist", missing, v1alpha1.ReasonNotFound, "spec.upstream: UpstreamSecret platform/github does not exist or is not shared")
	for why, consumers := range map[string]*v1alpha1.Consumers{
		"its own namespace alone": nil,
		"nobody":                  {},
		"another namespace":       {Namespaces: []string{"agents2", "agent", ""}},
	} {
		up := upstreamOf(t, upstreamText)
		up.Spec.Consumers = consumers
		up.Spec.Endpoints[0].URL = "not looked at"
		_, err := Credential(sc, up)
		if err == nil || err.Error() != missing.Error() {
			t.Errorf("%s: got %v, want %v", why, err, missing)
		}
	}
	if !strings.Contains(missing.Error(), UpstreamNotFound("platform", "github")) {
		t.Error("admission would use other words")
	}
}

// TestAllProblems: an author corrects a manifest once.
func TestAllProblems(t *testing.T) {
	sc := credentialOf(t, credentialText)
	sc.Spec.Grants[0].Where["repo"] = v1alpha1.Matcher{Set: "none"}
	sc.Spec.Grants[0].HTTP.Endpoint = "none"
	sc.Spec.Grants[1].Body.Media = "Neither"
	sc.Spec.Lifetime = &metav1.Duration{Duration: time.Second}
	_, err := Credential(sc, upstreamOf(t, upstreamText))
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var fields []string
	for _, p := range refused.Problems {
		fields = append(fields, p.Field)
	}
	want := []string{"spec.lifetime", "spec.grants[0].http.endpoint", "spec.grants[0].where[repo].set", "spec.grants[1].body.media"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if refused.Reason != v1alpha1.ReasonInvalid {
		t.Errorf("reason %s: what cannot be read comes before what is not enforced", refused.Reason)
	}
}

// TestVariables: a client is pointed at the address and sends the token where
// the endpoint takes it from.
func TestVariables(t *testing.T) {
	endpoint := func(profile, url, inject string) string {
		return "\n  - {name: e, url: " + url + ", profile: " + profile + ", inject: {" + inject + "}}"
	}
	tests := map[string]struct {
		why, endpoint string
		want          []bundle.EnvVar
	}{
		"openai":           {"its clients want the version in the address", endpoint("openai", "https://api.openai.com", "bearer: {}"), []bundle.EnvVar{{Name: "OPENAI_BASE_URL", Value: "{url:e}/v1"}, {Name: "OPENAI_API_BASE", Value: "{url:e}/v1"}, {Name: "OPENAI_API_KEY", Value: "{token}"}}},
		"openai, base":     {"paths are relative to the base path", endpoint("openai", "https://api.openai.com/v1", "bearer: {}"), []bundle.EnvVar{{Name: "OPENAI_BASE_URL", Value: "{url:e}"}, {Name: "OPENAI_API_BASE", Value: "{url:e}"}, {Name: "OPENAI_API_KEY", Value: "{token}"}}},
		"anthropic, key":   {"the token comes as a key", endpoint("anthropic", "https://api.anthropic.com", "header: {name: x-api-key}"), []bundle.EnvVar{{Name: "ANTHROPIC_BASE_URL", Value: "{url:e}"}, {Name: "ANTHROPIC_API_URL", Value: "{url:e}"}, {Name: "ANTHROPIC_API_KEY", Value: "{token}"}}},
		"anthropic, token": {"the token comes as Bearer", endpoint("anthropic", "https://api.anthropic.com", "bearer: {}"), []bundle.EnvVar{{Name: "ANTHROPIC_BASE_URL", Value: "{url:e}"}, {Name: "ANTHROPIC_API_URL", Value: "{url:e}"}, {Name: "ANTHROPIC_AUTH_TOKEN", Value: "{token}"}}},
		"strict":           {"nothing is known of its clients", endpoint("strict-json", "https://llm.example", "bearer: {}"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			up := upstreamOf(t, "metadata: {name: u, namespace: n}\nspec:\n  endpoints:"+test.endpoint)
			if diff := cmp.Diff(test.want, Variables(&v1alpha1.ScopedCredential{}, up)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

func TestTooManyGrants(t *testing.T) {
	sc := credentialOf(t, credentialText)
	for len(sc.Spec.Grants) <= maxGrants {
		sc.Spec.Grants = append(sc.Spec.Grants, sc.Spec.Grants[0])
	}
	_, err := Credential(sc, upstreamOf(t, upstreamText))
	refusedFor(t, "a scope is to be read by people", err, v1alpha1.ReasonInvalid, "spec.grants: list at most 256")
}

func TestMaxOffline(t *testing.T) {
	tests := map[string]struct {
		why                  string
		lifetime, maxOffline time.Duration
		want                 time.Duration
	}{
		"default": {"ten minutes", 0, 0, 10 * time.Minute},
		"short":   {"a lease never outlives its token", 2 * time.Minute, 0, 2 * time.Minute},
		"given":   {"what the author says", time.Hour, time.Minute, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var sc v1alpha1.ScopedCredential
			if test.lifetime > 0 {
				sc.Spec.Lifetime = &metav1.Duration{Duration: test.lifetime}
			}
			if test.maxOffline > 0 {
				sc.Spec.MaxOffline = &metav1.Duration{Duration: test.maxOffline}
			}
			if got := MaxOffline(&sc); got != test.want {
				t.Errorf("%s: %v, want %v", test.why, got, test.want)
			}
		})
	}
}
