package graphql_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	server "github.com/graphql-go/graphql"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

// The oracle is another implementation of GraphQL, with a parser of its own: it
// runs what the judge lets pass and says which resolvers ran with which
// arguments. What ran must have been granted.

// call is a resolver that ran.
type call struct {
	typ, field string
	args       map[string]any
}

// service is a small schema whose resolvers take note of being run.
type service struct {
	schema server.Schema
	calls  []call
}

func (s *service) field(of string, name string, typ server.Output, value any, args server.FieldConfigArgument) *server.Field {
	return &server.Field{Type: typ, Args: args, Resolve: func(p server.ResolveParams) (any, error) {
		s.calls = append(s.calls, call{of, name, p.Args})
		return value, nil
	}}
}

func arg(t server.Input) *server.ArgumentConfig { return &server.ArgumentConfig{Type: t} }

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{}
	actor := server.NewInterface(server.InterfaceConfig{
		Name: "Actor", Fields: server.Fields{
			"login":  &server.Field{Type: server.String},
			"avatar": &server.Field{Type: server.String, Args: server.FieldConfigArgument{"size": arg(server.Int)}},
		},
		ResolveType: nil,
	})
	var user, bot *server.Object
	user = server.NewObject(server.ObjectConfig{Name: "User", Interfaces: []*server.Interface{actor}, Fields: server.Fields{
		"login": s.field("User", "login", server.String, "u", nil), "name": s.field("User", "name", server.String, "n", nil),
		"avatar": s.field("User", "avatar", server.String, "a", server.FieldConfigArgument{"size": arg(server.Int)}),
	}, IsTypeOf: func(p server.IsTypeOfParams) bool { return p.Value == "user" }})
	bot = server.NewObject(server.ObjectConfig{Name: "Bot", Interfaces: []*server.Interface{actor}, Fields: server.Fields{
		"login": s.field("Bot", "login", server.String, "b", nil), "secret": s.field("Bot", "secret", server.String, "s", nil),
		"avatar": s.field("Bot", "avatar", server.String, "a", server.FieldConfigArgument{"size": arg(server.Int)}),
	}, IsTypeOf: func(p server.IsTypeOfParams) bool { return p.Value == "bot" }})
	repository := server.NewObject(server.ObjectConfig{Name: "Repository", Fields: server.Fields{
		"name": s.field("Repository", "name", server.String, "web", nil), "url": s.field("Repository", "url", server.String, "https://", nil),
		"owner":    s.field("Repository", "owner", actor, "user", nil),
		"watchers": s.field("Repository", "watchers", server.NewList(actor), []any{"user", "bot"}, server.FieldConfigArgument{"first": {Type: server.Int, DefaultValue: 3}}),
	}})
	repository.AddFieldConfig("parent", s.field("Repository", "parent", repository, "r", nil))
	branch := server.NewInputObject(server.InputObjectConfig{Name: "Branch", Fields: server.InputObjectConfigFieldMap{
		"repo": {Type: server.String}, "name": {Type: server.String}, "id": {Type: server.ID},
	}})
	input := server.NewInputObject(server.InputObjectConfig{Name: "CommitInput", Fields: server.InputObjectConfigFieldMap{
		"branch": {Type: branch}, "labels": {Type: server.NewList(server.String)}, "force": {Type: server.Boolean, DefaultValue: false},
	}})
	query := server.NewObject(server.ObjectConfig{Name: "Query", Fields: server.Fields{
		"repository": s.field("Query", "repository", repository, "r", server.FieldConfigArgument{"owner": arg(server.String), "name": arg(server.String), "id": arg(server.ID)}),
		"viewer":     s.field("Query", "viewer", user, "user", nil),
		"actor":      s.field("Query", "actor", actor, "bot", server.FieldConfigArgument{"login": arg(server.String)}),
	}})
	mutation := server.NewObject(server.ObjectConfig{Name: "Mutation", Fields: server.Fields{
		"commit": s.field("Mutation", "commit", repository, "r", server.FieldConfigArgument{"input": arg(input)}),
		"drop":   s.field("Mutation", "drop", server.String, "d", server.FieldConfigArgument{"id": arg(server.ID)}),
	}})
	var err error
	s.schema, err = server.NewSchema(server.SchemaConfig{Query: query, Mutation: mutation, Types: []server.Type{user, bot}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// granted is the grant of the oracle's schema; rules says the same in Go, of
// the arguments that a resolver is run with.
func granted() *graphql.Spec {
	open := func(typ string) graphql.Field { return graphql.Field{Type: typ, AnyArgs: true} }
	return &graphql.Spec{
		Path: "/graphql", Operations: []syntax.Kind{syntax.Query, syntax.Mutation}, MaxBytes: 1 << 20,
		Limits: graphql.Limits{Depth: 8, Selections: 200, Operations: 4, Aliases: 50}, Query: "Query", Mutation: "Mutation",
		Types: map[string]graphql.Type{
			"Query": {Fields: map[string]graphql.Field{
				"repository": {Type: "Repository", Args: map[string]match.Matcher{"owner": {In: []string{"acme"}, Required: true}, "name": {In: []string{"web", "docs"}}}},
				"actor":      open("Actor"),
			}},
			"Repository": {Fields: map[string]graphql.Field{"name": open(""), "owner": open("Actor"), "watchers": {Type: "Actor", Args: map[string]match.Matcher{"first": {Max: ptr("5")}}}}},
			"Actor":      {Fields: map[string]graphql.Field{"login": open(""), "avatar": open("")}, Possible: []string{"User"}},
			"User":       {Fields: map[string]graphql.Field{"avatar": {Args: map[string]match.Matcher{"size": {Max: ptr("64")}}}, "name": open("")}},
			"Mutation": {Fields: map[string]graphql.Field{"commit": {Type: "Repository", Args: map[string]match.Matcher{
				"input.branch.repo": {Equals: ptr("acme/docs"), Required: true}, "input.branch.name": {Glob: ptr("agent/*"), Required: true}, "input.labels[]": {In: []string{"bug"}},
			}}}},
		},
	}
}

func among(v any, list ...any) bool {
	for _, one := range list {
		if v == one {
			return true
		}
	}
	return false
}

func onlyKeys(m map[string]any, keys ...any) bool {
	for key := range m {
		if !among(key, keys...) {
			return false
		}
	}
	return true
}

func atMost(v any, most int) bool {
	n, is := v.(int)
	return v == nil || is && n <= most
}

var rules = map[string]func(args map[string]any) bool{
	"Query.repository": func(a map[string]any) bool {
		return onlyKeys(a, "owner", "name") && a["owner"] == "acme" && among(a["name"], nil, "web", "docs")
	},
	"Query.actor":         func(map[string]any) bool { return true },
	"Repository.name":     func(map[string]any) bool { return true },
	"Repository.owner":    func(map[string]any) bool { return true },
	"Repository.watchers": func(a map[string]any) bool { return atMost(a["first"], 5) },
	"User.login":          func(map[string]any) bool { return true }, // by Actor
	"Bot.login":           func(map[string]any) bool { return true }, // by Actor
	"Bot.avatar":          func(map[string]any) bool { return true }, // by Actor
	"User.avatar":         func(a map[string]any) bool { return atMost(a["size"], 64) },
	"User.name":           func(map[string]any) bool { return true },
	"Mutation.commit": func(a map[string]any) bool {
		in, _ := a["input"].(map[string]any)
		at, _ := in["branch"].(map[string]any)
		name, _ := at["name"].(string)
		labels, _ := in["labels"].([]any)
		for _, label := range labels {
			if label != "bug" {
				return false
			}
		}
		rest, found := strings.CutPrefix(name, "agent/")
		return onlyKeys(a, "input") && onlyKeys(in, "branch", "labels", "force") && in["force"] != true && onlyKeys(at, "repo", "name") &&
			at["repo"] == "acme/docs" && found && rest != "" && !strings.Contains(rest, "/")
	},
}

// author writes documents at random, most of them nearly right.
type author struct {
	*rand.Rand
	fragments []string
	variables map[string]string // declarations
	values    map[string]any
	left      int // selections that may still be written
}

func (a *author) pick(list ...string) string { return list[a.IntN(len(list))] }

var results = map[string]string{
	"Query.repository": "Repository", "Query.viewer": "User", "Query.actor": "Actor", "Repository.owner": "Actor", "Repository.watchers": "Actor",
	"Repository.parent": "Repository", "Mutation.commit": "Repository",
}

var fieldsOf = map[string][]string{
	"Query": {"repository", "repository", "repository", "actor", "viewer"}, "Mutation": {"commit", "commit", "commit", "drop"},
	"Repository": {"name", "name", "name", "owner", "watchers", "url", "parent"},
	"Actor":      {"login", "login", "avatar"}, "User": {"name", "avatar", "login"}, "Bot": {"login", "avatar", "secret"},
}

func (a *author) set(on string, depth int) string {
	var out []string
	for range 1 + a.IntN(3) {
		if a.left--; a.left < 0 || depth > 5 {
			break
		}
		out = append(out, a.selection(on, depth))
	}
	if len(out) == 0 {
		out = []string{"__typename"}
	}
	return "{" + strings.Join(out, a.pick(" ", "\n", ",", " #x\n")) + "}"
}

func (a *author) selection(on string, depth int) string {
	condition := on
	if on == "Actor" {
		condition = a.pick("Actor", "User", "Bot", "User")
	}
	switch a.IntN(10) {
	case 0:
		return "...on " + condition + a.directive() + a.set(condition, depth+1)
	case 1:
		name := fmt.Sprintf("F%d", len(a.fragments))
		a.fragments = append(a.fragments, "")
		a.fragments[len(a.fragments)-1] = ""
		body := "fragment " + name + " on " + condition + a.set(condition, depth+1)
		a.fragments = append(a.fragments, body)
		return "..." + name + a.directive()
	case 2:
		return "__typename"
	}
	field := fieldsOf[on][a.IntN(len(fieldsOf[on]))]
	out := field + a.arguments(on+"."+field) + a.directive()
	if a.IntN(3) == 0 {
		out = a.pick("a", "b", "name", "repository") + fmt.Sprint(a.IntN(1000)) + ":" + out
	}
	if typ := results[on+"."+field]; typ != "" {
		out += a.set(typ, depth+1)
	}
	return out
}

func (a *author) directive() string {
	if a.IntN(12) > 0 {
		return ""
	}
	return " @" + a.pick("skip", "include") + "(if:" + a.pick("true", "false", a.value("Boolean", true)) + ")"
}

func (a *author) arguments(at string) string {
	var out []string
	add := func(likely int, name, typ string, values ...any) {
		if a.IntN(10) < likely {
			out = append(out, name+":"+a.value(typ, values...))
		}
	}
	switch at {
	case "Query.repository":
		add(9, "owner", "String", "acme", "acme", "acme", "evil")
		add(8, "name", "String", "web", "docs", "web", "secret")
		add(1, "id", "ID", "R_1")
	case "Query.actor":
		add(5, "login", "String", "x")
	case "Repository.watchers":
		add(5, "first", "Int", 1, 5, 6)
	case "Actor.avatar", "User.avatar", "Bot.avatar":
		add(7, "size", "Int", 10, 64, 65)
	case "Mutation.drop":
		add(9, "id", "ID", "1")
	case "Mutation.commit":
		add(10, "input", "CommitInput", a.commit(), a.commit(), a.commit())
	}
	if len(out) == 0 {
		return ""
	}
	return "(" + strings.Join(out, " ") + ")"
}

func (a *author) commit() map[string]any {
	branch := map[string]any{"repo": a.pick("acme/docs", "acme/docs", "acme/docs", "acme/web"), "name": a.pick("agent/x", "agent/x", "agent/y", "main", "agent/a/b")}
	if a.IntN(8) == 0 {
		branch["id"] = "REF"
	}
	in := map[string]any{"branch": branch}
	switch a.IntN(6) {
	case 0:
		in["labels"] = []any{a.pick("bug", "bug", "ui")}
	case 1:
		in["labels"] = a.pick("bug", "ui")
	case 2:
		in["force"] = a.IntN(2) == 0
	}
	return in
}

// value writes one of the values: as it is, or as a variable.
func (a *author) value(typ string, values ...any) string {
	v := values[a.IntN(len(values))]
	switch a.IntN(4) {
	case 0:
		name := fmt.Sprintf("v%d", len(a.variables))
		a.variables[name] = "$" + name + ":" + typ
		switch a.IntN(4) {
		case 0: // the default alone
			a.variables[name] += "=" + a.literal(v)
		case 1: // one that is overridden
			a.variables[name] += "=" + a.literal(values[0])
			a.values[name] = v
		case 2:
			if a.IntN(3) == 0 {
				break // neither
			}
			a.values[name] = v
		default:
			a.values[name] = v
		}
		return "$" + name
	}
	return a.literal(v)
}

func (a *author) literal(v any) string {
	switch v := v.(type) {
	case string:
		if a.IntN(4) == 0 {
			return fmt.Sprintf(`"\u%04x%s"`, v[0], v[1:])
		}
		return `"` + v + `"`
	case map[string]any:
		var out []string
		for name, member := range v {
			out = append(out, name+":"+a.literal(member))
		}
		return "{" + strings.Join(out, ",") + "}"
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, a.literal(item))
		}
		return "[" + strings.Join(out, " ") + "]"
	}
	return fmt.Sprint(v)
}

