package scope_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// dice makes scopes and bodies out of few words, so that they often meet.
type dice struct{ *rand.Rand }

func oneOf[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func (d dice) matcher(set bool) scope.Matcher {
	m := oneOf(d,
		scope.Matcher{Equals: ptr("x")},
		scope.Matcher{In: []string{"x", "Y"}},
		scope.Matcher{In: []string{"1", "10"}, Type: scope.Integer},
		scope.Matcher{In: []string{"1", "1.5"}, Type: scope.Number},
		scope.Matcher{Equals: ptr("false"), Type: scope.Boolean},
		scope.Matcher{Glob: ptr("x*")},
		scope.Matcher{Glob: ptr("X*"), FoldASCII: true},
		scope.Matcher{Min: ptr("1"), Max: ptr("10")},
		scope.Matcher{Min: ptr("0.5")},
		scope.Matcher{MaxLength: ptr(1)},
		scope.Matcher{Type: scope.String, Except: []string{"x"}},
		scope.Matcher{MaxItems: ptr(1)},
		scope.Matcher{Type: scope.Array},
		scope.Matcher{Type: scope.Object},
		scope.Matcher{Type: scope.Boolean},
		scope.Matcher{Type: scope.Any},
		scope.Matcher{Type: scope.Any},
		scope.Matcher{Type: scope.Any, In: []string{"1", "x", "true"}},
		scope.Matcher{Type: scope.Any, Except: []string{"1"}},
		scope.Matcher{Forbidden: true},
	)
	if set && d.IntN(5) == 0 {
		inner := d.matcher(false)
		if !inner.Forbidden {
			m = oneOf(d, scope.Matcher{Set: &inner}, scope.Matcher{Set: &inner, MaxLength: ptr(2)}, scope.Matcher{Set: &inner, Type: scope.Any})
		}
	}
	if set && !m.Forbidden {
		m.Required = d.IntN(3) == 0
		m.Repeated = d.IntN(8) == 0
	}
	return m
}

// body makes one, which may contradict itself.
func (d dice) body() *scope.Body {
	b := &scope.Body{
		Media: oneOf(d, scope.JSON, scope.JSON, scope.JSON, scope.Form, scope.Opaque), MaxBytes: oneOf[int64](d, 5, 20, 1000),
		UnlistedAllow: d.IntN(3) == 0,
	}
	if b.Media == scope.Opaque {
		return &scope.Body{Media: b.Media, MaxBytes: b.MaxBytes}
	}
	b.Fields = map[string]scope.Matcher{}
	for range d.IntN(5) {
		path := oneOf(d, "a", "b", "a", "b", "a.b", "a.c", "a[]", "a[].b", "a[].b", "b[][]", "[]", "[].a", `a\.b`, "a.b.c", "a.b[].c")
		if b.Media == scope.Form {
			path = oneOf(d, "a", "b", "c[]", "a.b")
		}
		b.Fields[path] = d.matcher(true)
	}
	return b
}

// grants makes some that compile.
func (d dice) grants() []scope.Grant {
	var grants []scope.Grant
	for len(grants) < 3 {
		g := scope.Grant{Name: fmt.Sprint("g", len(grants)), HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/"}}}
		if d.IntN(10) > 0 {
			g.Body = d.body()
		}
		if len(g.Check(scope.Profile{})) == 0 {
			grants = append(grants, g)
		}
	}
	return grants[:1+d.IntN(3)]
}

func (d dice) scalar() string {
	return oneOf(d, `"x"`, `"X"`, `"xy"`, `"Y"`, `""`, `"."`, `"\u0078"`, `"1"`, `"true"`, "1", "10", "11", "1.0", "1.5", "0.5", "-1", "1e0", "-0", "true", "false", "null")
}

func (d dice) document(depth int) string {
	if depth == 0 || d.IntN(3) == 0 {
		return d.scalar()
	}
	var parts []string
	if d.IntN(3) == 0 {
		for range d.IntN(3) {
			parts = append(parts, d.document(depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	keys := []string{"a", "b", "c", "A", "a.b", `\u0061`}
	d.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys[:d.IntN(3)] {
		if d.IntN(3) > 0 {
			key = oneOf(d, "a", "b")
		}
		parts = append(parts, `"`+key+`":`+d.document(depth-1))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (d dice) form() string {
	var parts []string
	for range d.IntN(4) {
		parts = append(parts, oneOf(d, "a", "a", "b", "c%5B%5D", "c", "A", "a.b", "a%5B%5D", "other", "_method", "a b", "")+
			oneOf(d, "=", "=", "=", "=", "=", "", ";=")+oneOf(d, "x", "x", "xy", "Y", "X", "1", "10", "1.0", "true", "", "a+b", "%2", "%00"))
	}
	return strings.Join(parts, "&")
}

// request makes a content type and a body.
func (d dice) request() (contentType, body string) {
	if d.IntN(4) == 0 {
		return oneOf(d, "application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "application/json"), d.form()
	}
	body = d.document(3)
	if d.IntN(10) == 0 && len(body) > 1 {
		body = body[:d.IntN(len(body))] + oneOf(d, "", ",", "}", `"`, "x") + body[d.IntN(len(body)):]
	}
	return oneOf(d, "application/json", "application/json", "application/json", "application/json", "text/plain"), body
}

// FuzzBody: of scopes and bodies that chance makes, the judge and the oracle
// think alike, and a grant less never allows more.
func FuzzBody(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		d := dice{rand.New(rand.NewPCG(seed, 1))}
		grants := d.grants()
		p := mustCompile(t, scope.Profile{}, grants, nil)
		for range 20 {
			contentType, body := d.request()
			decision := judgeBody(t, p, contentType, body)
			want := bodyOracle(grants, contentType, []byte(body))
			if got := decision.Grants; !slices.Equal(want, got) && !(streams(grants, body) && decision.Verdict == scope.Allow) {
				t.Fatalf("seed %d: %s %s\n%s\n(-oracle +judge) %s\n%s: %s", seed, contentType, body, show(grants), cmp.Diff(want, got), decision.Reason, decision.Detail)
			}
			if allowed := decision.Verdict == scope.Allow; allowed != (len(want) > 0) {
				t.Fatalf("seed %d: %s %s\n%s\nallowed %v, by the oracle %v", seed, contentType, body, show(grants), allowed, want)
			}
			for i := range grants {
				less := mustCompile(t, scope.Profile{}, slices.Delete(slices.Clone(grants), i, i+1), nil)
				if judgeBody(t, less, contentType, body).Verdict == scope.Allow && decision.Verdict != scope.Allow {
					t.Fatalf("seed %d: %s %s\n%s\nallowed without %s", seed, contentType, body, show(grants), grants[i].Name)
				}
			}
			onceMore(t, p, grants, contentType, body)
		}
	})
}

// streams tells whether a body may have been allowed by its beginning, when it
// is not known which grants would allow the whole.
func streams(grants []scope.Grant, body string) bool {
	return slices.ContainsFunc(grants, func(g scope.Grant) bool {
		return g.Body != nil && g.Body.Media == scope.Opaque && int64(len(body)) <= g.Body.MaxBytes
	})
}

func show(grants []scope.Grant) string {
	var b strings.Builder
	for _, g := range grants {
		fmt.Fprintf(&b, "%s: ", g.Name)
		if g.Body != nil {
			fmt.Fprintf(&b, "%s %d unlisted %v", g.Body.Media, g.Body.MaxBytes, g.Body.UnlistedAllow)
			for path, m := range g.Body.Fields {
				fmt.Fprintf(&b, "\n  %s: %s", path, cmp.Diff(scope.Matcher{}, m))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func judgeBody(t *testing.T, p *scope.Policy, contentType, body string) scope.Decision {
	t.Helper()
	h := scope.Head{Method: "POST", Target: "/", HasBody: body != "", Fields: []scope.Field{{Name: "Content-Type", Value: contentType}}}
	return decideWhole(t, p, h, nil, []byte(body))
}

// onceMore judges a body below a ceiling of the same grants, which changes
// nothing.
func onceMore(t *testing.T, p *scope.Policy, grants []scope.Grant, contentType, body string) {
	t.Helper()
	below := mustCompile(t, scope.Profile{}, grants, &grants)
	a, b := judgeBody(t, p, contentType, body), judgeBody(t, below, contentType, body)
	if a.Verdict != b.Verdict {
		t.Fatalf("%s %s\n%s\nverdict %v, below itself %v: %s", contentType, body, show(grants), a.Verdict, b.Verdict, b.Detail)
	}
}
