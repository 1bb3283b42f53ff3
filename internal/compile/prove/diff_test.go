package prove

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

var github = scope.Profile{
	SlashInTail: true, FoldPaths: []string{"/repos/{owner}/{repo}", "/orgs/{org}"},
	ReserveQuery: []string{"client_secret"}, ForwardHeaders: []string{"X-GitHub-Api-Version"},
}

func endpoints(p scope.Profile) []bundle.Endpoint {
	return []bundle.Endpoint{{Name: "rest", URL: "https://api.example", Profile: p}}
}

// parseGrants reads grants as a list in YAML. Endpoint and names may be left
// out.
func parseGrants(t testing.TB, text string) []scope.Grant {
	t.Helper()
	var list []scope.Grant
	if err := yaml.UnmarshalStrict([]byte(text), &list); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for i := range list {
		list[i].Endpoint = "rest"
		if list[i].Name == "" {
			list[i].Name = fmt.Sprintf("g%d", i)
		}
		for _, problem := range list[i].Check(github) {
			t.Fatalf("%v in\n%s", problem, text)
		}
	}
	return list
}

func scopeOf(p scope.Profile, grants []scope.Grant) Scope {
	return Scope{Endpoints: endpoints(p), Grants: grants}
}

// TestDiff has changes as a reviewer meets them.
func TestDiff(t *testing.T) {
	const read = `- {http: {methods: [GET], paths: ["/repos/{repo=*/*}/issues"]}, where: {repo: {in: [acme/web, acme/docs]}}}`
	for name, test := range map[string]struct {
		why, from, to  string
		want           Verdict
		added, removed string // witnesses; empty: none
	}{
		"nothing": {"the same text", read, read, Same, "", ""},
		"another method": {"it was not granted", read, strings.Replace(read, "[GET]", "[GET, DELETE]", 1),
			Widened, "rest DELETE /repos/acme/web/issues", ""},
		"a value less": {"one repository is gone", read, strings.Replace(read, "acme/web, ", "", 1),
			Narrowed, "", "rest GET /repos/acme/web/issues"},
		"a value for another": {"this is no narrowing", read, strings.Replace(read, "acme/web", "acme/api", 1),
			Both, "rest GET /repos/acme/api/issues", "rest GET /repos/acme/web/issues"},
		"values as a pattern": {"another spelling", read, strings.Replace(read, "in: [acme/web, acme/docs]", `pattern: "acme/(?:docs|web)"`, 1), Same, "", ""},
		"split by value": {"two grants for one", read,
			strings.Replace(read, "acme/web, ", "", 1) + "\n" + strings.Replace(read, ", acme/docs", "", 1), Same, "", ""},
		"a grant in the shadow": {"it allows nothing more", read,
			read + "\n" + strings.Replace(read, "acme/web, ", "", 1), Same, "", ""},
		"where removed": {"any repository", read, `- {http: {methods: [GET], paths: ["/repos/{repo=*/*}/issues"]}}`,
			Widened, "rest GET /repos/b/a/issues", ""},
		"two captures for one": {"the same paths", `- {http: {methods: [GET], paths: ["/repos/{repo=*/*}"]}}`,
			`- {http: {methods: [GET], paths: ["/repos/{owner}/{name}"]}}`, Same, "", ""},
		"a tail for captures": {"%2F may stand in a tail alone", `- {http: {methods: [GET], paths: ["/raw/{rest...}"]}}`,
			`- {http: {methods: [GET], paths: ["/raw/{a}", "/raw/{a}/{rest...}"]}}`, Narrowed, "", "rest GET /raw/a%2Fa"},
		"slash at the end": {"it is another path", `- {http: {methods: [GET], paths: [/a]}}`, `- {http: {methods: [GET], paths: [/a/]}}`,
			Both, "rest GET /a/", "rest GET /a"},
		"alternates": {"the same paths", `- {http: {methods: [GET], paths: ["/{a,b}/x"]}}`, `- {http: {methods: [GET], paths: [/a/x, /b/x]}}`, Same, "", ""},
		"what the profile folds": {"there is one spelling of it", `- {http: {methods: [GET], paths: [/repos/Acme/Docs]}}`,
			`- {http: {methods: [GET], paths: ["/repos/{r=*/*}"]}, where: {r: {in: [ACME/docs]}}}`, Same, "", ""},
		"fold": {"other spellings are taken", `- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {equals: ab}}}`,
			`- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {equals: ab, foldASCII: true}}}`, Widened, "rest GET /x/aB", ""},
		"no more fold": {"what was put into lower case reaches the upstream as it came",
			`- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {glob: "*", foldASCII: true}}}`,
			`- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {glob: "*"}}}`, Both, "rest GET /x/A", "rest GET /x/A"},
		"except": {"a hole", `- {http: {methods: [GET], paths: ["/x/{b...}"]}, where: {b: {glob: "**"}}}`,
			`- {http: {methods: [GET], paths: ["/x/{b...}"]}, where: {b: {glob: "**", except: ["release-*", "release-*/**"]}}}`,
			Narrowed, "", "rest GET /x/release-"},
		"numbers": {"one number more", `- {http: {methods: [GET], paths: [/x]}, query: {params: {page: {min: "1", max: "99"}}}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {page: {min: "1", max: "100"}}}}`, Widened, "rest GET /x?page=100", ""},
		"numbers as a pattern": {"another spelling", `- {http: {methods: [GET], paths: [/x]}, query: {params: {page: {min: "1", max: "99"}}}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {page: {pattern: "[1-9][0-9]?"}}}}`, Same, "", ""},
		"a long length": {"one character more", `- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {maxLength: 65536}}}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {maxLength: 65537}}}}`, Widened, "rest GET /x?q=a+... (65542 characters)", ""},
		"required": {"without it nothing passes", `- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {equals: a}}}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {equals: a, required: true}}}}`, Narrowed, "", "rest GET /x"},
		"repeated": {"it may be there twice", `- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {equals: a}}}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {equals: a, repeated: true}}}}`, Widened, "rest GET /x?q=a&q=a", ""},
		"one value of several": {"some list of values holds it", `- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {in: [a], repeated: true}}}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {in: [a, b], repeated: true}}}}`, Widened, "rest GET /x?q=b", ""},
		"lists of both": {"a list of one each was refused",
			"- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {in: [a], repeated: true}}}}\n- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {in: [b], repeated: true}}}}",
			`- {http: {methods: [GET], paths: [/x]}, query: {params: {q: {in: [a, b], repeated: true}}}}`, Widened, "rest GET /x?q=b&q=a", ""},
		"unlisted": {"any other name", `- {http: {methods: [GET], paths: [/x]}}`, `- {http: {methods: [GET], paths: [/x]}, query: {unlistedAllow: true}}`,
			Widened, "rest GET /x?b=a", ""},
		"listed beside unlisted": {"other spellings of it are refused from now on", `- {http: {methods: [GET], paths: [/x]}, query: {unlistedAllow: true}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {unlistedAllow: true, params: {q: {type: String, repeated: true}}}}`, Narrowed, "", "rest GET /x?Q=a"},
		"reserved": {"unlisted does not admit it", `- {http: {methods: [GET], paths: [/x]}, query: {unlistedAllow: true}}`,
			`- {http: {methods: [GET], paths: [/x]}, query: {unlistedAllow: true, params: {client_secret: {type: String}}}}`, Widened, "rest GET /x?client_secret=", ""},
		"a header of its own": {"it goes upstream, and is judged", `- {http: {methods: [GET], paths: [/x]}}`,
			`- {http: {methods: [GET], paths: [/x]}, headers: {X-Sudo: {equals: root}}}`, Both, "rest GET /x with X-Sudo: root", "rest GET /x with X-Sudo: a"},
		"an ordinary header": {"it went upstream before", `- {http: {methods: [GET], paths: [/x]}}`,
			`- {http: {methods: [GET], paths: [/x]}, headers: {Accept: {equals: a/b}}}`, Narrowed, "", "rest GET /x with Accept: "},
		"an opaque body": {"none was allowed", `- {http: {methods: [POST], paths: [/x]}}`, `- {http: {methods: [POST], paths: [/x]}, body: {media: Opaque, maxBytes: 10}}`,
			Widened, "rest POST /x with a body", ""},
		"a longer body": {"it was bounded", `- {http: {methods: [POST], paths: [/x]}, body: {media: Opaque, maxBytes: 10}}`,
			`- {http: {methods: [POST], paths: [/x]}, body: {media: Opaque, maxBytes: 20}}`, Widened, "rest POST /x with a body of 11 bytes", ""},
		"a document": {"one field more, and it has to be there", `- {http: {methods: [POST], paths: [/x]}, body: {media: JSON, maxBytes: 100, fields: {a: {type: String}}}}`,
			`- {http: {methods: [POST], paths: [/x]}, body: {media: JSON, maxBytes: 100, fields: {a: {type: String}, b: {type: Integer, required: true}}}}`,
			Both, `rest POST /x with Content-Type: application/json and the body {"b": 0}`, `rest POST /x, rest POST /x with Content-Type: application/json and the body {}`},
		"a document in other words": {"an element is what it was", `- {http: {methods: [POST], paths: [/x]}, body: {media: JSON, maxBytes: 100, fields: {"a[]": {in: [u, v]}}}}`,
			`- {http: {methods: [POST], paths: [/x]}, body: {media: JSON, maxBytes: 100, fields: {a: {type: Array}, "a[]": {pattern: "[uv]"}}}}`, Same, "", ""},
		"a longer document": {"spaces may stand behind it", `- {http: {methods: [POST], paths: [/x]}, body: {media: JSON, maxBytes: 10, fields: {a: {type: String}}}}`,
			`- {http: {methods: [POST], paths: [/x]}, body: {media: JSON, maxBytes: 20, fields: {a: {type: String}}}}`,
			Widened, `rest POST /x with Content-Type: application/json and the body {} and spaces up to 11 bytes`, ""},
		"a limit": {"it may be asked more often", `- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}`,
			`- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 20, per: 60000000000}}}`, Widened, "rest GET /x, 11 times at once", ""},
		"a limit in the long run": {"as often at once, and sooner again", `- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}`,
			`- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 30000000000}}}`, Widened, "rest GET /x, more than 600 times an hour", ""},
		"a limit removed": {"nothing bounds it", `- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}`,
			`- {http: {methods: [GET], paths: [/x]}}`, Widened, "rest GET /x, 11 times at once", ""},
		"a limit of another grant": {"it lets pass what it let pass", "- {http: {methods: [GET], paths: [/x]}}\n- {http: {methods: [GET], paths: [/y]}, limits: {requests: {count: 10, per: 60000000000}}}",
			"- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 5, per: 60000000000}}}\n- {http: {methods: [GET], paths: [/x, /y]}, limits: {requests: {count: 10, per: 60000000000}}}", Narrowed, "", "rest GET /x, 11 times at once"},
		"a limit for two": {"together they are two limits", `- {http: {methods: [GET, POST], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}`,
			"- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}\n- {http: {methods: [POST], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}", Undecided, "", ""},
		"more of the answer": {"another field is seen", `- {http: {methods: [GET], paths: [/x]}, response: {keep: [a.b]}}`,
			`- {http: {methods: [GET], paths: [/x]}, response: {keep: [a.b, "c[].d"]}}`, Widened, "rest GET /x, and sees c[].d of the answer", ""},
		"all of the answer": {"whatever it is", `- {http: {methods: [GET], paths: [/x]}, response: {keep: [a]}}`,
			`- {http: {methods: [GET], paths: [/x]}}`, Widened, "rest GET /x, and sees all of the answer", ""},
		"less of the answer": {"what is below is kept with it", `- {http: {methods: [GET], paths: [/x]}, response: {keep: [a, a.b]}}`,
			`- {http: {methods: [GET], paths: [/x]}, response: {keep: [a.b]}}`, Narrowed, "", "rest GET /x, and sees a of the answer"},
		"the same of the answer": {"two grants leave what each leaves", `- {http: {methods: [GET], paths: [/x]}, response: {keep: [a, b]}}`,
			"- {http: {methods: [GET], paths: [/x]}, response: {keep: [a]}}\n- {http: {methods: [GET], paths: [/x]}, response: {keep: [b]}}", Same, "", ""},
		"several together": {"one has limits left, and the other keeps all of the answer", `- {http: {methods: [GET], paths: [/x]}}`,
			"- {http: {methods: [GET], paths: [/x]}, response: {keep: [a]}}\n- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}}", Same, "", ""},
		"two limits for one": {"what they let pass together is not worked out", `- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 20, per: 60000000000}}}`,
			"- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 5, per: 60000000000}}}\n- {http: {methods: [GET], paths: [/x]}, limits: {requests: {count: 10, per: 60000000000}}, response: {keep: [a]}}", Undecided, "", "rest GET /x, 11 times at once"},
		"nothing at all": {"no segment is both", `- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {equals: b, in: [c]}}}`,
			`- {http: {methods: [GET], paths: ["/y/{a}"]}, where: {a: {glob: "b*", pattern: "c.*"}}}`, Same, "", ""},
		"too much work": {"nobody knows", `- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {pattern: "(?:a|b)*a(?:a|b){30}"}}}`,
			`- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {pattern: "(?:b|a)*a(?:a|b){30}"}}}`, Undecided, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := Diff(scopeOf(github, parseGrants(t, test.from)), scopeOf(github, parseGrants(t, test.to)))
			if d.Verdict != test.want {
				t.Errorf("%s: got %s, want %s", test.why, d.Verdict, test.want)
			}
			if added, removed := witness(d.Added), witness(d.Removed); added != test.added || removed != test.removed {
				t.Errorf("%s:\nadded   %q, want %q\nremoved %q, want %q", test.why, added, test.added, removed, test.removed)
			}
		})
	}
}

