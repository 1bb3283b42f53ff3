package scope_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

func ptr[T any](v T) *T { return &v }

// github is a profile with every equivalence.
var github = scope.Profile{
	SlashInTail:    true,
	FoldPaths:      []string{"/repos/{owner}/{repo}"},
	RefuseHeaders:  []string{"X-Refused"},
	ReserveQuery:   []string{"client_secret"},
	ForwardHeaders: []string{"X-GitHub-Api-Version"},
}

func mustCompile(tb testing.TB, p scope.Profile, grants []scope.Grant, ceiling *[]scope.Grant) *scope.Policy {
	tb.Helper()
	policy, err := scope.Compile(p, grants, ceiling)
	if err != nil {
		tb.Fatal(err)
	}
	return policy
}

func get(name string, paths ...string) scope.Grant {
	return scope.Grant{Name: name, HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: paths}}
}

func TestNothingAllowsByDefault(t *testing.T) {
	good := parse(t, "/a", nil)
	empty := mustCompile(t, scope.Profile{}, nil, nil)
	for name, test := range map[string]struct {
		p    *scope.Policy
		r    *scope.Request
		want scope.Reason
	}{
		"nil policy":   {nil, good, scope.OutOfScope},
		"zero policy":  {&scope.Policy{}, good, scope.OutOfScope},
		"no grants":    {empty, good, scope.OutOfScope},
		"nil request":  {empty, nil, scope.Malformed},
		"zero request": {mustCompile(t, scope.Profile{}, []scope.Grant{get("root", "/", "/{a...}")}, nil), &scope.Request{}, scope.Malformed},
		"no ceiling":   {mustCompile(t, scope.Profile{}, []scope.Grant{get("a", "/a")}, &[]scope.Grant{}), good, scope.BeyondCeiling},
	} {
		t.Run(name, func(t *testing.T) {
			d := test.p.Decide(test.r)
			if d.Verdict != scope.Deny || d.Reason != test.want || d.Detail == "" {
				t.Errorf("got %+v", d)
			}
			for _, d := range []*scope.Decision{nil, {}, &d, {Verdict: scope.Allow}} {
				if target := scope.AppendTarget(nil, "/base", good, d); len(target) > 0 || scope.Forwards(d, "Accept") {
					t.Errorf("%+v is forwarded to %s", d, target)
				}
			}
		})
	}
	if (scope.Decision{}).Verdict != scope.Deny {
		t.Error("the zero Decision allows")
	}
}

// TestForwardsOneGrant: where several grants match, the form of one goes
// upstream; a mixture would be a request that none of them allows.
func TestForwardsOneGrant(t *testing.T) {
	folded := get("b-folds", "/x/{name}")
	folded.Where = map[string]scope.Matcher{"name": {Equals: ptr("Acme"), FoldASCII: true}}
	folded.Headers = map[string]scope.Matcher{"X-B": {Type: scope.String}}
	plain := get("a-plain", "/x/{name}")
	plain.Headers = map[string]scope.Matcher{"X-A": {Type: scope.String}}
	fields := []scope.Field{{Name: "x-a", Value: "1"}, {Name: "X-B", Value: "1"}, {Name: "Cookie", Value: "1"}, {Name: "accept", Value: "*/*"}, {Name: "x-github-api-version", Value: "1"}}
	for name, test := range map[string]struct {
		grants []scope.Grant
		names  []string
		target string
		header []string
	}{
		"both":  {[]scope.Grant{folded, plain}, []string{"a-plain", "b-folds"}, "/base/x/ACME", []string{"x-a", "accept", "x-github-api-version"}},
		"plain": {[]scope.Grant{plain}, []string{"a-plain"}, "/base/x/ACME", []string{"x-a", "accept", "x-github-api-version"}},
		"folds": {[]scope.Grant{folded}, []string{"b-folds"}, "/base/x/acme", []string{"X-B", "accept", "x-github-api-version"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, github, test.grants, nil)
			var r scope.Request
			if err := r.Parse(&scope.Head{Method: "GET", Target: "/x/ACME", Fields: fields}, &github); err != nil {
				t.Fatal(err)
			}
			d := p.Decide(&r)
			if diff := cmp.Diff(test.names, d.Grants); diff != "" {
				t.Errorf("names (-want +got)\n%s", diff)
			}
			if got := string(scope.AppendTarget(nil, "/base", &r, &d)); got != test.target {
				t.Errorf("forwarded %s, want %s", got, test.target)
			}
			var header []string
			for _, f := range fields {
				if scope.Forwards(&d, f.Name) {
					header = append(header, f.Name)
				}
			}
			if diff := cmp.Diff(test.header, header); diff != "" {
				t.Errorf("headers (-want +got)\n%s", diff)
			}
		})
	}
}

