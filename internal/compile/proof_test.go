package compile

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// provedText is a scope without grants and never.
const provedText = `
metadata: {name: notes, namespace: agents}
spec:
  upstream: {namespace: platform, name: github}
  holders: {serviceAccounts: [agent]}
  sets:
  - {name: docs, in: [acme/docs, acme/web], fold: ASCII}
`

const ceilingText = `
  ceiling:
    sets:
    - {name: org, glob: "acme/*", fold: ASCII}
    grants:
    - name: read
      http: {endpoint: rest, methods: [GET, HEAD], paths: ["/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"]}
      where: {repo: {set: org}}
      query: {unlisted: Allow}
    - name: issues
      http: {endpoint: rest, methods: [POST, PATCH], paths: ["/repos/{repo=*/*}/issues/{rest...}"]}
      where: {repo: {set: org}}
      headers: {X-Trace: {maxLength: 8}}
      body: {media: Opaque, maxBytes: 1000}
`

// TestCeiling has grants that lie within the ceiling above, and grants that do
// not, with the request that shows it.
func TestCeiling(t *testing.T) {
	tests := map[string]struct {
		why, grant string
		want       string // the request that is beyond; empty: it is within
	}{
		"a set within a glob":    {"every value matches it", `http: {endpoint: rest, methods: [GET], paths: ["/repos/{repo=*/*}/pulls/{rest...}"]}, where: {repo: {set: docs}}`, ""},
		"two captures":           {"the ceiling has one for both", `http: {endpoint: rest, methods: [GET], paths: ["/repos/{owner}/{name}/pulls"]}, where: {owner: {equals: acme}}`, ""},
		"letter case":            {"the profile puts it into lower case", `http: {endpoint: rest, methods: [GET], paths: ["/repos/Acme/{name}"]}`, ""},
		"listed beside unlisted": {"the ceiling admits every name", `http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs"]}, query: {params: {page: {min: 1}}}`, ""},
		"two grants at once":     {"one of the ceiling for each method", `http: {endpoint: rest, methods: [GET, POST], paths: ["/repos/acme/docs/issues/{number}"]}`, ""},
		"a shorter body":         {"it is bounded by less", `http: {endpoint: rest, methods: [POST], paths: ["/repos/acme/docs/issues/{number}"]}, body: {media: Opaque, maxBytes: 10}`, ""},
		"a header within":        {"every value is short enough", `http: {endpoint: rest, methods: [POST], paths: ["/repos/acme/docs/issues/1"]}, headers: {X-Trace: {in: [a, b]}}`, ""},
		"an ordinary header":     {"it goes upstream anyway", `http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs"]}, headers: {X-GitHub-Api-Version: {equals: "2022-11-28"}}`, ""},

		"another organisation": {"it is not in the glob", `http: {endpoint: rest, methods: [GET], paths: ["/repos/{repo=*/*}"]}, where: {repo: {in: [acme/docs, evil/docs]}}`, "rest GET /repos/evil/docs"},
		"any repository":       {"one outside is found", `http: {endpoint: rest, methods: [GET], paths: ["/repos/{repo=*/*}/pulls"]}`, "rest GET /repos/b/a/pulls"},
		"another method":       {"the ceiling has none of it", `http: {endpoint: rest, methods: [GET, DELETE], paths: ["/repos/acme/docs"]}`, "rest DELETE /repos/acme/docs"},
		"a method elsewhere":   {"it is granted for issues alone", `http: {endpoint: rest, methods: [POST], paths: ["/repos/acme/docs/{what}/{rest...}"]}`, "rest POST /repos/acme/docs/a/a"},
		"another path":         {"no path of the ceiling has it", `http: {endpoint: rest, methods: [GET], paths: ["/orgs/acme/{rest...}"]}`, "rest GET /orgs/acme/a"},
		"a slash at the end":   {"it is another path", `http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs/"]}`, "rest GET /repos/acme/docs/"},
		"another endpoint":     {"no grant of the ceiling is for it", `http: {endpoint: files, methods: [GET], paths: ["/blobs/{id}"]}`, "files GET /blobs/a"},
		"a reserved name":      {"unlisted does not admit it", `http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs"]}, query: {params: {access_token: {type: String}}}`, "rest GET /repos/acme/docs?access_token="},
		"a query":              {"the ceiling allows none there", `http: {endpoint: rest, methods: [POST], paths: ["/repos/acme/docs/issues/1"]}, query: {params: {lock: {equals: "true"}}}`, "rest POST /repos/acme/docs/issues/1?lock=true"},
		"a longer body":        {"it is bounded by more", `http: {endpoint: rest, methods: [POST], paths: ["/repos/acme/docs/issues/1"]}, body: {media: Opaque, maxBytes: 1001}`, "rest POST /repos/acme/docs/issues/1 with a body of 1001 bytes"},
		"a body":               {"the ceiling allows none there", `http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs"]}, body: {media: Opaque}`, "rest GET /repos/acme/docs with a body"},
		"a header of its own":  {"the ceiling does not name it", `http: {endpoint: rest, methods: [GET], paths: ["/repos/acme/docs"]}, headers: {X-Sudo: {equals: root}}`, "rest GET /repos/acme/docs with X-Sudo: root"},
		"a longer header":      {"some value is too long", `http: {endpoint: rest, methods: [POST], paths: ["/repos/acme/docs/issues/1"]}, headers: {X-Trace: {minLength: 8, maxLength: 9}}`, "rest POST /repos/acme/docs/issues/1 with X-Trace: aaaaaaaaa"},
	}
	up := upstreamOf(t, upstreamText+ceilingText)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sc := credentialOf(t, provedText+"  grants:\n  - {name: fine, http: {endpoint: rest, methods: [GET], paths: [/repos/acme/docs]}}\n  - {name: it, "+test.grant+"}\n")
			got, err := Credential(sc, up)
			if test.want == "" {
				if err != nil || got.Ceiling == nil || len(got.Ceiling.Grants) != 2 {
					t.Fatalf("%s: %v, and the sidecar gets the ceiling %+v", test.why, err, got.Ceiling)
				}
				return
			}
			refusedFor(t, test.why, err, v1alpha1.ReasonNotWithinCeiling, `spec.grants[1]: "it": it allows `+test.want+`, which is beyond the ceiling`)
		})
	}
}

