package explain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const scopeText = `
- name: read
  endpoint: rest
  http: {methods: [GET], paths: ["/repos/{repo=*/*}/issues", "/repos/{repo=*/*}/issues/{number}"]}
  where: {repo: {in: [acme/web, acme/docs]}}
  query: {params: {state: {in: [open, closed]}}}
- name: tidy
  endpoint: rest
  http: {methods: [DELETE], paths: ["/repos/{repo=*/*}/git/refs/heads/{branch...}"]}
  where: {repo: {in: [acme/docs]}, branch: {glob: "agent/**", except: ["agent/keep/**"]}}
- name: chat
  endpoint: rest
  http: {methods: [POST], paths: [/chat]}
  headers: {X-Trace: {required: true, maxLength: 4}}
  body: {media: JSON, maxBytes: 100, fields: {model: {equals: small}}}
`

func credential(t *testing.T) *bundle.Credential {
	t.Helper()
	c := &bundle.Credential{Endpoints: []bundle.Endpoint{{Name: "rest", Profile: scope.Profile{SlashInTail: true}}}}
	if err := yaml.UnmarshalStrict([]byte(scopeText), &c.Grants); err != nil {
		t.Fatal(err)
	}
	c.Ceiling = &bundle.Ceiling{Grants: []scope.Grant{{
		Name: "all", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "POST"}, Paths: []string{"/{all...}"}},
		Query: scope.Query{UnlistedAllow: true}, Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1000},
	}}}
	return c
}