// TestLongestBodyIsForwarded: had the first name the precedence, taking that
// grant away would allow a longer body.
func TestLongestBodyIsForwarded(t *testing.T) {
	with := func(name string, bytes int64) scope.Grant {
		g := get(name, "/x")
		if bytes > 0 {
			g.Body = &scope.Body{Media: scope.Opaque, MaxBytes: bytes}
		}
		return g
	}
	grants := []scope.Grant{with("a", 10), with("b", 100), with("c", 0), with("d", 100)}
	ceiling := []scope.Grant{with("top", 50)}
	for name, test := range map[string]struct {
		ceiling *[]scope.Grant
		body    bool
		want    int64
		names   []string
	}{
		"longest":       {nil, true, 100, []string{"a", "b", "d"}},
		"first by name": {nil, false, 10, []string{"a", "b", "c", "d"}},
		"below ceiling": {&ceiling, true, 50, []string{"a", "b", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, scope.Profile{}, grants, test.ceiling)
			var r scope.Request
			if err := r.Parse(&scope.Head{Method: "GET", Target: "/x", HasBody: test.body}, nil); err != nil {
				t.Fatal(err)
			}
			d := p.Decide(&r)
			if d.Verdict != scope.Allow || d.Body == nil || d.Body.MaxBytes != test.want || !slices.Equal(d.Grants, test.names) {
				t.Errorf("got %+v with %+v", d, d.Body)
			}
		})
	}
}

func TestDetails(t *testing.T) {
	g := get("g", "/x")
	g.Query.Params = map[string]scope.Matcher{"must": {Required: true, Equals: ptr("canary")}}
	p := mustCompile(t, scope.Profile{}, []scope.Grant{g, get("canary", "/y")}, nil)
	for target, want := range map[string]string{
		"/z":                          "no grant allows this method and path",
		"/x":                          "must is required",
		"/x?must=x":                   "must is not allowed",
		"/x?must=canary&more=private": "more is not listed",
		"/x?must=canary&must=canary":  "must occurs more than once",
		"/x?must=canary&" + strings.Repeat("m", 500) + "=1": strings.Repeat("m", 64) + "... is not listed",
	} {
		d := p.Decide(parse(t, target, nil))
		if !strings.Contains(d.Detail, want) || strings.Contains(d.Detail, "canary") || strings.Contains(d.Detail, "private") {
			t.Errorf("%.40s: %s", target, d.Detail)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	ceiling := many(100)
	p, h, r := mustCompile(t, github, many(100), &ceiling), inMany(100), scope.Request{}
	var target []byte
	if n := testing.AllocsPerRun(100, func() {
		if err := r.Parse(&h, &github); err != nil {
			t.Fatal(err)
		}
		d := p.Decide(&r)
		target = scope.AppendTarget(target[:0], "/base", &r, &d)
		if d.Verdict != scope.Allow {
			t.Fatalf("%+v", d)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSecondSpelling(t *testing.T) {
	for name, want := range map[string]bool{"X_Api-Key": true, "x_api_key": true, "X-API-KEY": false, "X-Api-Keys": false, "XApiKey": false} {
		if got := scope.SecondSpelling(name, "X-Api-Key"); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
