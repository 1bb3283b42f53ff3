package compile

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

func TestExamples(t *testing.T) {
	const headers = `
  - name: tenant
    http: {endpoint: files, methods: [GET], paths: [/tenant]}
    headers: {X-Tenant: {required: true, in: [acme]}, X-Any: {maxLength: 3}}
  - name: trace
    http: {endpoint: files, methods: [GET], paths: [/trace]}
    headers: {X-Trace: {required: true, pattern: "q[0-9]{7}"}}
  - name: impossible
    http: {endpoint: files, methods: [GET], paths: [/impossible]}
    headers: {X-Tenant: {required: true, equals: a, in: [b]}}
  - name: doubling
    http: {endpoint: files, methods: [GET], paths: [/doubling]}
    headers: {X-Tenant: {required: true, pattern: "(?:a|b)*a(?:a|b){40}", except: ["*"]}}
  - name: body
    http: {endpoint: files, methods: [POST], paths: [/body]}
    body: {fields: {a.b: {required: true, type: Integer, min: 7}, c: {required: true, glob: x/y}, "d[].e": {required: true, type: Boolean}, f: {required: true, type: Object}}}
  - name: form
    http: {endpoint: files, methods: [POST], paths: [/form]}
    body: {media: Form, fields: {a: {required: true, in: ["b"]}}}
  - name: parts
    http: {endpoint: files, methods: [POST], paths: [/parts]}
    body: {media: Multipart, parts: {a: {required: true, value: {in: [b]}}, f: {required: true, filename: {required: true, glob: x}}}}
  - name: nobody
    http: {endpoint: files, methods: [POST], paths: [/nobody]}
    body: {fields: {a: {required: true, pattern: "q[0-9]{7}"}}}
`
	tests := map[string]struct {
		why, list, example string
		reason, want       string // empty: it holds
	}{
		"allowed":            {"it is granted", "allow", "rest GET /repos/acme/docs", "", ""},
		"folded":             {"the profile's equivalences hold here too", "allow", "rest GET /repos/ACME/Docs/pulls?page=2", "", ""},
		"with a body":        {"without one it passes", "allow", "files PUT /blobs/x", "", ""},
		"with a header":      {"some headers pass", "allow", "files GET /tenant", "", ""},
		"with fields":        {"some body passes", "allow", "files POST /body", "", ""},
		"with form fields":   {"some form passes", "allow", "files POST /form", "", ""},
		"with parts":         {"some parts pass", "allow", "files POST /parts", "", ""},
		"not denied, body":   {"some body passes", "deny", "files POST /body", v1alpha1.ReasonExampleFailed, `spec.examples.deny[0]: "files POST /body": it is allowed by the grant body`},
		"with a pattern":     {"some body passes", "allow", "files POST /nobody", "", ""},
		"denied":             {"nothing grants it", "deny", "rest DELETE /repos/acme/docs", "", ""},
		"denied query":       {"the query does not pass", "deny", "rest GET /repos/acme/docs?page=0", "", ""},
		"malformed":          {"it never passes", "deny", "rest GET /repos/acme/docs/../web", "", ""},
		"other endpoint":     {"grants of one endpoint say nothing of another", "deny", "files GET /repos/acme/docs", "", ""},
		"not allowed":        {"the author is told why", "allow", "rest GET /repos/acme/web", v1alpha1.ReasonExampleFailed, `spec.examples.allow[0]: "rest GET /repos/acme/web": it is refused, since no grant allows`},
		"not allowed query":  {"and what to look at", "allow", "rest GET /repos/acme/docs?page=0", v1alpha1.ReasonExampleFailed, `spec.examples.allow[0]: "rest GET /repos/acme/docs?page=0": it is refused, since the value of the query name page`},
		"not allowed at all": {"a malformed request never passes", "allow", "rest GET /repos//docs", v1alpha1.ReasonExampleFailed, `spec.examples.allow[0]: "rest GET /repos//docs": it is refused, since`},
		"not denied":         {"the grant is named", "deny", "files DELETE /blobs/x", v1alpha1.ReasonExampleFailed, `spec.examples.deny[0]: "files DELETE /blobs/x": it is allowed by the grant put`},
		"not denied, header": {"some headers pass", "deny", "files GET /tenant", v1alpha1.ReasonExampleFailed, `spec.examples.deny[0]: "files GET /tenant": it is allowed by the grant tenant`},
		"a pattern":          {"some header passes", "allow", "files GET /trace", "", ""},
		"impossible":         {"no header passes", "deny", "files GET /impossible", "", ""},
		"not possible":       {"the author is told why", "allow", "files GET /impossible", v1alpha1.ReasonExampleFailed, `spec.examples.allow[0]: "files GET /impossible": it is refused, since no header or body passes that the grant impossible requires`},
		"not known":          {"a guess would be no answer", "allow", "files GET /doubling", v1alpha1.ReasonUnsupported, `spec.examples.allow[0]: "files GET /doubling": whether the headers and the body`},
		"not known either":   {"nor is it in the other list", "deny", "files GET /doubling", v1alpha1.ReasonUnsupported, `spec.examples.deny[0]: "files GET /doubling": whether the headers and the body`},
		"which endpoint":     {"there are two", "allow", "GET /repos/acme/docs", v1alpha1.ReasonInvalid, `spec.examples.allow[0]: "GET /repos/acme/docs": write it as`},
		"no such endpoint":   {"a typo must not pass for a denial", "deny", "git GET /user", v1alpha1.ReasonInvalid, `spec.examples.deny[0]: "git GET /user": write it as`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sc := credentialOf(t, strings.TrimRight(credentialText, "\n")+headers)
			sc.Spec.Examples = &v1alpha1.Examples{}
			if test.list == "allow" {
				sc.Spec.Examples.Allow = []string{test.example}
			} else {
				sc.Spec.Examples.Deny = []string{test.example}
			}
			_, err := Credential(sc, upstreamOf(t, upstreamText))
			if test.reason != "" {
				refusedFor(t, test.why, err, test.reason, test.want)
			} else if err != nil {
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}