func TestDecide(t *testing.T) {
	trace := []scope.Field{{Name: "X-Trace", Value: "a"}, {Name: "Content-Type", Value: "application/json"}, {Name: "X-Other", Value: "b"}}
	for name, test := range map[string]struct {
		why  string
		q    Request
		want Answer
	}{
		"allowed": {"one grant has it", Request{Method: "GET", Target: "/repos/acme/docs/issues?state=open"},
			Answer{Allowed: true, Grants: []string{"read"}, Forwarded: "/repos/acme/docs/issues?state=open"}},
		"a body": {"it was judged, and a header is dropped", Request{Method: "POST", Target: "/chat", Fields: trace, Body: []byte(`{"model": "small"}`)},
			Answer{Allowed: true, Grants: []string{"chat"}, Forwarded: "/chat", Dropped: []string{"X-Other"}}},
		"another body": {"the field is named", Request{Method: "POST", Target: "/chat", Fields: trace, Body: []byte(`{"model": "large"}`)},
			Answer{Reason: scope.ParameterRefused, Detail: "the body field model has a value that is not allowed", Nearest: []Near{{Grant: "chat", Missing: []string{"the body field model has a value that is not allowed"}}}}},
		"no body": {"it is not known", Request{Method: "POST", Target: "/chat", Fields: trace, AnyBody: true},
			Answer{Reason: scope.ParameterRefused, Detail: "everything but the body passes: give the body to have it judged", Nearest: []Near{{Grant: "chat", Missing: []string{"everything but the body passes: give the body to have it judged"}}}}},
		"another repository": {"the capture is named", Request{Method: "GET", Target: "/repos/acme/api/issues"},
			Answer{Reason: scope.OutOfScope, Detail: "no grant allows this method and path", Nearest: []Near{{Grant: "read", Missing: []string{"the capture repo of the path is not one of acme/web, acme/docs"}}}}},
		"another method": {"the method is named", Request{Method: "PUT", Target: "/repos/acme/docs/issues"},
			Answer{Reason: scope.OutOfScope, Detail: "no grant allows this method and path", Nearest: []Near{{Grant: "read", Missing: []string{"the method PUT is none of GET"}}}}},
		"another branch": {"the hole is named", Request{Method: "DELETE", Target: "/repos/acme/docs/git/refs/heads/agent/keep/x"},
			Answer{Reason: scope.OutOfScope, Detail: "no grant allows this method and path", Nearest: []Near{{Grant: "tidy", Missing: []string{"the capture branch of the path is not like the glob agent/**, not like agent/keep/**"}}}}},
		"another path": {"where it leaves the path is told", Request{Method: "GET", Target: "/repos/acme/docs/pulls"},
			Answer{Reason: scope.OutOfScope, Detail: "no grant allows this method and path", Nearest: []Near{{Grant: "read", Missing: []string{`the path leaves /repos/{repo=*/*}/issues at "pulls"`}}}}},
		"a longer path": {"it does not end there", Request{Method: "GET", Target: "/repos/acme/docs/issues/1/comments"},
			Answer{Reason: scope.OutOfScope, Detail: "no grant allows this method and path", Nearest: []Near{{Grant: "read", Missing: []string{`the path leaves /repos/{repo=*/*}/issues/{number} at "comments"`}}}}},
		"a query": {"its value is named", Request{Method: "GET", Target: "/repos/acme/docs/issues?state=all"},
			Answer{Reason: scope.ParameterRefused, Detail: "the value of the query name state is not allowed", Nearest: []Near{{Grant: "read", Missing: []string{"the value of the query name state is not allowed"}}}}},
		"a header": {"it is required", Request{Method: "POST", Target: "/chat"},
			Answer{Reason: scope.ParameterRefused, Detail: "the header X-Trace is required", Nearest: []Near{{Grant: "chat", Missing: []string{"the header X-Trace is required"}}}}},
		"beyond": {"no grant is at fault", Request{Method: "DELETE", Target: "/repos/acme/docs/git/refs/heads/agent/x"},
			Answer{Reason: scope.BeyondCeiling, Detail: "the owner of the upstream does not allow this request to any agent", Nearest: []Near{{Grant: "tidy"}}}},
		"malformed": {"no grant is asked", Request{Method: "GET", Target: "/repos/acme/../x"},
			Answer{Reason: scope.Malformed, Detail: "the path has a dot segment"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decide(credential(t), test.q)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Endpoint = "rest"
			if len(got.Nearest) > 1 {
				got.Nearest = got.Nearest[:1]
			}
			for i := range got.Nearest {
				got.Nearest[i].far = 0
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Near{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	c := credential(t)
	c.Endpoints = append(c.Endpoints, bundle.Endpoint{Name: "files"})
	if _, err := Decide(c, Request{Method: "GET", Target: "/"}); err == nil || !strings.Contains(err.Error(), "rest, files") {
		t.Errorf("which endpoint is meant is a guess: %v", err)
	}
	if a, err := Decide(c, Request{Endpoint: "files", Method: "GET", Target: "/chat"}); err != nil || a.Allowed || len(a.Nearest) > 0 {
		t.Errorf("a grant of another endpoint is near: %+v, %v", a, err)
	}
}

// TestLargeBody: what the proxy refuses for its length is not told to pass.
func TestLargeBody(t *testing.T) {
	for _, media := range []scope.Media{scope.Opaque, scope.JSON} {
		c := credential(t)
		c.Grants = []scope.Grant{{
			Name: "raw", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/raw"}},
			Body: &scope.Body{Media: media, MaxBytes: 4, UnlistedAllow: media == scope.JSON},
		}}
		c.Ceiling = nil
		for body, allowed := range map[string]bool{"1234": true, "12345": false} {
			a, err := Decide(c, Request{Method: "POST", Target: "/raw", Body: []byte(body), Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}})
			if err != nil || a.Allowed != allowed || !allowed && (a.Reason != scope.TooLarge || a.Detail == "" || len(a.Nearest[0].Missing) == 0) {
				t.Errorf("%s of %d bytes: %+v, %v", media, len(body), a, err)
			}
		}
	}
}

func TestMatcher(t *testing.T) {
	ptr := func(s string) *string { return &s }
	number := func(n int) *int { return &n }
	for want, m := range map[string]scope.Matcher{
		`"a"`:                             {Equals: ptr("a")},
		"one of a, b, c, d, e and 1 more": {In: []string{"a", "b", "c", "d", "e", "f"}},
		"any string":                      {Type: scope.String},
		"of type Boolean":                 {Type: scope.Boolean},
		"a number from 1 to 2":            {Min: ptr("1"), Max: ptr("2")},
		"a number from 1 on":              {Min: ptr("1")},
		"a number up to 2":                {Max: ptr("2")},
		"a Path, under docs":              {Kind: scope.Path, Under: "docs"},
		"at least 1 characters, at most 2 characters, not like a* or b":     {MinLength: number(1), MaxLength: number(2), Except: []string{"a*", "b"}},
		"like the pattern [a-z]+, like the glob acme/*, in any letter case": {Pattern: ptr("[a-z]+"), Set: &scope.Matcher{Glob: ptr("acme/*"), FoldASCII: true}},
		"at most 3 elements": {MaxItems: number(3)},
		"absent":             {Forbidden: true},
	} {
		if got := Matcher(&m); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
