package graphql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	reader "github.com/sallyport-dev/sallyport/sidecar/graphql"
)

// documents is one for all tests, as it is in the sidecar.
var documents reader.Reader

func ptr(s string) *string { return &s }

// code is a grant at a service that hosts code: it reads two repositories, and
// commits to the agent's branches of one.
func code() *graphql.Spec {
	any := func(typ string) graphql.Field { return graphql.Field{Type: typ, AnyArgs: true} }
	return &graphql.Spec{
		Path: "/graphql", Operations: []syntax.Kind{syntax.Query, syntax.Mutation}, MaxBytes: 1 << 20,
		Limits: graphql.Limits{Depth: 6, Selections: 40, Operations: 3, Aliases: 10}, Query: "Query", Mutation: "Mutation",
		Types: map[string]graphql.Type{
			"Query": {Fields: map[string]graphql.Field{
				"repository": {Type: "Repository", Args: map[string]match.Matcher{
					"owner": {In: []string{"acme"}, FoldASCII: true}, "name": {In: []string{"web", "docs"}, FoldASCII: true},
				}},
				"search": {Type: "Found", Args: map[string]match.Matcher{
					"first": {Max: ptr("10")}, "labels": {MaxItems: func() *int { n := 2; return &n }()}, "labels[]": {In: []string{"bug", "ui"}},
					"state": {In: []string{"OPEN"}}, "draft": {Type: match.Boolean}, "weight": {Type: match.Number}, "note": {Type: match.Any},
				}},
				"rateLimit": {Type: "RateLimit"},
				"actor":     any("Actor"),
			}},
			"Repository": {Fields: map[string]graphql.Field{
				"name": any(""), "issues": any("IssueConnection"), "ref": {Type: "Ref", Args: map[string]match.Matcher{"qualifiedName": {Glob: ptr("agent/**")}}},
			}},
			"IssueConnection": {Fields: map[string]graphql.Field{"nodes": any("Issue"), "totalCount": any("")}},
			"Issue":           {Fields: map[string]graphql.Field{"title": any(""), "author": any("Actor")}},
			"Actor":           {Fields: map[string]graphql.Field{"login": any(""), "avatar": any("")}, Possible: []string{"User", "Bot"}},
			"User":            {Fields: map[string]graphql.Field{"avatar": {Args: map[string]match.Matcher{"size": {Max: ptr("64")}}}, "name": any("")}},
			"Bot":             {Fields: map[string]graphql.Field{"login": any("")}},
			"Ref":             {Fields: map[string]graphql.Field{"name": any("")}},
			"Mutation": {Fields: map[string]graphql.Field{
				"commit": {Type: "CommitPayload", Args: map[string]match.Matcher{
					"input.branch.repo": {In: []string{"acme/docs"}, Required: true},
					"input.branch.name": {Glob: ptr("agent/**"), Required: true},
					"input.head":        {Pattern: ptr("[0-9a-f]{40}")},
					"input.message":     {MaxLength: func() *int { n := 20; return &n }()},
					"input.files":       {Type: match.Any},
				}},
			}},
			"CommitPayload": {Fields: map[string]graphql.Field{"oid": any("")}},
		},
	}
}

// judged asks about a request body, through the whole of the judge.
func judged(t testing.TB, spec *graphql.Spec, body string) scope.Decision {
	t.Helper()
	return judgedBy(t, policyOf(t, spec), body)
}

func policyOf(t testing.TB, spec *graphql.Spec) *scope.Policy {
	t.Helper()
	policy, err := scope.Compile(scope.Profile{}, []scope.Grant{{Name: "g", GraphQL: spec}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func judgedBy(t testing.TB, policy *scope.Policy, body string) scope.Decision {
	t.Helper()
	var r scope.Request
	head := scope.Head{Method: "POST", Target: "/graphql", Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}, HasBody: body != ""}
	if err := r.Parse(&head, nil); err != nil {
		t.Fatal(err)
	}
	d := policy.Decide(&r)
	if d.Verdict == scope.Undecided {
		d = policy.DecideBody(&r, scope.Content{Data: []byte(body), Whole: true, GraphQL: documents.Read})
	}
	if d.Verdict == scope.Deny && d.Detail == "" {
		t.Errorf("%s is refused without a word", body)
	}
	return d
}

func asked(query, more string) string {
	text, _ := json.Marshal(query)
	return `{"query":` + string(text) + more + `}`
}

// table is what a grant makes of documents.
type table map[string]struct {
	why   string
	query string
	more  string // of the request, behind the document
	want  bool
}

func (tests table) run(t *testing.T, spec func() *graphql.Spec) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := judged(t, spec(), asked(test.query, test.more))
			if got := d.Verdict == scope.Allow; got != test.want {
				t.Errorf("%s: allowed is %v: %s", test.why, got, d.Detail)
			}
			if strings.Contains(d.Detail, "evil") {
				t.Errorf("a value is quoted: %s", d.Detail)
			}
			if d.Verdict != scope.Allow && d.Reason != scope.ParameterRefused {
				t.Errorf("got reason %s", d.Reason)
			}
		})
	}
}

