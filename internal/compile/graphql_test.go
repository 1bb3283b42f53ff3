package compile

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

const graphUpstream = `
metadata: {name: gh, namespace: platform, uid: up-1, generation: 1}
spec:
  endpoints:
  - {name: graph, url: "https://api.github.com", profile: github-graphql, inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
  consumers: {namespaces: [agents]}
`

const ownUpstream = `
metadata: {name: gh, namespace: platform, uid: up-1, generation: 1}
spec:
  endpoints:
  - {name: graph, url: "https://api.example", inject: {bearer: {}}, graphql: {schemaRef: {name: schema, key: sdl}}}
  source: {secretRef: {name: key, key: token}}
  consumers: {namespaces: [agents]}
`

const graphCredential = `
metadata: {name: it, namespace: agents, uid: sc-1, generation: 1}
spec:
  upstream: {namespace: platform, name: gh}
  holders: {serviceAccounts: [agent]}
  sets: [{name: docs, in: [docs]}]
  grants:
  - {name: graph, graphql: GRAPHQL}
`

var ownSchema = Compiler{Schemas: Schemas{{Name: "schema", Key: "sdl"}: ReadSchema(`
schema { query: Root }
type Root { thing(id: ID!, in: Box, list: [Box!], json: JSON, when: Color): Thing, hidden: Thing }
interface Thing { name(short: Boolean): String }
type A implements Thing { name(short: Boolean): String, b: B }
type B implements Thing { name(short: Boolean): String }
union Any = A | B
input Box { size: Int, inner: Box, tags: [String] }
enum Color { RED }
scalar JSON
`)}}

