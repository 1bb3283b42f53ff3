package lint

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// TestReachesOut has grants at GitHub's published schema, each with what leads
// out of the granted repositories.
func TestReachesOut(t *testing.T) {
	const repository = `{"on": Query.repository, args: {owner: {in: [acme]}, name: {in: [docs]}}}`
	for name, test := range map[string]struct {
		why  string
		want []string // rule, severity, entry and the path
		sel  []string
		more string
	}{
		"fine": {
			why: "nothing leads out", sel: []string{repository, `{"on": Repository, fields: [name, issues]}`, `{"on": IssueConnection, fields: [nodes]}`, `{"on": Issue, fields: [title, number]}`},
		},
		"owner": {
			why: "an owner has other repositories",
			sel: []string{
				repository, `{"on": Repository, fields: [name, owner]}`, `{"on": RepositoryOwner, fields: [login, repositories]}`, `{"on": RepositoryConnection, fields: [nodes]}`,
			},
			want: []string{"ReachesOut warning [3] the grant graph reaches any Repository by Query.repository > Repository.owner > RepositoryOwner.repositories > RepositoryConnection.nodes"},
		},
		"member of an interface": {
			why:  "an owner may be a user",
			sel:  []string{repository, `{"on": Repository, fields: [owner]}`, `{"on": User, fields: [repository]}`},
			want: []string{"ReachesOut warning [2] the grant graph reaches any Repository by Query.repository > Repository.owner > User.repository"},
		},
		"bounded on the way": {
			why: "the way is bounded", sel: []string{repository, `{"on": Repository, fields: [owner]}`, `{"on": User.repository, args: {name: {in: [docs]}}}`},
		},
		"forks": {
			why: "forks are others' repositories", sel: []string{repository, `{"on": Repository, fields: [forks, parent]}`, `{"on": RepositoryConnection, fields: [nodes, edges]}`, `{"on": RepositoryEdge, fields: [node]}`},
			want: []string{
				"ReachesOut warning [1] the grant graph reaches any Repository by Query.repository > Repository.parent",
				"ReachesOut warning [2] the grant graph reaches any Repository by Query.repository > Repository.forks > RepositoryConnection.nodes",
				"ReachesOut warning [3] the grant graph reaches any Repository by Query.repository > Repository.forks > RepositoryConnection.edges > RepositoryEdge.node",
			},
		},
		"another beginning": {
			why: "the viewer has repositories", sel: []string{repository, `{"on": Repository, fields: [name]}`, `{"on": Query, fields: [viewer]}`, `{"on": User, fields: [repositories]}`, `{"on": RepositoryConnection, fields: [nodes]}`},
			want: []string{"ReachesOut warning [4] the grant graph reaches any Repository by Query.viewer > User.repositories > RepositoryConnection.nodes"},
		},
		"union": {
			why: "what is found may be a repository", sel: []string{repository, `{"on": Repository, fields: [name]}`, `{"on": Query.search, args: {query: {type: String}, type: {type: String}}}`, `{"on": SearchResultItemConnection, fields: [nodes]}`},
			want: []string{"ReachesOut warning [3] the grant graph reaches any Repository by Query.search > SearchResultItemConnection.nodes"},
		},
		"identifiers": {
			why: "nobody can read them", sel: []string{repository, `{"on": Repository, fields: [name]}`, `{"on": Query, fields: [node]}`},
			want: []string{
				"AnyArguments warning [2] the field Query.node passes with any arguments",
				"ReachesOut warning [2] the grant graph reaches any Repository by Query.node",
			},
		},
		"back": {
			why: "an issue is in its repository", sel: []string{repository, `{"on": Repository, fields: [issue]}`, `{"on": Issue, fields: [repository]}`},
			want: []string{"ReachesOut note [2] the grant graph reaches any Repository by Query.repository > Repository.issue > Issue.repository, unless"},
		},
		"open mutation": {
			why: "it takes identifiers", sel: []string{`{"on": Mutation, fields: [deleteRef]}`}, more: "operations: [Mutation]",
			want: []string{"AnyArguments warning [0] the field Mutation.deleteRef passes with any arguments"},
		},
		"sets": {
			why: "they are used", sel: []string{`{"on": Query.repository, args: {name: {set: docs}}}`, `{"on": Repository, fields: [name]}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var up v1alpha1.UpstreamSecret
			var sc v1alpha1.ScopedCredential
			operations := "operations: [Query]"
			if test.more != "" {
				operations = test.more
			}
			text := "metadata: {name: notes, namespace: agents}\nspec:\n  upstream: {name: github}\n  holders: {serviceAccounts: [agent]}\n" +
				map[bool]string{true: "  sets: [{name: docs, in: [docs]}]\n"}[name == "sets"] +
				"  grants: [{name: graph, graphql: {path: /graphql, " + operations + ", select: [" + strings.Join(test.sel, ", ") + "]}}]\n"
			if err := yaml.UnmarshalStrict([]byte(upstreamText), &up); err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(text), &sc); err != nil {
				t.Fatal(err)
			}
			doc, err := compile.Credential(&sc, &up)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range Findings(Scope{&sc, &doc, map[string]string{"rest": "github-rest"}}) {
				got = append(got, string(f.Rule)+" "+f.Severity.String()+" "+strings.TrimPrefix(f.Field, "spec.grants[0].graphql.select")+" "+f.Message)
			}
			if len(got) != len(test.want) {
				t.Fatalf("%s: found %q", test.why, got)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("%s: found %q, want %q", test.why, got[i], test.want[i])
				}
			}
		})
	}
}