const (
	web    = `repository(owner:"acme",name:"web")`
	commit = `commit(input:{branch:{repo:"acme/docs",name:"agent/x"}})`
)

func TestSelections(t *testing.T) {
	table{
		"read":                     {"listed", "{" + web + "{name issues(first:5){nodes{title}}}}", "", true},
		"folded":                   {"the matcher folds", `{repository(owner:"ACME",name:"Web"){name}}`, "", true},
		"commit":                   {"listed", "mutation{" + commit + "{oid}}", "", true},
		"typename":                 {"always allowed, everywhere", "{__typename " + web + "{__typename issues{__typename nodes{__typename}}}}", "", true},
		"typename on what is not":  {"it says nothing but the name", "{" + web + "{issues{nodes{author{__typename}}}}}", "", true},
		"typename with argument":   {"no schema has it", "{__typename(x:1)}", "", false},
		"typename with selections": {"no schema has it", "{__typename{a}}", "", false},
		"field of no entry":        {"not listed", "{" + web + "{url}}", "", false},
		"field of another type":    {"title is Issue's", "{" + web + "{title}}", "", false},
		"root of no entry":         {"not listed", "{viewer{login}}", "", false},
		"alias":                    {"arguments are judged where they stand", "{a:" + web + `{name} b:repository(owner:"acme",name:"secret"){name}}`, "", false},
		"alias as a listed name":   {"the field counts, not its alias", `{repository:viewer{name:login}}`, "", false},
		"alias of a listed name":   {"the field counts, not its alias", "{viewer:" + web + "{login:name}}", "", true},
		"opaque identifier":        {"not listed", `{node(id:"R_1"){...on Repository{name}}}`, "", false},
		"traversal":                {"not listed", "{" + web + `{owner{repositories{nodes{name}}}}}`, "", false},
		"mutation in a query":      {"each begins at its own type", "{" + commit + "{oid}}", "", false},
		"query in a mutation":      {"each begins at its own type", "mutation{" + web + "{name}}", "", false},
		"subscription":             {"no kind that can be judged", "subscription{" + web + "{name}}", "", false},
		"no selections":            {"lenient servers send everything", "{" + web + "}", "", false},
		"selections of a scalar":   {"no schema has it", "{" + web + "{name{x}}}", "", false},
		"fragment":                 {"written out", "{..." + "F} fragment F on Query{" + web + "{...G}} fragment G on Repository{name}", "", true},
		"hidden in a fragment":     {"written out", "{..." + "F} fragment F on Query{" + web + "{...G}} fragment G on Repository{url}", "", false},
		"fragment behind skip":     {"what is left out is judged", "{" + web + "{name ...G@skip(if:true)}} fragment G on Repository{url}", "", false},
		"field behind include":     {"what is left out is judged", "{" + web + "{name url @include(if:false)}}", "", false},
		"skip":                     {"a directive that is known", "query($b:Boolean!){" + web + "{name @skip(if:$b)}}", `,"variables":{"b":true}`, true},
		"inline fragment":          {"on the type itself", "{" + web + "{...{name} ...on Repository{name}}}", "", true},
		"inline on an interface":   {"Node is not listed", "{" + web + "{...on Node{id}}}", "", false},
		"inline on a scalar":       {"nothing is listed there", "{" + web + "{...on String{name}}}", "", false},
		"fragment on another type": {"judged by the type it names", "{" + web + "{...on Issue{title}}}", "", true},
		"interface":                {"an entry names it", "{actor{login}}", "", true},
		"interface by a member":    {"an entry names the type", "{actor{...on Bot{login}}}", "", true},
		"member without entry":     {"User lists no login", "{actor{...on User{login}}}", "", false},
		"interface around a bound": {"User.avatar is bounded, so Actor.avatar is", "{actor{avatar(size:500)}}", "", false},
		"interface within a bound": {"it holds for both", "{actor{avatar(size:64)}}", "", true},
		"bound of a member":        {"it holds", "{actor{...on User{avatar(size:65)}}}", "", false},
		"arguments where none are": {"an entry with a field alone", `{rateLimit(dryRun:true){__typename}}`, "", false},
		"none where none are":      {"an entry with a field alone", `{rateLimit{__typename}}`, "", true},
	}.run(t, code)
}

