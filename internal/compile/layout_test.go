package compile

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TestLayouts: requests in GitHub Enterprise's layout are judged as those in
// the plain one. A path of a grant, and worse of never, that is written in it
// would be about no request at all.
func TestLayouts(t *testing.T) {
	const query = `graphql: {path: /graphql, operations: [Query], select: [{"on": Query.rateLimit}]}`
	tests := map[string]struct{ why, grant, ceiling, never, want string }{
		"plain":            {"this is how it is written", `http: {methods: [GET], paths: [/user]}`, "", "", ""},
		"grant":            {"no request would match", `http: {methods: [GET], paths: [/user, /api/v3/user]}`, "", "", `spec.grants[0].http.paths[1]: "/api/v3/user": write the path without /api/v3`},
		"graphql":          {"no request would match", strings.Replace(query, "/graphql", "/api/graphql", 1), "", "", `spec.grants[0].graphql.path: "/api/graphql": write /graphql`},
		"never":            {"it would hold nothing back", query, "", `http: {paths: ["/api/v3/repos/{rest...}"]}`, `spec.never[0].http.paths[0]: "/api/v3/repos/{rest...}": write the path without /api/v3`},
		"never of graphql": {"it would hold nothing back", query, "", `graphql: {path: /api/graphql}`, `spec.never[0].graphql.path: "/api/graphql": write /graphql`},
		"never of mcp":     {"it would hold nothing back", query, "", `mcp: {path: /api/v3/mcp}`, `spec.never[0].mcp.path: "/api/v3/mcp": write the path without /api/v3`},
		"never of sockets": {"it would hold nothing back", query, "", `websocket: {path: /api/v3/ws}`, `spec.never[0].websocket.path: "/api/v3/ws": write the path without /api/v3`},
		"ceiling":          {"it would allow nothing", query, `http: {methods: [GET], paths: [/api/v3/user]}`, "", `the path without /api/v3`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(graphCredential, "graphql: GRAPHQL", test.grant, 1)
			if test.never != "" {
				text += "  never: [{" + test.never + "}]\n"
			}
			upText := graphUpstream
			if test.ceiling != "" {
				upText += "  ceiling: {grants: [{name: all, " + test.ceiling + "}]}\n"
			}
			up := upstreamOf(t, upText)
			_, err := Credential(credentialOf(t, text), up)
			if test.ceiling != "" {
				err = Upstream(up)
			}
			var refused *Refused
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.why, err)
			case test.want == "":
			case !errors.As(err, &refused) || refused.Reason != v1alpha1.ReasonInvalid || !strings.Contains(refused.Error(), test.want):
				t.Errorf("%s: got %v\nwant %s", test.why, err, test.want)
			}
		})
	}
}

// TestLayoutsExamples: an example may be written in either layout.
func TestLayoutsExamples(t *testing.T) {
	text := strings.Replace(graphCredential, "graphql: GRAPHQL", `http: {methods: [GET], paths: ["/repos/{repo=*/*}"]}, where: {repo: {in: [acme/docs]}}`, 1) +
		"  examples: {allow: [GET /api/v3/repos/ACME/docs, GET /repos/acme/docs], deny: [GET /api/v3/repos/acme/web, GET /api/v3/user]}\n"
	if _, err := Credential(credentialOf(t, text), upstreamOf(t, graphUpstream)); err == nil {
		t.Error("github-graphql folds no names: the first example must fail")
	}
	up := strings.Replace(graphUpstream, "github-graphql", "github-rest", 1)
	if _, err := Credential(credentialOf(t, text), upstreamOf(t, up)); err != nil {
		t.Error(err)
	}
}
