package scope_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestMatcher judges values of a query.
func TestMatcher(t *testing.T) {
	set := &scope.Matcher{In: []string{"Main", "Dev"}, FoldASCII: true}
	for name, test := range map[string]struct {
		why   string
		m     scope.Matcher
		match []string
		not   []string
	}{
		"any text":      {"it bounds the type alone", scope.Matcher{Type: scope.String}, []string{"", "x", "1", "null"}, nil},
		"any":           {"text is anything", scope.Matcher{Type: scope.Any}, []string{"", "x"}, nil},
		"equals":        {"exact", scope.Matcher{Equals: ptr("a")}, []string{"a"}, []string{"", "A", "a ", "aa"}},
		"equals empty":  {"the empty text is a value", scope.Matcher{Equals: ptr("")}, []string{""}, []string{"a"}},
		"in":            {"one of them", scope.Matcher{In: []string{"a", "b"}}, []string{"a", "b"}, []string{"", "ab", "A"}},
		"both":          {"all keys hold", scope.Matcher{In: []string{"a", "b"}, Equals: ptr("b")}, []string{"b"}, []string{"a"}},
		"glob":          {"and its hole", scope.Matcher{Glob: ptr("*"), Except: []string{"x*", "y"}}, []string{"a", "yy"}, []string{"x", "xx", "y", "a/b", ""}},
		"hole of text":  {"a hole in any text", scope.Matcher{Type: scope.String, Except: []string{"**"}}, []string{"", "a//b", ".."}, []string{"a", "a/b"}},
		"pattern":       {"whole", scope.Matcher{Pattern: ptr("[a-z]+")}, []string{"abc"}, []string{"", "abc1", "ABC"}},
		"lengths":       {"in characters", scope.Matcher{MinLength: ptr(2), MaxLength: ptr(3)}, []string{"ab", "äöü"}, []string{"a", "ä", "abcd"}},
		"integer":       {"one spelling", scope.Matcher{Type: scope.Integer}, []string{"0", "-1", "9223372036854775807"}, []string{"", "1.0", "01", "9223372036854775808", "-0", "1e2"}},
		"integer in":    {"by value, of which there is one spelling", scope.Matcher{Type: scope.Integer, In: []string{"1", "2"}}, []string{"1"}, []string{"1.0", "3"}},
		"number in":     {"1.0 equals 1", scope.Matcher{Type: scope.Number, In: []string{"1", "2.5", "10"}}, []string{"1", "1.0", "1.00", "2.50", "10"}, []string{"1.01", "25", "2.05", "1.", "100"}},
		"bounds":        {"inclusive integers", scope.Matcher{Min: ptr("-2"), Max: ptr("2")}, []string{"-2", "0", "2"}, []string{"-3", "3", "1.5", ""}},
		"decimal":       {"a fraction makes it a number", scope.Matcher{Min: ptr("0.0")}, []string{"0", "0.1", "3"}, []string{"-0.1", "a"}},
		"number bounds": {"as typed", scope.Matcher{Min: ptr("1"), Type: scope.Number}, []string{"1.5"}, []string{"0.5"}},
		"boolean":       {"two spellings", scope.Matcher{Type: scope.Boolean}, []string{"true", "false"}, []string{"True", "1", "", "yes"}},
		"boolean is":    {"one of them", scope.Matcher{Type: scope.Boolean, Equals: ptr("false")}, []string{"false"}, []string{"true"}},
		"path":          {"below a folder", scope.Matcher{Kind: scope.Path, Under: "docs"}, []string{"docs/a", "docs/a/b"}, []string{"docs", "docs/", "docs/../a", "docsx/a", "/docs/a"}},
		"path and hole": {"all keys hold", scope.Matcher{Kind: scope.Path, Except: []string{".github/**"}}, []string{"a", ".github"}, []string{".github/workflows/x"}},
		"ref":           {"a full name", scope.Matcher{Kind: scope.Ref}, []string{"refs/heads/a"}, []string{"a", "refs/heads/a..b"}},
		"oid":           {"lower case", scope.Matcher{Kind: scope.GitOID}, []string{strings.Repeat("a", 40)}, []string{strings.Repeat("A", 40)}},
		"folded oid":    {"but for fold", scope.Matcher{Kind: scope.GitOID, FoldASCII: true}, []string{strings.Repeat("A", 40)}, []string{strings.Repeat("g", 40)}},
		"time":          {"RFC 3339", scope.Matcher{Kind: scope.DateTime}, []string{"2026-01-01T00:00:00Z"}, []string{"2026-01-01"}},
		"uuid":          {"lower case, dashes", scope.Matcher{Kind: scope.UUID}, []string{"123e4567-e89b-12d3-a456-426614174000"}, []string{"x"}},
		"fold":          {"letters of ASCII alone", scope.Matcher{In: []string{"ACME", "K"}, FoldASCII: true}, []string{"acme", "AcMe", "k"}, []string{"\u212a", "acmé"}},
		"fold glob":     {"and in patterns", scope.Matcher{Glob: ptr("Agent/*"), Except: []string{"Agent/X*"}, FoldASCII: true}, []string{"AGENT/a", "agent/A"}, []string{"agent/x", "AGENT/X1"}},
		"fold pattern":  {"the lower-case spelling is matched", scope.Matcher{Pattern: ptr("[a-z]+"), FoldASCII: true}, []string{"ABC"}, []string{"\u017f", "ABC1"}},
		"fold under":    {"the folder too", scope.Matcher{Kind: scope.Path, Under: "Docs/", FoldASCII: true}, []string{"DOCS/a"}, []string{"doc/a"}},
		"set":           {"with its own fold", scope.Matcher{Set: set}, []string{"main", "DEV"}, []string{"x"}},
		"set and more":  {"both hold", scope.Matcher{Set: set, MaxLength: ptr(3)}, []string{"dev"}, []string{"main"}},
		"fold of a set": {"one text is forwarded, in lower case, and is what all parts match", scope.Matcher{Set: set, Glob: ptr("D*")}, nil, []string{"dev", "Dev"}},
		"required":      {"nothing more of the value", scope.Matcher{Required: true, Type: scope.String}, []string{""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := get("g", "/")
			g.Query.Params = map[string]scope.Matcher{"v": test.m}
			p := mustCompile(t, scope.Profile{}, []scope.Grant{g}, nil)
			judge := func(value string) scope.Verdict {
				return p.Decide(parse(t, "/?v="+url.QueryEscape(value), nil)).Verdict
			}
			for _, value := range test.match {
				if judge(value) != scope.Allow {
					t.Errorf("%q does not pass: %s", value, test.why)
				}
			}
			for _, value := range test.not {
				if judge(value) == scope.Allow {
					t.Errorf("%q passes: %s", value, test.why)
				}
			}
		})
	}
}

