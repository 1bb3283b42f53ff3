package graphql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
)

func TestDocuments(t *testing.T) {
	const q, m = "query Q{" + web + "{name}}", "mutation M{" + commit + "{oid}}"
	table{
		"empty":                        {"nothing is asked", "", "", false},
		"spaces":                       {"nothing is asked", " ,\n", "", false},
		"comment alone":                {"nothing is asked", "#{a}", "", false},
		"fragments alone":              {"nothing is asked", "fragment F on Query{" + web + "{name}}", "", false},
		"one named":                    {"it is meant", q, "", true},
		"one named by its name":        {"it is meant", q, `,"operationName":"Q"`, true},
		"null for a name":              {"as if left out", q, `,"operationName":null`, true},
		"name of none":                 {"servers differ", q, `,"operationName":"Zz"`, false},
		"empty name":                   {"some take it for none, some for the name", q, `,"operationName":""`, false},
		"empty name of an anonymous":   {"some take it for none, some for the name", "{" + web + "{name}}", `,"operationName":""`, false},
		"number for a name":            {"no name", q, `,"operationName":1`, false},
		"two":                          {"one is named", q + m, `,"operationName":"Q"`, true},
		"two, none named":              {"servers differ", q + m, "", false},
		"two, the bad one named":       {"all are judged", q + "query E{viewer{login}}", `,"operationName":"E"`, false},
		"two, the good one named":      {"all are judged", q + "query E{viewer{login}}", `,"operationName":"Q"`, false},
		"same name twice":              {"servers take either", q + q, `,"operationName":"Q"`, false},
		"anonymous beside named":       {"servers differ", q + "{" + web + "{name}}", `,"operationName":"Q"`, false},
		"two anonymous":                {"servers differ", "{" + web + "{name}}{" + web + "{name}}", "", false},
		"too many":                     {"bounded", "query A{__typename}query B{__typename}query C{__typename}query D{__typename}", `,"operationName":"A"`, false},
		"fragment twice":               {"servers take either", "{...F} fragment F on Query{__typename} fragment F on Query{viewer{login}}", "", false},
		"fragment unknown":             {"servers differ", "{...F}", "", false},
		"fragment unused":              {"nothing in a document is left unjudged", q + "fragment F on Query{viewer{login}}", "", false},
		"fragment cycle":               {"no end", "{...F} fragment F on Query{...F}", "", false},
		"fragment cycle of two":        {"no end", "{...F} fragment F on Query{...G} fragment G on Query{__typename ...F}", "", false},
		"cycle that is not used":       {"no end", q + "fragment F on Query{...F}", "", false},
		"fragment with variables":      {"an extension that few servers have", "{...F} fragment F($x:Int=1) on Query{search(first:$x){__typename}}", "", false},
		"directive of an operation":    {"not known", "query Q@live{" + web + "{name}}", "", false},
		"directive of a field":         {"not known", "{" + web + "{name@export(as:\"x\")}}", "", false},
		"directive of a spread":        {"not known", "{...F@defer} fragment F on Query{__typename}", "", false},
		"directive of a fragment":      {"not known", "{...F} fragment F on Query@x{__typename}", "", false},
		"directive without condition":  {"servers differ", "{__typename@skip}", "", false},
		"directive with more":          {"not known", "{__typename@skip(if:true,x:1)}", "", false},
		"directive of text":            {"servers differ", `{__typename@skip(if:"true")}`, "", false},
		"directive twice":              {"servers differ", "{__typename@skip(if:true)@skip(if:false)}", "", false},
		"variable of a directive":      {"not declared", "{__typename@skip(if:$x)}", "", false},
		"comment splits a keyword":     {"it is a mutation", "mutation#query\n{node(id:1){id}}", "", false},
		"comment hides nothing":        {"a line ends it", "{" + web + "{name #\n url}}", "", false},
		"carriage return ends comment": {"a line ends it", "{" + web + "{name #\r url}}", "", false},
		"comment":                      {"it means nothing", "{" + web + "{name # url\n}}", "", true},
		"other line end":               {"some servers end a comment there", "{" + web + "{name #\u2028 url\n}}", "", false},
		"byte order mark":              {"some servers skip it anywhere", "\ufeff{" + web + "{name}}", "", false},
		"mark inside":                  {"some servers skip it anywhere", "{" + web + "{na\ufeffme}}", "", false},
		"commas":                       {"they are space", "{," + web + ",{,name,},}", "", true},
		"number and name":              {"some servers read one token", "{search(first:1note:null){__typename}}", "", false},
		"hexadecimal":                  {"some servers read a number", "{search(first:0x1){__typename}}", "", false},
		"leading zero":                 {"some servers read octal", "{search(first:010){__typename}}", "", false},
		"braces in an escape":          {"not every server has them", `{repository(owner:"\u{61}cme",name:"web"){name}}`, "", false},
		"half a pair":                  {"servers differ", `{search(state:"\ud83d"){__typename}}`, "", false},
		"unknown escape":               {"servers differ", `{repository(owner:"\acme",name:"web"){name}}`, "", false},
		"line end in a string":         {"servers differ", "{repository(owner:\"ac\nme\",name:\"web\"){name}}", "", false},
		"four quotation marks":         {"servers end it at the third or the last", `{search(note:"""a""""){__typename}}`, "", false},
		"five quotation marks":         {"servers end it at the third or the last", `{search(note:"""a"""""){__typename}}`, "", false},
		"backslash in a block string":  {"servers differ", `{search(note:"""\u0061"""){__typename}}`, "", false},
		"escaped end":                  {"servers differ", `{search(note:"""a\"""b"""){__typename}}`, "", false},
		"indented block string":        {"the same to all", "{search(note:\"\"\"\n  a\n    b\n\"\"\"){__typename}}", "", true},
		"indented behind a line":       {"servers count the first line or not", "{search(note:\"\"\"a\n  b\"\"\"){__typename}}", "", false},
		"empty block string":           {"the same to all", `{search(note:""""""){__typename}}`, "", true},
		"string that does not end":     {"no document", `{search(note:"a`, "", false},
		"type system":                  {"no operation", "type A{a:Int}", "", false},
		"garbage":                      {"no document", "}{", "", false},
		"deep":                         {"no document that is read", strings.Repeat("{a", 5000) + strings.Repeat("}", 5000), "", false},
		"schema":                       {"introspection is closed", "{__schema{types{name}}}", "", false},
		"type":                         {"introspection is closed", `{__type(name:"Query"){name}}`, "", false},
		"schema by a fragment":         {"introspection is closed", "{...F} fragment F on Query{__schema{...G}} fragment G on __Schema{types{name}}", "", false},
		"schema by an alias":           {"introspection is closed", "{name:__schema{types{name}}}", "", false},
		"schema below":                 {"introspection is closed", "{" + web + "{__schema{types{name}}}}", "", false},
		"fragment on its type":         {"introspection is closed", "{...on __Schema{types{name}}}", "", false},
	}.run(t, code)
}