// write returns a request: document, variables and operationName.
func (a *author) write() (query, name string) {
	a.fragments, a.variables, a.values, a.left = nil, map[string]string{}, map[string]any{}, 14
	operation := func(name string) string {
		kind, root := "query", "Query"
		if a.IntN(3) == 0 {
			kind, root = "mutation", "Mutation"
		}
		body := a.set(root, 1)
		declared := make([]string, 0, len(a.variables))
		for _, v := range a.variables {
			declared = append(declared, v)
		}
		if len(declared) > 0 {
			return kind + " " + name + "(" + strings.Join(declared, ",") + ")" + body
		}
		return kind + " " + name + body
	}
	query = operation("A")
	if a.IntN(6) == 0 {
		query += operation("B")
		name = a.pick("A", "B")
	}
	return query + strings.Join(a.fragments, " "), name
}

// run lets the service run a request and returns what ran.
func (s *service) run(query, name string, values map[string]any) []call {
	s.calls = nil
	server.Do(server.Params{Schema: s.schema, RequestString: query, VariableValues: values, OperationName: name})
	return s.calls
}

func check(t *testing.T, s *service, policy *scope.Policy, query, name string, values map[string]any) (allowed, ran bool) {
	t.Helper()
	more := ""
	if len(values) > 0 {
		text, err := json.Marshal(values)
		if err != nil {
			return false, false
		}
		more += `,"variables":` + string(text)
	}
	if name != "" {
		text, _ := json.Marshal(name)
		more += `,"operationName":` + string(text)
	}
	if judgedBy(t, policy, asked(query, more)).Verdict != scope.Allow {
		return false, false
	}
	for _, c := range s.run(query, name, values) {
		ran = true
		if rule := rules[c.typ+"."+c.field]; rule == nil || !rule(c.args) {
			t.Errorf("%s.%s ran with %v, by\n%s\nwith %v", c.typ, c.field, c.args, query, values)
		}
	}
	return true, ran
}