// TestCompileRefuses what could not be enforced, or says nothing.
func TestCompileRefuses(t *testing.T) {
	matcher := func(m scope.Matcher) func(*scope.Grant) {
		return func(g *scope.Grant) { g.Query.Params = map[string]scope.Matcher{"v": m} }
	}
	where := func(name string, m scope.Matcher) func(*scope.Grant) {
		return func(g *scope.Grant) { g.Where = map[string]scope.Matcher{name: m} }
	}
	header := func(name string, m scope.Matcher) func(*scope.Grant) {
		return func(g *scope.Grant) { g.Headers = map[string]scope.Matcher{name: m} }
	}
	path := func(template string) func(*scope.Grant) {
		return func(g *scope.Grant) { g.HTTP.Paths = []string{template} }
	}
	text := scope.Matcher{Type: scope.String}
	fields := func(of map[string]scope.Matcher) func(*scope.Grant) {
		return func(g *scope.Grant) { g.Body = &scope.Body{Media: scope.JSON, MaxBytes: 1, Fields: of} }
	}
	field := func(path string, m scope.Matcher) func(*scope.Grant) {
		return fields(map[string]scope.Matcher{path: m})
	}
	part := func(name string, p scope.Part) func(*scope.Grant) {
		return func(g *scope.Grant) {
			g.Body = &scope.Body{Media: scope.Multipart, MaxBytes: 1, Parts: map[string]scope.Part{name: p}}
		}
	}
	for name, test := range map[string]struct {
		change func(*scope.Grant)
		field  string
	}{
		"no name":              {func(g *scope.Grant) { g.Name = "" }, "name"},
		"no kind":              {func(g *scope.Grant) { g.HTTP = nil }, "http"},
		"no method":            {func(g *scope.Grant) { g.HTTP.Methods = nil }, "http.methods"},
		"bad method":           {func(g *scope.Grant) { g.HTTP.Methods = []string{"GET "} }, "http.methods"},
		"any method":           {func(g *scope.Grant) { g.HTTP.Methods = []string{""} }, "http.methods"},
		"CONNECT":              {func(g *scope.Grant) { g.HTTP.Methods = []string{"CONNECT"} }, "http.methods"},
		"TRACE":                {func(g *scope.Grant) { g.HTTP.Methods = []string{"GET", "TRACE"} }, "http.methods"},
		"no path":              {func(g *scope.Grant) { g.HTTP.Paths = nil }, "http.paths"},
		"empty path":           {path(""), "http.paths"},
		"relative path":        {path("a"), "http.paths"},
		"empty segment":        {path("/a//b"), "http.paths"},
		"empty segments":       {path("//"), "http.paths"},
		"dot segment":          {path("/a/../b"), "http.paths"},
		"star":                 {path("/a/*"), "http.paths"},
		"double star":          {path("/a/**"), "http.paths"},
		"half a capture":       {path("/a/x{b}"), "http.paths"},
		"half a capture more":  {path("/a/{b}.json"), "http.paths"},
		"open capture":         {path("/a/{b"), "http.paths"},
		"closed capture":       {path("/a/b}"), "http.paths"},
		"open over slash":      {path("/a/{b/c"), "http.paths"},
		"no capture name":      {path("/a/{}"), "http.paths"},
		"bad capture name":     {path("/a/{b-c}"), "http.paths"},
		"digit first":          {path("/a/{1b}"), "http.paths"},
		"capture twice":        {path("/a/{b}/{b}"), "http.paths"},
		"tail not last":        {path("/a/{b...}/c"), "http.paths"},
		"two tails":            {path("/a/{b...}/{c...}"), "http.paths"},
		"tail without a name":  {path("/a/{...}"), "http.paths"},
		"other width":          {path("/a/{b=*/*/*}"), "http.paths"},
		"width of one":         {path("/a/{b=*}"), "http.paths"},
		"literal width":        {path("/a/{b=x/*}"), "http.paths"},
		"one alternate":        {path("/a/{b,}"), "http.paths"},
		"same alternate":       {path("/a/{b,c,b}"), "http.paths"},
		"dotted alternate":     {path("/a/{b,..}"), "http.paths"},
		"alternate over slash": {path("/a/{b,c/d}"), "http.paths"},
		"encoded literal":      {path("/a/%2F"), "http.paths"},
		"question mark":        {path("/a?b=c"), "http.paths"},
		"semicolon":            {path("/a;b"), "http.paths"},
		"control":              {path("/a\n"), "http.paths"},
		"no UTF-8":             {path("/a\xff"), "http.paths"},
		"undeclared capture":   {where("other", text), "where.other"},
		"unbounded capture":    {where("id", scope.Matcher{}), "where.id"},
		"forbidden capture":    {where("id", scope.Matcher{Forbidden: true}), "where.id"},
		"repeated capture":     {where("id", scope.Matcher{Type: scope.String, Repeated: true}), "where.id"},
		"nothing bound":        {matcher(scope.Matcher{}), "query.params.v"},
		"required alone":       {matcher(scope.Matcher{Required: true}), "query.params.v"},
		"repeated alone":       {matcher(scope.Matcher{Repeated: true}), "query.params.v"},
		"fold alone":           {matcher(scope.Matcher{FoldASCII: true}), "query.params.v"},
		"hole alone":           {matcher(scope.Matcher{Except: []string{"a"}}), "query.params.v"},
		"empty in":             {matcher(scope.Matcher{In: []string{}}), "query.params.v"},
		"both presences":       {matcher(scope.Matcher{Required: true, Forbidden: true}), "query.params.v.forbidden"},
		"unknown type":         {matcher(scope.Matcher{Type: "Text"}), "query.params.v.type"},
		"object":               {matcher(scope.Matcher{Type: scope.Object}), "query.params.v.type"},
		"items":                {matcher(scope.Matcher{MaxItems: ptr(1)}), "query.params.v.type"},
		"bounds of text":       {matcher(scope.Matcher{Type: scope.String, Min: ptr("1")}), "query.params.v.type"},
		"glob of a number":     {matcher(scope.Matcher{Type: scope.Integer, Glob: ptr("1*")}), "query.params.v.type"},
		"length of a number":   {matcher(scope.Matcher{Min: ptr("1"), MaxLength: ptr(1)}), "query.params.v.type"},
		"exponent":             {matcher(scope.Matcher{Min: ptr("1e3")}), "query.params.v.min"},
		"no number":            {matcher(scope.Matcher{Max: ptr("")}), "query.params.v.max"},
		"empty range":          {matcher(scope.Matcher{Min: ptr("2"), Max: ptr("1")}), "query.params.v.min"},
		"other integer":        {matcher(scope.Matcher{Type: scope.Integer, Equals: ptr("01")}), "query.params.v.equals"},
		"other number":         {matcher(scope.Matcher{Type: scope.Number, In: []string{"1.0"}}), "query.params.v.in"},
		"other boolean":        {matcher(scope.Matcher{Type: scope.Boolean, Equals: ptr("yes")}), "query.params.v.equals"},
		"bad glob":             {matcher(scope.Matcher{Glob: ptr("a**")}), "query.params.v.glob"},
		"bad hole":             {matcher(scope.Matcher{Type: scope.String, Except: []string{""}}), "query.params.v.except"},
		"bad pattern":          {matcher(scope.Matcher{Pattern: ptr("(?i)a")}), "query.params.v.pattern"},
		"folded pattern":       {matcher(scope.Matcher{Pattern: ptr("A"), FoldASCII: true}), "query.params.v.pattern"},
		"unknown kind":         {matcher(scope.Matcher{Kind: "URL"}), "query.params.v.kind"},
		"under alone":          {matcher(scope.Matcher{Type: scope.String, Under: "a/"}), "query.params.v.under"},
		"bad folder":           {matcher(scope.Matcher{Kind: scope.Path, Under: "/a/"}), "query.params.v.under"},
		"unbounded set":        {matcher(scope.Matcher{Set: &scope.Matcher{}}), "query.params.v.set"},
		"set of a set":         {matcher(scope.Matcher{Set: &scope.Matcher{Set: &text}}), "query.params.v.set"},
		"required set":         {matcher(scope.Matcher{Set: &scope.Matcher{Type: scope.String, Required: true}}), "query.params.v.set"},
		"no query name":        {func(g *scope.Grant) { g.Query.Params = map[string]scope.Matcher{"": text} }, "query.params"},
		"no header name":       {header("X Tenant", text), "headers.X Tenant"},
		"overriding header":    {header("x_http-method-override", text), "headers.x_http-method-override"},
		"profile's header":     {header("X-Refused", text), "headers.X-Refused"},
		"own header":           {header("content-length", text), "headers.content-length"},
		"authentication":       {header("Authorization", text), "headers.Authorization"},
		"repeated header":      {header("X-Tenant", scope.Matcher{Type: scope.String, Repeated: true}), "headers.X-Tenant.repeated"},
		"two spellings": {func(g *scope.Grant) {
			g.Headers = map[string]scope.Matcher{"X-Tenant": text, "X_Tenant": text}
		}, "headers.X_Tenant"},
		"unknown body":         {func(g *scope.Grant) { g.Body = &scope.Body{Media: "XML", MaxBytes: 1} }, "body.media"},
		"no field path":        {field("a..b", text), "body.fields"},
		"empty field path":     {field("", text), "body.fields"},
		"repeated field":       {field("a", scope.Matcher{Type: scope.String, Repeated: true}), "body.fields.a"},
		"required element":     {field("a[]", scope.Matcher{Type: scope.String, Required: true}), "body.fields.a[]"},
		"forbidden element":    {field("[]", scope.Matcher{Forbidden: true}), "body.fields.[]"},
		"members of text":      {fields(map[string]scope.Matcher{"a": text, "a.b": text}), "body.fields.a.type"},
		"elements of object":   {fields(map[string]scope.Matcher{"a": {Type: scope.Object}, "a[]": text}), "body.fields.a.type"},
		"members of array":     {fields(map[string]scope.Matcher{"a": {MaxItems: ptr(1)}, "a.b": text}), "body.fields.a.type"},
		"members of any text":  {fields(map[string]scope.Matcher{"a": {Type: scope.Any, MaxLength: ptr(1)}, "a.b": text}), "body.fields.a.type"},
		"members of forbidden": {fields(map[string]scope.Matcher{"a": {Forbidden: true}, "a.b": text}), "body.fields.a"},
		"two of a key":         {fields(map[string]scope.Matcher{"task": text, "tas\u212a": text}), "body.fields"},
		"type and set":         {field("a", scope.Matcher{Type: scope.Boolean, Set: &scope.Matcher{Type: scope.Array}}), "body.fields.a.type"},
		"items of text":        {field("a", scope.Matcher{Type: scope.String, MaxItems: ptr(1)}), "body.fields.a.type"},
		"equal to an object":   {field("a", scope.Matcher{Type: scope.Object, Equals: ptr("x")}), "body.fields.a.type"},
		"form of arrays": {func(g *scope.Grant) {
			g.Body = &scope.Body{Media: scope.Form, MaxBytes: 1, Fields: map[string]scope.Matcher{"a": {Type: scope.Array}}}
		}, "body.fields.a.type"},
		"fields unseen": {func(g *scope.Grant) {
			g.Body = &scope.Body{Media: scope.Opaque, MaxBytes: 1, Fields: map[string]scope.Matcher{"a": text}}
		}, "body.fields"},
		"unlisted unseen": {func(g *scope.Grant) { g.Body = &scope.Body{Media: scope.Opaque, MaxBytes: 1, UnlistedAllow: true} }, "body.unlisted"},
		"parts of JSON": {func(g *scope.Grant) {
			g.Body = &scope.Body{Media: scope.JSON, MaxBytes: 1, Parts: map[string]scope.Part{"a": {}}}
		}, "body.parts"},
		"part's name":      {part("a\"b", scope.Part{}), "body.parts"},
		"part's media":     {part("a", scope.Part{Media: []string{"image/*; q=1"}}), "body.parts.a.media"},
		"part's value":     {part("a", scope.Part{Value: &scope.Matcher{}}), "body.parts.a.value"},
		"part's absence":   {part("a", scope.Part{Value: &scope.Matcher{Forbidden: true}}), "body.parts.a.value.forbidden"},
		"part's file name": {part("a", scope.Part{Filename: &scope.Matcher{Type: scope.String, Repeated: true}}), "body.parts.a.filename.repeated"},
		"kept field":       {func(g *scope.Grant) { g.Response = &scope.Response{Keep: []string{"a["}} }, "response.keep"},
		"no rate":          {func(g *scope.Grant) { g.Limits = &scope.Limits{} }, "limits.requests"},
		"no media":         {func(g *scope.Grant) { g.Body = &scope.Body{MaxBytes: 1} }, "body.media"},
		"no bound":         {func(g *scope.Grant) { g.Body = &scope.Body{Media: scope.Opaque} }, "body.maxBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := get("g", "/a/{id}")
			test.change(&g)
			problems := g.Check(github)
			if len(problems) == 0 || problems[0].Field != test.field || problems[0].Msg == "" {
				t.Errorf("got %v, want one of %s", problems, test.field)
			}
			p, err := scope.Compile(github, []scope.Grant{g}, nil)
			var one *scope.SpecError
			if p != nil || !errors.As(err, &one) || one.Field != "grants["+g.Name+"]."+test.field {
				t.Errorf("Compile: %v", err)
			}
			_, err = scope.Compile(github, nil, &[]scope.Grant{g})
			if !errors.As(err, &one) || one.Field != "ceiling.grants["+g.Name+"]."+test.field {
				t.Errorf("ceiling: %v", err)
			}
		})
	}
}