var long = regexp.MustCompile("a{20,}")

func witness(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, long.ReplaceAllString(c.Witness.String(), "a+"))
	}
	return strings.Join(all, ", ")
}

// TestDiffOfEndpoints: the same grants mean something else at another place.
func TestDiffOfEndpoints(t *testing.T) {
	grants := parseGrants(t, `- {http: {methods: [GET], paths: [/x]}}`)
	elsewhere := endpoints(github)
	elsewhere[0].URL = "https://other.example"
	for name, test := range map[string]struct {
		why  string
		to   Scope
		want Verdict
	}{
		"another url":      {"what is allowed there was not", Scope{Endpoints: elsewhere, Grants: grants}, Both},
		"another profile":  {"what is equal to what has changed", scopeOf(scope.Profile{}, grants), Undecided},
		"no such endpoint": {"a grant of it is not known", Scope{Grants: grants}, Undecided},
		"no grants":        {"all is gone", scopeOf(github, nil), Narrowed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Diff(scopeOf(github, grants), test.to).Verdict; got != test.want {
				t.Errorf("%s: got %s, want %s", test.why, got, test.want)
			}
		})
	}
}

// TestOtherwise tells a request that was refused from one that was forwarded
// in another way.
func TestOtherwise(t *testing.T) {
	fold := parseGrants(t, `- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {glob: "*", foldASCII: true}}}`)
	plain := parseGrants(t, `- {http: {methods: [GET], paths: ["/x/{a}"]}, where: {a: {glob: "*"}}}`)
	other := parseGrants(t, `- {http: {methods: [GET], paths: ["/y/{a}"]}}`)
	if d := Diff(scopeOf(github, fold), scopeOf(github, plain)); len(d.Added) != 1 || !d.Added[0].Otherwise {
		t.Errorf("it was forwarded in lower case before: %+v", d.Added)
	}
	if d := Diff(scopeOf(github, fold), scopeOf(github, other)); len(d.Added) != 1 || d.Added[0].Otherwise {
		t.Errorf("it was refused before: %+v", d.Added)
	}
}