// TestCeilingOfMuchWork: what nobody could work out is beyond the ceiling.
func TestCeilingOfMuchWork(t *testing.T) {
	up := upstreamOf(t, upstreamText+strings.Replace(ceilingText, `glob: "acme/*"`, `pattern: "acme/(?:a|b)*a(?:a|b){40}"`, 1))
	sc := credentialOf(t, provedText+"  grants:\n  - {name: it, http: {endpoint: rest, methods: [GET], paths: [\"/repos/{repo=*/*}\"]}, where: {repo: {pattern: \"acme/(?:b|a)*a(?:a|b){40}\"}}}\n")
	_, err := Credential(sc, up)
	refusedFor(t, "it counts as not included", err, v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": whether it lies within the ceiling of the UpstreamSecret takes too much work`)
}

// TestCeilingReachesTheSidecar: what was proved is judged all the same.
func TestCeilingReachesTheSidecar(t *testing.T) {
	sc := credentialOf(t, provedText+"  grants:\n  - {name: it, http: {endpoint: rest, methods: [GET], paths: [/repos/acme/docs]}}\n")
	got, err := Credential(sc, upstreamOf(t, upstreamText+ceilingText))
	if err != nil {
		t.Fatal(err)
	}
	org := &scope.Matcher{Glob: ptr("acme/*"), FoldASCII: true}
	want := &bundle.Ceiling{Grants: []scope.Grant{
		{
			Name: "read", Endpoint: "rest",
			HTTP:  &scope.HTTP{Methods: []string{"GET", "HEAD"}, Paths: []string{"/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"}},
			Where: map[string]scope.Matcher{"repo": {Set: org}}, Query: scope.Query{UnlistedAllow: true},
		},
		{
			Name: "issues", Endpoint: "rest",
			HTTP:    &scope.HTTP{Methods: []string{"POST", "PATCH"}, Paths: []string{"/repos/{repo=*/*}/issues/{rest...}"}},
			Where:   map[string]scope.Matcher{"repo": {Set: org}},
			Headers: map[string]scope.Matcher{"X-Trace": {MaxLength: ptr(8)}},
			Body:    &scope.Body{Media: scope.Opaque, MaxBytes: 1000},
		},
	}}
	if diff := cmp.Diff(want, got.Ceiling); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	open := upstreamOf(t, upstreamText+"\n  ceiling: {grants: [{name: all, http: {endpoint: rest, methods: [GET], paths: [\"/{all...}\"]}}]}\n")
	if _, err := Credential(sc, open); err != nil {
		t.Errorf("a ceiling may match whatever the upstream has: %v", err)
	}
}

// TestNever has scopes beside what they must never allow.
func TestNever(t *testing.T) {
	const branches = `http: {endpoint: rest, methods: [GET, DELETE], paths: ["/repos/{repo=*/*}/git/refs/heads/{branch...}"]}, where: {repo: {set: docs}, branch: {glob: "agent/**"}}`
	tests := map[string]struct {
		why, grant, never string
		want              string // a request that is both; empty: there is none
	}{
		"other branches":    {"no branch is both", branches, `{http: {paths: ["/repos/{repo=*/*}/git/refs/heads/{branch...}"]}, where: {branch: {glob: "release-*"}}}`, ""},
		"any with a prefix": {"no branch is both, at any depth", branches, `{http: {paths: ["/repos/{repo=*/*}/git/refs/heads/{branch...}"]}, where: {branch: {pattern: "release-.*"}}}`, ""},
		"another method":    {"it is not granted", branches, `{http: {methods: [POST, PUT]}}`, ""},
		"another endpoint":  {"the grant is not for it", branches, `{http: {endpoint: files}}`, ""},
		"another path":      {"it has another literal", branches, `{http: {paths: ["/repos/{repo=*/*}/hooks", "/user/{rest...}"]}}`, ""},
		"a query":           {"none is granted", branches, `{http: {}, query: {params: {force: {equals: "true"}}}}`, ""},
		"a header":          {"it does not go upstream", branches, `{http: {}, headers: {X-Sudo: {type: String}}}`, ""},
		"a body":            {"none is granted", branches, `{http: {}, body: {}}`, ""},
		"another value":     {"the values have nothing in common", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, query: {params: {mode: {in: [a, b]}}}`, `{http: {}, query: {params: {mode: {in: [c]}}}}`, ""},
		"not there":         {"what an entry lists must be present", `http: {endpoint: rest, methods: [PUT], paths: [/x]}`, `{http: {}, query: {params: {mode: {type: String}}}}`, ""},
		"absent":            {"what is forbidden in it must be absent", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, query: {params: {mode: {type: String, required: true}}}`, `{http: {}, query: {params: {mode: {forbidden: true}}}}`, ""},
		"nothing else":      {"the grant always has another name", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, query: {params: {mode: {type: String, required: true}}}`, `{http: {}, query: {unlisted: Deny}}`, ""},

		"anything":                {"an entry without a list names everything", branches, `{http: {}}`, "rest GET /repos/acme/web/git/refs/heads/agent/a"},
		"a method":                {"with anything else", branches, `{http: {methods: [DELETE]}}`, "rest DELETE /repos/acme/web/git/refs/heads/agent/a"},
		"some branches":           {"agent/release-1 is both", branches, `{http: {paths: ["/repos/{repo=*/*}/git/refs/heads/{branch...}"]}, where: {branch: {glob: "**/release-*"}}}`, "rest GET /repos/acme/web/git/refs/heads/agent/release-"},
		"capture without entry":   {"it matches anything", branches, `{http: {methods: [DELETE], paths: ["/repos/{repo=*/*}/{rest...}"]}, where: {repo: {equals: acme/web}}}`, "rest DELETE /repos/acme/web/git/refs/heads/agent/a"},
		"letter case":             {"the profile puts it into lower case", branches, `{http: {methods: [DELETE], paths: ["/repos/ACME/Web/{rest...}"]}}`, "rest DELETE /repos/acme/web/git/refs/heads/agent/a"},
		"one of several values":   {"which of them an upstream takes is not known", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, query: {params: {mode: {in: [a, b], repeated: true}}}`, `{http: {}, query: {params: {mode: {equals: b}}}}`, "rest PUT /x?mode=b"},
		"unlisted":                {"the grant admits every name", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, query: {unlisted: Allow}`, `{http: {}, query: {params: {force: {equals: "true"}}}}`, "rest PUT /x?force=true"},
		"an ordinary header":      {"it goes upstream unlisted", `http: {endpoint: rest, methods: [PUT], paths: [/x]}`, `{http: {}, headers: {Accept: {glob: "text/*"}}}`, "rest PUT /x with Accept: text/a"},
		"a header that is listed": {"some value is both", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, headers: {X-Mode: {in: [a, b]}}`, `{http: {}, headers: {x-mode: {equals: b}}}`, "rest PUT /x with X-Mode: b"},
		"an opaque body":          {"nobody looks at it", `http: {endpoint: rest, methods: [PUT], paths: [/x]}, body: {media: Opaque}`, `{http: {}, body: {media: JSON}}`, "rest PUT /x with a body"},
	}
	up := upstreamOf(t, upstreamText)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sc := credentialOf(t, provedText+"  grants:\n  - {name: it, "+test.grant+"}\n  never:\n  - {http: {endpoint: files}}\n  - "+test.never+"\n")
			_, err := Credential(sc, up)
			if test.want == "" {
				if err != nil {
					t.Errorf("%s: %v", test.why, err)
				}
				return
			}
			refusedFor(t, test.why, err, v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows `+test.want+`, which spec.never[1] names`)
		})
	}
}

// TestBodies has bodies beside those of a ceiling and of never.
func TestBodies(t *testing.T) {
	const under = `
  ceiling:
    grants:
    - name: chat
      http: {endpoint: rest, methods: [POST], paths: [/chat]}
      body:
        fields:
          model: {in: [small, medium], required: true}
          max_tokens: {min: 1, max: 1000}
          messages: {maxItems: 10}
          messages[].role: {in: [user, system], required: true}
          messages[].content: {type: Any}
    - name: open
      http: {endpoint: rest, methods: [POST], paths: [/open]}
      body: {unlisted: Allow}
    - name: raw
      http: {endpoint: rest, methods: [POST], paths: [/raw]}
      body: {media: Opaque}
    - name: form
      http: {endpoint: rest, methods: [POST], paths: [/form]}
      body: {media: Form, fields: {to: {glob: "*@acme.example"}, tag: {type: String, repeated: true}}}
    - name: upload
      http: {endpoint: rest, methods: [POST], paths: [/upload]}
      body: {media: Multipart, parts: {file: {filename: {glob: "*.png"}, media: [image/png], maxBytes: 100}, note: {value: {maxLength: 10}}}}
`
	tests := map[string]struct {
		why, path, body, never string
		reason, want           string
	}{
		"narrower":          {"each field is narrower", "chat", `{fields: {model: {equals: small, required: true}, "messages[].role": {equals: user, required: true}, messages: {maxItems: 2}}}`, "", "", ""},
		"any document":      {"the ceiling admits every document", "open", `{fields: {a: {type: String}, "b[].c": {min: 1}}}`, "", "", ""},
		"documents opaque":  {"nobody looks at it there", "raw", `{fields: {a: {type: String}}}`, "", "", ""},
		"form opaque":       {"nobody looks at it there", "raw", `{media: Form, unlisted: Allow}`, "", "", ""},
		"form":              {"each field is narrower", "form", `{media: Form, fields: {to: {equals: a@acme.example}}}`, "", "", ""},
		"parts":             {"each part is narrower", "upload", `{media: Multipart, parts: {file: {required: true, filename: {equals: a.png}, media: [image/png], maxBytes: 10, value: {maxLength: 5}}}}`, "", "", ""},
		"another model":     {"it is not in the list", "chat", `{fields: {model: {in: [small, large], required: true}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat with Content-Type: application/json and the body {"model": "large"}`},
		"no model":          {"it has to be there", "chat", `{fields: {model: {equals: small}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat, which`},
		"an optional role":  {"it has to be in every element", "chat", `{fields: {model: {equals: small, required: true}, "messages[].role": {equals: user}, messages: {maxItems: 2}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat with Content-Type: application/json and the body {"messages": [{}], "model": "small"}`},
		"more elements":     {"their number is bounded", "chat", `{fields: {model: {equals: small, required: true}, messages: {maxItems: 11}, "messages[].role": {equals: user, required: true}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat with Content-Type: application/json and the body {"messages": [{"role": "user"}, {"role": "user"}`},
		"a field more":      {"the ceiling does not list it", "chat", `{fields: {model: {equals: small, required: true}, tools: {type: Any}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat with Content-Type: application/json and the body {"model": "small", "tools": null}`},
		"opaque":            {"it may be anything", "chat", `{media: Opaque}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat, which`},
		"other types":       {"the ceiling does not list the header", "chat", `{fields: {model: {equals: small, required: true}}}, headers: {Content-Type: {equals: a/b+json}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat with Content-Type: a/b+json and the body {"model": "small"}`},
		"types of AWS":      {"the ceiling does not list the header", "chat", `{fields: {model: {equals: small, required: true}}}, headers: {Content-Type: {equals: application/x-amz-json-1.0}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /chat with Content-Type: application/x-amz-json-1.0 and the body {"model": "small"}`},
		"another recipient": {"it is outside", "form", `{media: Form, fields: {to: {type: String}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /form with Content-Type: application/x-www-form-urlencoded and the body to=`},
		"recipients":        {"it may be there once", "form", `{media: Form, fields: {to: {glob: "*@acme.example", repeated: true}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /form with Content-Type: application/x-www-form-urlencoded and the body to=%40acme.example&to=%40acme.example`},
		"another file":      {"it is no image", "upload", `{media: Multipart, parts: {file: {filename: {glob: "*.svg"}, media: [image/png], maxBytes: 10}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /upload with Content-Type: multipart/form-data;boundary=a and the body --a`},
		"a larger file":     {"it is bounded", "upload", `{media: Multipart, parts: {file: {filename: {glob: "*.png"}, media: [image/png]}}}`, "", v1alpha1.ReasonNotWithinCeiling, `rest POST /upload with Content-Type: multipart/form-data;boundary=a and the body --a`},

		"never that model":       {"it is not granted", "open", `{fields: {model: {in: [small, medium]}}}`, `{fields: {model: {equals: large}}}`, "", ""},
		"never that field":       {"it is not listed", "open", `{fields: {model: {in: [small, medium]}}}`, `{fields: {"tools[].name": {type: String}}}`, "", ""},
		"never a form":           {"a document is none", "open", `{fields: {a: {type: String}}}`, `{media: Form}`, "", ""},
		"never, of elements":     {"one that matches is enough", "open", `{fields: {"messages[].role": {in: [user, system]}}}`, `{fields: {"messages[].role": {equals: system}}}`, v1alpha1.ReasonNeverViolated, `rest POST /open with Content-Type: application/json and the body {"messages": [{"role": "system"}]}`},
		"never, unlisted":        {"every key is admitted", "open", `{unlisted: Allow}`, `{fields: {admin: {equals: "true", type: Boolean}}}`, v1alpha1.ReasonNeverViolated, `rest POST /open with Content-Type: application/json and the body {"admin": true}`},
		"never, opaque":          {"it may hold that", "raw", `{media: Opaque}`, `{fields: {admin: {type: Any}}}`, v1alpha1.ReasonNeverViolated, `rest POST /raw with`},
		"never, in a form":       {"its fields are named too", "form", `{media: Form, fields: {to: {glob: "*@acme.example"}}}`, `{fields: {to: {glob: "ceo@*"}}}`, v1alpha1.ReasonNeverViolated, `rest POST /form with Content-Type: application/x-www-form-urlencoded and the body to=ceo%40acme.example`},
		"never that part":        {"it is granted", "upload", `{media: Multipart, parts: {note: {value: {maxLength: 5}}}}`, `{parts: {note: {value: {glob: "*!*"}}}}`, v1alpha1.ReasonNeverViolated, `rest POST /upload with Content-Type: multipart/form-data;boundary=a and the body --a`},
		"never but these fields": {"others may be there", "open", `{fields: {a: {type: String}, b: {type: String}}}`, `{unlisted: Deny, fields: {a: {equals: x}}}`, v1alpha1.ReasonNeverViolated, `rest POST /open with Content-Type: application/json and the body {"a": "x"}`},
	}
	up := upstreamOf(t, upstreamText+under)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := provedText + "  grants:\n  - {name: it, http: {endpoint: rest, methods: [POST], paths: [/" + test.path + "]}, body: " + test.body + "}\n"
			if test.never != "" {
				text += "  never:\n  - {http: {}, body: " + test.never + "}\n"
			}
			_, err := Credential(credentialOf(t, text), up)
			if test.want == "" {
				if err != nil {
					t.Errorf("%s: %v", test.why, err)
				}
				return
			}
			refusedFor(t, test.why, err, test.reason, `spec.grants[0]: "it": it allows `+test.want)
		})
	}
}

// TestNeverRefuses: an entry that says less than its author thinks would prove
// less.
func TestNeverRefuses(t *testing.T) {
	tests := map[string]struct{ why, never, reason, want string }{
		"no kind":            {"nothing would be named", `{where: {a: {equals: b}}}`, v1alpha1.ReasonInvalid, "spec.never[0]: set http"},
		"unknown endpoint":   {"it would never hold", `{http: {endpoint: nowhere}}`, v1alpha1.ReasonInvalid, `spec.never[0].http.endpoint: "nowhere": name an endpoint`},
		"undeclared capture": {"it would bind nothing", `{http: {paths: ["/a/{b}"]}, where: {c: {equals: d}}}`, v1alpha1.ReasonInvalid, "spec.never[0].where.c: "},
		"no path":            {"it would bind nothing", `{http: {}, where: {c: {equals: d}}}`, v1alpha1.ReasonInvalid, "spec.never[0].where.c: "},
		"undeclared set":     {"it would be lost", `{http: {}, query: {params: {a: {set: none}}}}`, v1alpha1.ReasonInvalid, `spec.never[0].query.params[a].set: "none": `},
		"not RE2":            {"nobody could tell what it names", `{http: {}, query: {params: {a: {pattern: "("}}}}`, v1alpha1.ReasonInvalid, "spec.never[0].query.params.a.pattern: "},
		"header twice":       {"two spellings, two matchers", `{http: {}, headers: {X-A: {equals: a}, x-a: {equals: b}}}`, v1alpha1.ReasonInvalid, `spec.never[0].headers[x-a]: "x-a": `},
		"field path":         {"no document has it", `{http: {}, body: {fields: {a..b: {equals: b}}}}`, v1alpha1.ReasonInvalid, `spec.never[0].body.fields: "a..b": name a field`},
		"part":               {"it bounds nothing", `{http: {}, body: {parts: {a: {value: {}}}}}`, v1alpha1.ReasonInvalid, "spec.never[0].body.parts.a.value: bound the value"},
		"grpc endpoint":      {"it would never hold", `{grpc: {endpoint: nowhere}}`, v1alpha1.ReasonInvalid, `spec.never[0].grpc.endpoint: "nowhere": name an endpoint`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sc := credentialOf(t, provedText+"  grants:\n  - {name: it, http: {endpoint: rest, methods: [GET], paths: [/x]}}\n  never:\n  - "+test.never+"\n")
			_, err := Credential(sc, upstreamOf(t, upstreamText))
			refusedFor(t, test.why, err, test.reason, test.want)
		})
	}
}

// TestProofsComeLast: what has to be corrected first is told first.
func TestProofsComeLast(t *testing.T) {
	sc := credentialOf(t, provedText+"  grants:\n  - {name: it, http: {endpoint: rest, methods: [DELETE], paths: [x]}}\n  never:\n  - {http: {}}\n")
	_, err := Credential(sc, upstreamOf(t, upstreamText+ceilingText))
	var refused *Refused
	if !errors.As(err, &refused) || refused.Reason != v1alpha1.ReasonInvalid || len(refused.Problems) != 1 {
		t.Errorf("got %v", err)
	}
}