// TestOracle: whatever ran was granted, whoever wrote it.
func TestOracle(t *testing.T) {
	s, policy := newService(t), policyOf(t, granted())
	a := &author{Rand: rand.New(rand.NewPCG(7, 11))}
	allowed, ran, forbidden := 0, 0, 0
	for range 6000 {
		query, name := a.write()
		ok, did := check(t, s, policy, query, name, a.values)
		switch {
		case did:
			ran++
		case ok:
			allowed++
		case len(s.run(query, name, a.values)) > 0:
			forbidden++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d ran, %d were allowed and did nothing, %d would have run and were refused", ran, allowed, forbidden)
	if ran < 300 || forbidden < 300 {
		t.Errorf("%d ran and %d would have: too few to say anything", ran, forbidden)
	}
}

// FuzzOracle is TestOracle for documents that nobody would write.
func FuzzOracle(f *testing.F) {
	a := &author{Rand: rand.New(rand.NewPCG(1, 2))}
	for range 40 {
		query, name := a.write()
		values, _ := json.Marshal(a.values)
		f.Add(query, name, string(values))
	}
	for _, query := range []string{
		`{a:repository(owner:"acme"){name} b:repository(owner:"""acme"""){watchers(first:5){...on User{avatar(size:64)}}}}`,
		`query($o:String="acme"){...F} fragment F on Query{repository(owner:$o){owner{login}}}`,
		`mutation($i:CommitInput){commit(input:$i){name @skip(if:true)}}`,
	} {
		f.Add(query, "", `{"i":{"branch":{"repo":"acme/docs","name":"agent/x"}}}`)
		f.Add(query, "", `{}`)
	}
	s, policy := newService(f), policyOf(f, granted())
	f.Fuzz(func(t *testing.T, query, name, values string) {
		var given map[string]any
		if json.Unmarshal([]byte(values), &given) != nil || strings.Count(query, "{")+strings.Count(query, "[") > 60 {
			return
		}
		check(t, s, policy, query, name, given)
	})
}