func TestArguments(t *testing.T) {
	table{
		"left out":               {"not required", `{repository(owner:"acme"){name}}`, "", true},
		"unlisted":               {"not listed", `{repository(owner:"acme",name:"web",id:"evil"){name}}`, "", false},
		"other value":            {"not allowed", `{repository(owner:"evil",name:"web"){name}}`, "", false},
		"enum for a string":      {"it means the same text, if anything", `{repository(owner:acme,name:web){name}}`, "", true},
		"other enum":             {"not allowed", `{repository(owner:evil,name:web){name}}`, "", false},
		"escaped":                {"decoded before it is compared", `mutation{commit(input:{branch:{repo:"acme/docs",name:"\u006dain"}}){oid}}`, "", false},
		"escaped and allowed":    {"decoded before it is compared", `mutation{commit(input:{branch:{repo:"acme/docs",name:"\u0061gent/x"}}){oid}}`, "", true},
		"block string":           {"decoded", `mutation{commit(input:{branch:{repo:"acme/docs",name:"""main"""}}){oid}}`, "", false},
		"allowed block string":   {"decoded", `mutation{commit(input:{branch:{repo:"acme/docs",name:"""agent/x"""}}){oid}}`, "", true},
		"null":                   {"passes under Any alone", `{repository(owner:null,name:"web"){name}}`, "", false},
		"null under Any":         {"it is Any", `{search(note:null){__typename}}`, "", true},
		"number for a string":    {"another type", `{repository(owner:1,name:"web"){name}}`, "", false},
		"object for a string":    {"another type", `{repository(owner:{a:"acme"},name:"web"){name}}`, "", false},
		"list for a string":      {"some servers take its element", `{repository(owner:["acme"],name:"web"){name}}`, "", false},
		"integer":                {"within bounds", `{search(first:10){__typename}}`, "", true},
		"too large":              {"beyond them", `{search(first:11){__typename}}`, "", false},
		"huge":                   {"beyond 64 bits", `{search(first:99999999999999999999999){__typename}}`, "", false},
		"huge and negative":      {"beyond 64 bits", `{search(first:-99999999999999999999999){__typename}}`, "", false},
		"exponent":               {"refused in numbers", `{search(weight:1e2){__typename}}`, "", false},
		"fraction":               {"a number", `{search(weight:1.50){__typename}}`, "", true},
		"fraction for integer":   {"another type", `{search(first:1.0){__typename}}`, "", false},
		"string for integer":     {"some servers convert it", `{search(first:"5"){__typename}}`, "", false},
		"boolean":                {"a boolean", `{search(draft:true){__typename}}`, "", true},
		"string for boolean":     {"another type", `{search(draft:"true"){__typename}}`, "", false},
		"elements":               {"each is judged", `{search(labels:["bug","ui"]){__typename}}`, "", true},
		"other element":          {"each is judged", `{search(labels:["bug","evil"]){__typename}}`, "", false},
		"too many elements":      {"bounded", `{search(labels:["bug","ui","bug"]){__typename}}`, "", false},
		"one for a list":         {"servers make a list of it", `{search(labels:"evil"){__typename}}`, "", false},
		"argument twice":         {"servers take either", `{repository(owner:"acme",owner:"evil",name:"web"){name}}`, "", false},
		"field twice":            {"servers take either", `mutation{commit(input:{branch:{repo:"acme/docs",name:"agent/x",name:"evil"}}){oid}}`, "", false},
		"second locator":         {"not listed", `mutation{commit(input:{branch:{repo:"acme/docs",name:"agent/x",id:"evil"}}){oid}}`, "", false},
		"locator instead":        {"not listed, and the others are required", `mutation{commit(input:{branch:{id:"evil"}}){oid}}`, "", false},
		"required":               {"missing", `mutation{commit(input:{branch:{repo:"acme/docs"}}){oid}}`, "", false},
		"all missing":            {"missing", `mutation{commit{oid}}`, "", false},
		"open part":              {"whatever is below", `mutation{commit(input:{branch:{repo:"acme/docs",name:"agent/x"},files:{additions:[{path:"a",contents:"evil"}]}}){oid}}`, "", true},
		"twice in an open part":  {"servers take either", `mutation{commit(input:{branch:{repo:"acme/docs",name:"agent/x"},files:{a:1,a:2}}){oid}}`, "", false},
		"traversal in a branch":  {"a wildcard matches no dots", `mutation{commit(input:{branch:{repo:"acme/docs",name:"agent/../main"}}){oid}}`, "", false},
		"end of text in between": {"some readers end there", `{repository(owner:"acme\u0000",name:"web"){name}}`, "", false},
		"long":                   {"bounded in characters", `mutation{commit(input:{branch:{repo:"acme/docs",name:"agent/x"},message:"123456789012345678901"}){oid}}`, "", false},
		"case of an enum":        {"exact", `{search(state:open){__typename}}`, "", false},
	}.run(t, code)
}