func TestCompileRefusesBetweenGrants(t *testing.T) {
	if _, err := scope.Compile(scope.Profile{}, []scope.Grant{get("a", "/x"), get("a", "/y")}, nil); err == nil {
		t.Error("two grants have one name")
	}
	for _, prefix := range []string{"", "repos", "/repos/{a...}", "/repos/{a=*/*}", "/repos/", "/{a,b}/{c}"} {
		if _, err := scope.Compile(scope.Profile{FoldPaths: []string{prefix}}, nil, nil); err == nil {
			t.Errorf("%q is a fold path", prefix)
		}
	}
}

func TestCompileNamesEveryProblem(t *testing.T) {
	g := scope.Grant{Name: "g", HTTP: &scope.HTTP{}, Query: scope.Query{Params: map[string]scope.Matcher{"v": {}}}, Body: &scope.Body{}}
	var fields []string
	for _, p := range g.Check(scope.Profile{}) {
		fields = append(fields, p.Field)
		if !strings.HasPrefix(p.Error(), p.Field+": ") {
			t.Errorf("%v", p)
		}
	}
	want := []string{"query.params.v", "body.media", "body.maxBytes", "http.methods", "http.paths"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParsePath(t *testing.T) {
	for template, want := range map[string]struct {
		captures []string
		literal  bool
	}{
		"/":                        {nil, true},
		"/a":                       {nil, true},
		"/{a}":                     {[]string{"a"}, false},
		"/{a,b}":                   {nil, true},
		"/{a=*/*}/{rest...}":       {[]string{"a", "rest"}, false},
		"/x/{a=*/*}/{b}/{rest...}": {[]string{"a", "b", "rest"}, true},
		"/x/":                      {nil, true},
	} {
		path, err := scope.ParsePath(template)
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if diff := cmp.Diff(want.captures, path.Captures()); diff != "" || path.HasLiteral() != want.literal {
			t.Errorf("%s: literal %t (-want +got)\n%s", template, path.HasLiteral(), diff)
		}
	}
	if (scope.PathTemplate{}).HasLiteral() {
		t.Error("the zero PathTemplate has a literal")
	}
}