func TestGraphQL(t *testing.T) {
	sc := credentialOf(t, strings.Replace(graphCredential, "GRAPHQL", `{path: /graphql, operations: [Query, Mutation], limits: {depth: 8, aliases: 3}, select: [
      {"on": Query.repository, args: {owner: {equals: acme}, name: {set: docs}}}, {"on": Repository, fields: [name, owner]}, {"on": RepositoryOwner, fields: [login]},
      {"on": User, fields: [login]}, {"on": Query.rateLimit}, {"on": Mutation.createCommitOnBranch, args: {input.branch.branchName: {glob: "agent/**", required: true}, "input.fileChanges.additions[].path": {glob: "docs/**"}}}]}`, 1))
	doc, err := Credential(sc, upstreamOf(t, graphUpstream))
	if err != nil {
		t.Fatal(err)
	}
	acme, glob, files := "acme", "agent/**", "docs/**"
	want := &graphql.Spec{
		Path: "/graphql", Operations: []syntax.Kind{syntax.Mutation, syntax.Query}, MaxBytes: 1 << 20, Query: "Query", Mutation: "Mutation",
		Limits: graphql.Limits{Depth: 8, Selections: 500, Operations: 10, Aliases: 3},
		Types: map[string]graphql.Type{
			"Query": {Fields: map[string]graphql.Field{
				"repository": {Type: "Repository", Args: map[string]match.Matcher{"owner": {Equals: &acme}, "name": {Set: &match.Matcher{In: []string{"docs"}}}}},
				"rateLimit":  {Type: "RateLimit"},
			}},
			"Repository":      {Fields: map[string]graphql.Field{"name": {AnyArgs: true}, "owner": {Type: "RepositoryOwner", AnyArgs: true}}},
			"RepositoryOwner": {Fields: map[string]graphql.Field{"login": {AnyArgs: true}}, Possible: []string{"User"}},
			"User":            {Fields: map[string]graphql.Field{"login": {AnyArgs: true}}},
			"Mutation": {Fields: map[string]graphql.Field{"createCommitOnBranch": {Type: "CreateCommitOnBranchPayload", Args: map[string]match.Matcher{
				"input.branch.branchName": {Glob: &glob, Required: true}, "input.fileChanges.additions[].path": {Glob: &files},
			}}}},
		},
	}
	if diff := cmp.Diff(want, doc.Grants[0].GraphQL); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestOwnSchema: a schema of the owner's is the one that counts.
func TestOwnSchema(t *testing.T) {
	sc := credentialOf(t, strings.Replace(graphCredential, "GRAPHQL", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {id: {equals: "1"}, "list[].inner.tags[]": {in: [a]}, json.what.ever: {type: Integer}, when: {in: [RED]}}}, {"on": Thing, fields: [name]}]}`, 1))
	doc, err := ownSchema.Credential(sc, upstreamOf(t, ownUpstream))
	if err != nil {
		t.Fatal(err)
	}
	if g := doc.Grants[0].GraphQL; g.Query != "Root" || g.Mutation != "" || len(g.Types) != 2 {
		t.Errorf("got %+v", g)
	}
	for name, schemas := range map[string]Schemas{
		"none": nil, "another key": {{Name: "schema", Key: "other"}: ReadSchema("type Query{a:Int}")}, "broken": {{Name: "schema", Key: "sdl"}: ReadSchema("type secret {")},
	} {
		c := Compiler{Schemas: schemas}
		if _, err := c.Credential(sc, upstreamOf(t, ownUpstream)); !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "schema") {
			t.Errorf("%s: got %v", name, err) // the owner's conditions say more
		}
		err := c.Upstream(upstreamOf(t, ownUpstream))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "spec.endpoints[0].graphql.schemaRef") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestGraphQLRefuses(t *testing.T) {
	tests := map[string]struct {
		why, graphql, want string
		own                bool
	}{
		"type":            {"a typo would grant nothing", `{path: /g, operations: [Query], select: [{"on": Repositry, fields: [name]}]}`, `graphql.select[0].on: "Repositry": the schema has no type`, false},
		"field":           {"a typo would grant nothing", `{path: /g, operations: [Query], select: [{"on": Repository, fields: [name, nmae]}]}`, `graphql.select[0].fields[1]: "Repository.nmae": the schema has no field`, false},
		"single field":    {"a typo would grant nothing", `{path: /g, operations: [Query], select: [{"on": Query.repo}]}`, `graphql.select[0].on: "Query.repo": the schema has no field`, false},
		"argument":        {"a typo would bound nothing", `{path: /g, operations: [Query], select: [{"on": Query.repository, args: {ower: {equals: a}}}]}`, `graphql.select[0].args[ower]: "ower": the schema has no argument`, false},
		"input field":     {"a typo would bound nothing", `{path: /g, operations: [Mutation], select: [{"on": Mutation.createCommitOnBranch, args: {input.branch.name: {equals: a}}}]}`, `graphql.select[0].args[input.branch.name]: "input.branch.name": the schema`, false},
		"below a scalar":  {"it has nothing below", `{path: /g, operations: [Query], select: [{"on": Query.repository, args: {owner.name: {equals: a}}}]}`, `graphql.select[0].args[owner.name]`, false},
		"list":            {"elements are written with []", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {list.size: {equals: a}}}]}`, `graphql.select[0].args[list.size]`, true},
		"no list":         {"there are no elements", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {"in[].size": {equals: a}}}]}`, `graphql.select[0].args[in[].size]`, true},
		"enum":            {"it has nothing below", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {when.a: {equals: a}}}]}`, `graphql.select[0].args[when.a]`, true},
		"union":           {"it has no fields", `{path: /g, operations: [Query], select: [{"on": Any, fields: [name]}]}`, `graphql.select[0].on: "Any": nothing is selected`, true},
		"input type":      {"it is not selected", `{path: /g, operations: [Query], select: [{"on": Box, fields: [size]}]}`, `graphql.select[0].on: "Box": nothing is selected`, true},
		"mutation":        {"the schema has none", `{path: /g, operations: [Query, Mutation], select: [{"on": Root.thing}]}`, `graphql.operations[1]: "Mutation": the schema has no mutations`, true},
		"both ways":       {"the order would decide", `{path: /g, operations: [Query], select: [{"on": A.name}, {"on": A, fields: [name]}]}`, `graphql.select[1].fields[0]: "A.name": this field is named twice`, true},
		"both ways, too":  {"the order would decide", `{path: /g, operations: [Query], select: [{"on": A, fields: [name]}, {"on": A.name}]}`, `graphql.select[1].on: "A.name": this field is named twice`, true},
		"twice with args": {"the order would decide", `{path: /g, operations: [Query], select: [{"on": A.name}, {"on": A.name}]}`, `graphql.select[1].on: "A.name": this field is named twice`, true},
		"by an interface": {"the interface would be a way around", `{path: /g, operations: [Query], select: [{"on": A.name, args: {short: {type: Boolean}}}, {"on": Thing, fields: [name]}]}`, `graphql.select: "A.name": this field is named twice, by Thing as well`, true},
		"no fields":       {"empty never means all", `{path: /g, operations: [Query], select: [{"on": A}]}`, `graphql.select[0].fields: "A": list the fields`, true},
		"introspection":   {"it has a field of its own", `{path: /g, operations: [Query], select: [{"on": __Type, fields: [name]}]}`, `graphql.select[0].on: "__Type": set introspection: Allow`, true},
		"matcher":         {"it bounds nothing", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {id: {}}}]}`, `graphql.select[0].args.id: bound the value`, true},
		"set":             {"there is none", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {id: {set: x}}}]}`, `graphql.select[0].args[id].set: "x": there is no set`, true},
		"path syntax":     {"it leads nowhere", `{path: /g, operations: [Query], select: [{"on": Root.thing, args: {"id..x": {type: Any}}}]}`, `graphql.select[0].args`, true},
		"captures":        {"the path is one", `{path: "/{any}", operations: [Query], select: [{"on": Root.thing}]}`, `graphql.path: "/{any}": write the path`, true},
		"nothing":         {"it grants nothing", `{path: /g, operations: [Query], select: []}`, `graphql.select: list what may be selected`, true},
		"no operations":   {"it grants nothing", `{path: /g, operations: [], select: [{"on": Root.thing}]}`, `graphql.operations: list Query or Mutation`, true},
		"no depth":        {"it grants nothing", `{path: /g, operations: [Query], limits: {depth: 0}, select: [{"on": Root.thing}]}`, `graphql.limits: bound depth`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sc := credentialOf(t, strings.Replace(graphCredential, "GRAPHQL", test.graphql, 1))
			c, up := Compiler{}, graphUpstream
			if test.own {
				c, up = ownSchema, ownUpstream
			}
			_, err := c.Credential(sc, upstreamOf(t, up))
			var refused *Refused
			if !errors.As(err, &refused) || refused.Reason != v1alpha1.ReasonInvalid || !strings.HasPrefix(refused.Error(), "spec.grants[0]."+test.want) {
				t.Errorf("%s: got %v\nwant spec.grants[0].%s", test.why, err, test.want)
			}
		})
	}
}