func TestIntrospection(t *testing.T) {
	open := func() *graphql.Spec {
		s := code()
		s.Introspection = true
		return s
	}
	table{
		"schema":         {"granted", "{__schema{types{name fields{name type{name}}}}}", "", true},
		"type":           {"granted", `{__type(name:"User"){name}}`, "", true},
		"by a fragment":  {"granted", "{__schema{...F}} fragment F on __Schema{types{...G}} fragment G on __Type{name}", "", true},
		"other fields":   {"still not listed", "{__schema{types{name}} viewer{login}}", "", false},
		"in a mutation":  {"the schema is asked for in queries", "mutation{__schema{types{name}}}", "", false},
		"below":          {"no type has it", "{" + web + "{__schema{types{name}}}}", "", false},
		"too deep":       {"bounded", "{__schema{types{fields{type{ofType{ofType{ofType{name}}}}}}}}", "", false},
		"way out":        {"another type is judged by its entries", "{__schema{...on Repository{url}}}", "", false},
		"other meta":     {"no field of introspection", "{__secret{types}}", "", false},
		"deeply aliased": {"bounded", "{" + strings.Join(aliases(11, "__schema{types{name}}"), " ") + "}", "", false},
	}.run(t, open)
}

func aliases(n int, of string) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("a%d:%s", i, of))
	}
	return out
}

func TestLimits(t *testing.T) {
	// Each fragment spreads the next one twice: 2^30 selections when written out.
	bomb := "{...F0}"
	for i := range 30 {
		bomb += fmt.Sprintf(" fragment F%d on Query{...F%d ...F%d}", i, i+1, i+1)
	}
	bomb += " fragment F30 on Query{__typename}"
	nested := "{" + strings.Repeat("...{", 300) + "__typename" + strings.Repeat("}", 301)
	ping := "{" + web + "{issues{nodes{author{login}}}}}"
	table{
		"depth":              {"five of six", ping, "", true},
		"depth of a spread":  {"counted where it stands", "{" + web + "{issues{nodes{...F}}}} fragment F on Issue{author{login}}", "", true},
		"selections":         {"40 of 40", "{" + strings.Repeat("__typename ", 40) + "}", "", true},
		"too many":           {"41 of 40", "{" + strings.Repeat("__typename ", 41) + "}", "", false},
		"many in two":        {"of the document", "query A{" + strings.Repeat("__typename ", 20) + "}query B{" + strings.Repeat("__typename ", 21) + "}", `,"operationName":"A"`, false},
		"spreads":            {"counted wherever they stand", "{" + strings.Repeat("...F ", 14) + "} fragment F on Query{__typename __typename}", "", false},
		"exponential":        {"counted wherever they stand", bomb, "", false},
		"nested fragments":   {"bounded", nested, "", false},
		"aliases":            {"10 of 10", "{" + strings.Join(aliases(10, "__typename"), " ") + "}", "", true},
		"too many aliases":   {"11 of 10", "{" + strings.Join(aliases(11, "__typename"), " ") + "}", "", false},
		"alias of no change": {"it is none", "{" + strings.Repeat("__typename:__typename ", 11) + "}", "", true},
	}.run(t, code)

	shallow := func() *graphql.Spec {
		s := code()
		s.Limits.Depth = 4
		return s
	}
	table{
		"depth":             {"four of four", "{" + web + "{issues{nodes{title}}}}", "", true},
		"too deep":          {"five of four", ping, "", false},
		"too deep a spread": {"counted where it stands", "{" + web + "{issues{nodes{...F}}}} fragment F on Issue{author{login}}", "", false},
	}.run(t, shallow)
}