func TestVariables(t *testing.T) {
	const named = `mutation($b:String!){commit(input:{branch:{repo:"acme/docs",name:$b}}){oid}}`
	const otherwise = `mutation($b:String="main"){commit(input:{branch:{repo:"acme/docs",name:$b}}){oid}}`
	const agents = `mutation($b:String="agent/x"){commit(input:{branch:{repo:"acme/docs",name:$b}}){oid}}`
	const whole = `mutation($i:CommitInput!){commit(input:$i){oid}}`
	table{
		"given":                    {"it is judged", named, `,"variables":{"b":"agent/x"}`, true},
		"given badly":              {"it is judged", named, `,"variables":{"b":"evil"}`, false},
		"escaped in JSON":          {"decoded before it is compared", named, `,"variables":{"b":"\u006dain"}`, false},
		"GraphQL's escape in JSON": {"it is text there", named, `,"variables":{"b":"\\u0061gent/x"}`, false},
		"not given":                {"required", named, "", false},
		"null variables":           {"as if left out", named, `,"variables":null`, false},
		"null":                     {"passes under Any alone", named, `,"variables":{"b":null}`, false},
		"bad default":              {"it counts", otherwise, "", false},
		"bad default, overridden":  {"what is given counts", otherwise, `,"variables":{"b":"agent/x"}`, true},
		"good default":             {"it counts", agents, "", true},
		"good default, overridden": {"what is given counts", agents, `,"variables":{"b":"evil"}`, false},
		"null over a default":      {"servers take either", agents, `,"variables":{"b":null}`, false},
		"null over Any":            {"servers take either", `query($n:String="a"){search(note:$n){__typename}}`, `,"variables":{"n":null}`, false},
		"case of a name":           {"another variable", named, `,"variables":{"B":"agent/x"}`, false},
		"not declared":             {"nothing uses it", named, `,"variables":{"b":"agent/x","c":1}`, false},
		"used undeclared":          {"some servers fill it in", `{repository(owner:$o,name:"web"){name}}`, `,"variables":{"o":"acme"}`, false},
		"declared elsewhere":       {"each operation declares its own", `query A($o:String!){repository(owner:$o){name}} query B{repository(owner:$o){name}}`, `,"operationName":"A","variables":{"o":"acme"}`, false},
		"whole input":              {"filled in", whole, `,"variables":{"i":{"branch":{"repo":"acme/docs","name":"agent/x"}}}`, true},
		"bad whole input":          {"filled in", whole, `,"variables":{"i":{"branch":{"repo":"acme/docs","name":"evil"}}}`, false},
		"locator in whole input":   {"not listed", whole, `,"variables":{"i":{"branch":{"repo":"acme/docs","name":"agent/x","id":"evil"}}}`, false},
		"whole input left out":     {"required", whole, "", false},
		"part of an input":         {"filled in", `mutation($r:String!,$b:B!){commit(input:{branch:$b,message:$r}){oid}}`, `,"variables":{"r":"hi","b":{"repo":"acme/docs","name":"agent/x"}}`, true},
		"twice":                    {"each place is judged", `query($o:String!){a:repository(owner:$o){name} b:repository(owner:"acme",name:$o){name}}`, `,"variables":{"o":"acme"}`, false},
		"in a fragment":            {"filled in", `query($o:String!){...F} fragment F on Query{repository(owner:$o){name}}`, `,"variables":{"o":"evil"}`, false},
		"optional and left out":    {"absent on the server", `query($o:String){repository(owner:"acme",name:$o){name}}`, "", true},
		"element left out":         {"null on the server", `query($l:String){search(labels:["bug",$l]){__typename}}`, "", false},
		"element":                  {"filled in", `query($l:String){search(labels:["bug",$l]){__typename}}`, `,"variables":{"l":"evil"}`, false},
		"declared twice":           {"servers take either", `query($o:String="acme",$o:String="evil"){repository(owner:$o){name}}`, "", false},
		"default of variables":     {"no server reads it", `query($a:String="acme",$o:String=$a){repository(owner:$o){name}}`, "", false},
		"directive":                {"not known", `query($o:String="acme"@x){repository(owner:$o){name}}`, "", false},
		"number":                   {"another type", named, `,"variables":{"b":1}`, false},
		"list":                     {"another type", named, `,"variables":{"b":["agent/x"]}`, false},
		"string of JSON":           {"some servers parse it again", named, `,"variables":"{\"b\":\"agent/x\"}"`, false},
		"array":                    {"no object", named, `,"variables":["agent/x"]`, false},
		"exponent":                 {"refused in numbers", `query($n:Int){search(first:$n){__typename}}`, `,"variables":{"n":1e0}`, false},
		"integer":                  {"a number", `query($n:Int){search(first:$n){__typename}}`, `,"variables":{"n":5}`, true},
	}.run(t, code)
}