// TestGraphQLProofs holds grants against a ceiling and against entries of never.
func TestGraphQLProofs(t *testing.T) {
	const base = `{path: /graphql, operations: [Query], select: [{"on": Query.repository, args: {owner: {in: [acme]}}}, {"on": Repository, fields: [name]}]}`
	const wide = `{path: /graphql, operations: [Query, Mutation], select: [{"on": Query.repository, args: {owner: {in: [acme, other]}, name: {type: String}}}, {"on": Repository, fields: [name, url]}]}`
	tests := map[string]struct{ why, grant, ceiling, never, reason, want string }{
		"alone":    {"nothing speaks against it", base, "", "", "", ""},
		"within":   {"fewer fields, and narrower arguments", base, `graphql: ` + wide, "", "", ""},
		"the same": {"it is within itself", wide, `graphql: ` + wide, "", "", ""},
		"field": {
			"one more", strings.Replace(base, "fields: [name]", "fields: [name, forks]", 1), `graphql: ` + wide, "", v1alpha1.ReasonNotWithinCeiling,
			`it allows graph/graphql QUERY /Repository/forks/at/graphql`,
		},
		"argument": {
			"another owner", strings.Replace(base, "[acme]", "[evil]", 1), `graphql: ` + wide, "", v1alpha1.ReasonNotWithinCeiling,
			`it allows graph/graphql QUERY /Query/repository/at/graphql with Content-Type: application/json and the body {"owner": "evil"}`,
		},
		"any argument": {
			"not bounded", strings.Replace(base, `{"on": Query.repository, args: {owner: {in: [acme]}}}`, `{"on": Query, fields: [repository]}`, 1), `graphql: ` + wide, "",
			v1alpha1.ReasonNotWithinCeiling, `it allows graph/graphql QUERY /Query/repository/at/graphql`,
		},
		"operation": {
			"the ceiling has no mutations", strings.Replace(base, "[Query]", "[Query, Mutation]", 1), `graphql: ` + base, "", v1alpha1.ReasonNotWithinCeiling,
			`it allows graph/graphql MUTATION /__any/__typename/at/graphql`,
		},
		"introspection": {
			"the ceiling keeps the schema closed", strings.Replace(base, "operations", "introspection: Allow, operations", 1), `graphql: ` + base, "", v1alpha1.ReasonNotWithinCeiling,
			`it allows graph/graphql QUERY /__any/__schema/at/graphql`,
		},
		"path":                   {"another service", strings.Replace(base, "/graphql", "/other", 1), `graphql: ` + wide, "", v1alpha1.ReasonNotWithinCeiling, `it allows graph/graphql QUERY /`},
		"kind":                   {"a ceiling of http is none for it", base, `http: {methods: [POST], paths: [/graphql]}, body: {unlisted: Allow}`, "", v1alpha1.ReasonNotWithinCeiling, `it allows graph/graphql QUERY /`},
		"never":                  {"it is named", base, "", `graphql: {select: [{"on": Repository.name}]}`, v1alpha1.ReasonNeverViolated, `it allows graph/graphql QUERY /Repository/name/at/graphql`},
		"never of a type":        {"one of its fields is granted", base, "", `graphql: {path: /graphql, select: [{"on": Repository}]}`, v1alpha1.ReasonNeverViolated, `it allows graph/graphql QUERY /Repository/name`},
		"never of others":        {"it is not named", base, "", `graphql: {select: [{"on": Repository, fields: [forks, owner]}, {"on": Mutation}]}`, "", ""},
		"never of an argument":   {"it may be given", wide, "", `graphql: {select: [{"on": Query.repository, args: {owner: {in: [other]}}}]}`, v1alpha1.ReasonNeverViolated, `and the body {"owner": "other"}`},
		"never of another value": {"it may not be given", base, "", `graphql: {select: [{"on": Query.repository, args: {owner: {in: [other]}}}]}`, "", ""},
		"never of an operation":  {"mutations are not granted", base, "", `graphql: {operations: [Mutation]}`, "", ""},
		"never of a granted one": {"mutations are granted", wide, "", `graphql: {operations: [Mutation]}`, v1alpha1.ReasonNeverViolated, `it allows graph/graphql MUTATION /`},
		"never of a path":        {"another service", base, "", `graphql: {path: /other}`, "", ""},
		"never of an interface": {
			"what runs is the field of the type", strings.Replace(base, `{"on": Repository, fields: [name]}`, `{"on": User, fields: [login]}`, 1), "", `graphql: {select: [{"on": Actor.login}]}`,
			v1alpha1.ReasonNeverViolated, `it allows graph/graphql QUERY /User/login`,
		},
		"never of a member": {
			"the interface reaches it", strings.Replace(base, `{"on": Repository, fields: [name]}`, `{"on": Actor, fields: [login]}`, 1), "", `graphql: {select: [{"on": User, fields: [login]}]}`,
			v1alpha1.ReasonNeverViolated, `it allows graph/graphql QUERY /Actor/login`,
		},
		"never of all members": {
			"the interface reaches its fields", strings.Replace(base, `{"on": Repository, fields: [name]}`, `{"on": Actor, fields: [login]}`, 1), "", `graphql: {select: [{"on": User}]}`,
			v1alpha1.ReasonNeverViolated, `it allows graph/graphql QUERY /Actor/login`,
		},
		"never of the schema": {"it is open", strings.Replace(base, "operations", "introspection: Allow, operations", 1), "", `graphql: {select: [{"on": Query.__schema}]}`, v1alpha1.ReasonNeverViolated, `/__any/__schema`},
		"never of http":       {"every operation is a POST", base, "", `http: {methods: [POST], paths: [/graphql]}`, v1alpha1.ReasonNeverViolated, `it allows graph POST /graphql`},
		"never of other http": {"it is no GET", base, "", `http: {methods: [GET]}`, "", ""},
		"typo":                {"it would never be violated", base, "", `graphql: {select: [{"on": Repositry}]}`, v1alpha1.ReasonInvalid, `never[0].graphql.select[0].on: "Repositry": the schema has no`},
		"typo in a field":     {"it would never be violated", base, "", `graphql: {select: [{"on": Repository.frks}]}`, v1alpha1.ReasonInvalid, `never[0].graphql.select[0]: "Repository.frks": the schema has no`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			up, sc := graphUpstream, strings.Replace(graphCredential, "GRAPHQL", test.grant, 1)
			if test.ceiling != "" {
				up += "  ceiling: {grants: [{name: all, " + test.ceiling + "}]}\n"
			}
			if test.never != "" {
				sc += "  never: [{" + test.never + "}]\n"
			}
			_, err := Credential(credentialOf(t, sc), upstreamOf(t, up))
			var refused *Refused
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.why, err)
			case test.want == "":
			case !errors.As(err, &refused) || refused.Reason != test.reason || !strings.Contains(refused.Error(), test.want):
				t.Errorf("%s: got %v\nwant %s %s", test.why, err, test.reason, test.want)
			}
		})
	}
}

// TestGraphQLCeilingTogether: what one request puts together is within one
// grant of the ceiling, or it is not within it.
func TestGraphQLCeilingTogether(t *testing.T) {
	up := graphUpstream + `  ceiling:
    grants:
    - {name: a, graphql: {path: /graphql, operations: [Query], select: [{"on": Query.repository, args: {owner: {in: [acme]}}}]}}
    - {name: b, graphql: {path: /graphql, operations: [Query], select: [{"on": Query.rateLimit}]}}
`
	sc := strings.Replace(graphCredential, "GRAPHQL", `{path: /graphql, operations: [Query], select: [{"on": Query.repository, args: {owner: {in: [acme]}}}, {"on": Query.rateLimit}]}`, 1)
	if _, err := Credential(credentialOf(t, sc), upstreamOf(t, up)); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
}