// TestTotal: the limit of all grants together is compared too.
func TestTotal(t *testing.T) {
	grants := parseGrants(t, `- {http: {methods: [GET], paths: [/x]}}`)
	with := func(r *scope.Rate) Scope { return Scope{Endpoints: endpoints(github), Grants: grants, Requests: r} }
	minute := func(n int) *scope.Rate { return &scope.Rate{Count: n, Per: time.Minute} }
	for name, test := range map[string]struct {
		why      string
		from, to *scope.Rate
		want     Verdict
	}{
		"raised":      {"more pass", minute(10), minute(20), Widened},
		"removed":     {"any number passes", minute(10), nil, Widened},
		"set":         {"fewer pass", nil, minute(10), Narrowed},
		"the same":    {"as many pass", minute(10), minute(10), Same},
		"spread out":  {"more at once, fewer in the long run", minute(10), &scope.Rate{Count: 20, Per: time.Hour}, Both},
		"no rounding": {"one in a million", &scope.Rate{Count: 999999, Per: time.Hour}, &scope.Rate{Count: 1000000, Per: time.Hour}, Widened},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Diff(with(test.from), with(test.to)).Verdict; got != test.want {
				t.Errorf("%s: got %s, want %s", test.why, got, test.want)
			}
		})
	}
}