// TestRepeatedVariables: a large variable may stand in a document more often
// than can be judged.
func TestRepeatedVariables(t *testing.T) {
	spec := code()
	spec.MaxBytes = 1 << 10
	spec.Limits.Aliases = 40
	query := "query($n:String){" + strings.Join(aliases(12, "search(note:$n){__typename}"), " ") + "}"
	d := judged(t, spec, asked(query, `,"variables":{"n":"`+strings.Repeat("x", 10)+`"}`))
	if d.Verdict != scope.Allow {
		t.Errorf("a small one is refused: %s", d.Detail)
	}
	query = "query($n:String){" + strings.Join(aliases(6, "search(note:[$n,$n,$n,$n]){__typename}"), " ") + "}"
	d = judged(t, spec, asked(query, `,"variables":{"n":"`+strings.Repeat("x", 600)+`"}`))
	if d.Verdict == scope.Allow {
		t.Error("a large one is judged again and again")
	}
}

func TestRequests(t *testing.T) {
	const query = `"query":"{repository(owner:\"acme\",name:\"web\"){name}}"`
	tests := map[string]struct {
		why, body string
		want      bool
		reason    scope.Reason
	}{
		"alone":              {"all that is needed", `{` + query + `}`, true, ""},
		"all":                {"the three that are known", `{"variables":{},"operationName":null,` + query + `}`, true, ""},
		"nothing":            {"no document", `{}`, false, scope.ParameterRefused},
		"no body":            {"no document", ``, false, scope.ParameterRefused},
		"null":               {"no document", `{"query":null}`, false, scope.ParameterRefused},
		"number":             {"no document", `{"query":1}`, false, scope.ParameterRefused},
		"object":             {"no document", `{"query":{"a":1}}`, false, scope.ParameterRefused},
		"batch":              {"some are run", `[{` + query + `}]`, false, scope.ParameterRefused},
		"empty batch":        {"no document", `[]`, false, scope.ParameterRefused},
		"text":               {"no object", `"{a}"`, false, scope.ParameterRefused},
		"extensions":         {"some servers run a stored document", `{` + query + `,"extensions":{}}`, false, scope.ParameterRefused},
		"persisted":          {"its content is unknown", `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"aa"}}}`, false, scope.ParameterRefused},
		"identifier":         {"some servers run a stored document", `{` + query + `,"id":"a"}`, false, scope.ParameterRefused},
		"documentId":         {"some servers run a stored document", `{"documentId":"a"}`, false, scope.ParameterRefused},
		"another spelling":   {"some servers fold names", `{` + query + `,"Query":"{viewer{login}}"}`, false, scope.ParameterRefused},
		"query twice":        {"servers take either", `{` + query + `,` + query + `}`, false, scope.Malformed},
		"escaped key twice":  {"servers take either", `{` + query + `,"\u0071uery":"{viewer{login}}"}`, false, scope.Malformed},
		"variable twice":     {"servers take either", `{"query":"query($o:String!){repository(owner:$o){name}}","variables":{"o":"acme","o":"evil"}}`, false, scope.Malformed},
		"something behind":   {"no JSON", `{` + query + `}{}`, false, scope.Malformed},
		"number of variable": {"no object", `{` + query + `,"variables":1}`, false, scope.ParameterRefused},
		"false variables":    {"no object", `{` + query + `,"variables":false}`, false, scope.ParameterRefused},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := judged(t, code(), test.body)
			if (d.Verdict == scope.Allow) != test.want || d.Reason != test.reason {
				t.Errorf("%s: got %+v", test.why, d)
			}
		})
	}
}

// TestHeads: what is not a POST of JSON to the path, without a query, is no
// request of GraphQL.
func TestHeads(t *testing.T) {
	policy := policyOf(t, code())
	typed := func(name string) []scope.Field { return []scope.Field{{Name: "Content-Type", Value: name}} }
	tests := map[string]struct {
		why  string
		head scope.Head
		want scope.Verdict
	}{
		"post":         {"judged by its body", scope.Head{Method: "POST", Target: "/graphql", Fields: typed("application/json")}, scope.Undecided},
		"utf-8":        {"judged by its body", scope.Head{Method: "POST", Target: "/graphql", Fields: typed("application/json; charset=utf-8")}, scope.Undecided},
		"get":          {"it could mutate", scope.Head{Method: "GET", Target: "/graphql?query=%7Bname%7D"}, scope.Deny},
		"query":        {"some servers read it first", scope.Head{Method: "POST", Target: "/graphql?query=%7Bname%7D", Fields: typed("application/json")}, scope.Deny},
		"other path":   {"not granted", scope.Head{Method: "POST", Target: "/graphql/x", Fields: typed("application/json")}, scope.Deny},
		"slash":        {"not granted", scope.Head{Method: "POST", Target: "/graphql/", Fields: typed("application/json")}, scope.Deny},
		"raw document": {"not read", scope.Head{Method: "POST", Target: "/graphql", Fields: typed("application/graphql")}, scope.Deny},
		"form":         {"not read", scope.Head{Method: "POST", Target: "/graphql", Fields: typed("application/x-www-form-urlencoded")}, scope.Deny},
		"multipart":    {"not read", scope.Head{Method: "POST", Target: "/graphql", Fields: typed("multipart/form-data; boundary=x")}, scope.Deny},
		"no type":      {"not read", scope.Head{Method: "POST", Target: "/graphql"}, scope.Deny},
		"other JSON":   {"not read", scope.Head{Method: "POST", Target: "/graphql", Fields: typed("application/graphql-response+json")}, scope.Deny},
		"no body":      {"nothing to judge", scope.Head{Method: "POST", Target: "/graphql"}, scope.Deny},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r scope.Request
			test.head.HasBody = test.head.Method == "POST" && name != "no body"
			if err := r.Parse(&test.head, nil); err != nil {
				t.Fatal(err)
			}
			if d := policy.Decide(&r); d.Verdict != test.want {
				t.Errorf("%s: got %+v", test.why, d)
			}
		})
	}
}

// TestNoReader: where documents cannot be read, none passes.
func TestNoReader(t *testing.T) {
	policy := policyOf(t, code())
	var r scope.Request
	head := scope.Head{Method: "POST", Target: "/graphql", Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}, HasBody: true}
	if err := r.Parse(&head, nil); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(string) (*syntax.Document, error){
		"none": nil, "nothing": func(string) (*syntax.Document, error) { return nil, nil },
		"zero": func(string) (*syntax.Document, error) { return &syntax.Document{}, nil },
	} {
		if d := policy.DecideBody(&r, scope.Content{Data: []byte(`{"query":"{__typename}"}`), Whole: true, GraphQL: read}); d.Verdict != scope.Deny {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

// TestZeroSpecs: nothing passes what is not written.
func TestZeroSpecs(t *testing.T) {
	full := code()
	tests := map[string]func(s *graphql.Spec){
		"zero":            func(s *graphql.Spec) { *s = graphql.Spec{} },
		"path":            func(s *graphql.Spec) { s.Path = "" },
		"operations":      func(s *graphql.Spec) { s.Operations = nil },
		"subscription":    func(s *graphql.Spec) { s.Operations = []syntax.Kind{"Subscription"} },
		"root":            func(s *graphql.Spec) { s.Mutation = "" },
		"depth":           func(s *graphql.Spec) { s.Limits.Depth = 0 },
		"selections":      func(s *graphql.Spec) { s.Limits.Selections = 0 },
		"operation count": func(s *graphql.Spec) { s.Limits.Operations = 0 },
		"bytes":           func(s *graphql.Spec) { s.MaxBytes = 0 },
		"types":           func(s *graphql.Spec) { s.Types = nil },
		"named both ways": func(s *graphql.Spec) {
			f := full.Types["Query"].Fields["repository"]
			f.AnyArgs = true
			s.Types = map[string]graphql.Type{"Query": {Fields: map[string]graphql.Field{"repository": f}}}
		},
	}
	for name, change := range tests {
		s := code()
		change(s)
		if _, err := scope.Compile(scope.Profile{}, []scope.Grant{{Name: "g", GraphQL: s}}, nil); err == nil {
			t.Errorf("%s: it compiles", name)
		}
	}
	with := scope.Grant{Name: "g", GraphQL: code(), HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/"}}}
	if _, err := scope.Compile(scope.Profile{}, []scope.Grant{with}, nil); err == nil {
		t.Error("two kinds in one grant compile")
	}
}
