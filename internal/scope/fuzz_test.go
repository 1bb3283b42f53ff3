package scope_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// everything allows every request that can be read, but for reserved names.
var everything = []scope.Grant{{
	Name: "all", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/", "/{rest...}", "/{rest...}/"}},
	Query: scope.Query{UnlistedAllow: true},
}}

// FuzzParse: what is forwarded parses to what was judged, is forwarded again
// as it is, and means the same to another reader.
func FuzzParse(f *testing.F) {
	for _, target := range []string{
		"/", "/a/b/", "/repos/Acme/Web/x%2Fy?a=b+c&d=%C3%A9", "/a%20b;", "/%2e%2e", "/a//b", "/a?b", "/a?b=", "/a?a=b&a=c?d=e/f", "/%25%34%31",
		"/a?%00=1", "/a?b=%25%34%31", "/é", "/%C2%85", "/a%2F", "/a!$&'()*+,=:@", "/a?x=!$'()*,:@;/?", "*", "http://h/p",
	} {
		f.Add(target, true)
		f.Add(target, false)
	}
	f.Fuzz(func(t *testing.T, target string, lax bool) {
		profile := scope.Profile{}
		if lax {
			profile = github
		}
		p := mustCompile(t, profile, everything, nil)
		var r, again scope.Request
		if err := r.Parse(&scope.Head{Method: "GET", Target: target}, &profile); err != nil {
			return
		}
		d := p.Decide(&r)
		if d.Verdict != scope.Allow {
			if len(r.Query()) == 0 {
				t.Fatalf("%q: %+v", target, d)
			}
			return
		}
		first := string(scope.AppendTarget(nil, "", &r, &d))
		for _, reader := range []*scope.Profile{&profile, nil} { // without equivalences, too: none is left
			if err := again.Parse(&scope.Head{Method: "GET", Target: first}, reader); err != nil {
				t.Fatalf("%q is forwarded as %q, which is refused: %v", target, first, err)
			}
			if diff := cmp.Diff(r.Query(), again.Query()); diff != "" {
				t.Errorf("%q: the query changed\n%s", target, diff)
			}
			d = p.Decide(&again)
			if second := string(scope.AppendTarget(nil, "", &again, &d)); second != first {
				t.Errorf("%q is forwarded as %q, that as %q", target, first, second)
			}
		}
		otherReader(t, first, &r)
	})
}

// otherReader compares with net/url.
func otherReader(t *testing.T, target string, r *scope.Request) {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	if clean := path.Clean(u.Path); strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(clean, "/") {
		t.Errorf("%q: cleaning changes the path to %q", target, clean)
	}
	if decoded, err := url.PathUnescape(string(r.AppendPath(nil))); err != nil || decoded != u.Path {
		t.Errorf("%q: paths %q and %q, %v", target, decoded, u.Path, err)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	want := url.Values{}
	for _, q := range r.Query() {
		want.Add(q.Name, q.Value)
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("%q: query (-ours +net/url)\n%s", target, diff)
	}
}

// chance makes scopes and requests out of few words, so that they often meet.
type chance struct{ *rand.Rand }

func pick[T any](c chance, from ...T) T { return from[c.IntN(len(from))] }

func (c chance) profile() scope.Profile {
	if c.IntN(2) == 0 {
		return scope.Profile{}
	}
	p := github
	if c.IntN(2) == 0 {
		p.Layouts = []scope.Layout{{Base: "/x/v3", Moved: []scope.Move{{Plain: "/a", There: "/x/a"}}}}
	}
	return p
}

func (c chance) matcher() scope.Matcher {
	m := pick(c,
		scope.Matcher{Equals: ptr(pick(c, "acme", "Acme", "a/b", "1", "acme/web"))},
		scope.Matcher{In: []string{"acme", "web", "a/B", "2"}},
		scope.Matcher{Glob: ptr(pick(c, "*", "**", "a*", "*/web", "a/**", "**/b", "A*", "**/a*/**"))},
		scope.Matcher{Pattern: ptr(pick(c, "[a-z]+", "[0-9]|a.*", ".{1,4}", "[^/]+"))},
		scope.Matcher{Min: ptr(pick(c, "0", "1", "1.5")), Max: ptr("2")},
		scope.Matcher{Type: pick(c, scope.String, scope.Any)},
		scope.Matcher{Type: scope.Number, In: []string{"1", "2.5"}},
		scope.Matcher{Type: scope.Boolean},
		scope.Matcher{MinLength: ptr(2), MaxLength: ptr(4)},
		scope.Matcher{Kind: scope.GitOID},
		scope.Matcher{Set: &scope.Matcher{In: []string{"acme", "ACME/web", "b"}, FoldASCII: c.IntN(2) == 0}},
	)
	if text := m.Type == "" && m.Min == nil; text && c.IntN(3) == 0 {
		m.FoldASCII = true
	}
	if text := m.Type == "" && m.Min == nil; text && c.IntN(4) == 0 {
		m.Except = []string{pick(c, "web", "a*", "**/B", "Acme/**")}
	}
	m.Required = c.IntN(3) == 0
	return m
}

func (c chance) grant(name string) scope.Grant {
	g := get(name)
	if c.IntN(3) == 0 {
		g.HTTP.Methods = []string{"PUT", "GET"}
	}
	g.HTTP.Paths = []string{pick(c, "/", "/acme", "/{a}", "/{a=*/*}", "/{a...}", "/{a...}/", "/repos/{a=*/*}", "/repos/{a=*/*}/{b...}", "/repos/{a}/{b}",
		"/repos/Acme/{b...}", "/{acme,web}/{b}", "/{a}/{b,web}", "/repos/{a...}", "/acme/{a}/", "/repos/acme/web", "/{repos,acme}/{a}/{b...}", "/{x}/Acme/{a}")}
	for _, name := range []string{"a", "b"} {
		if strings.Contains(g.HTTP.Paths[0], "{"+name+"}") || strings.Contains(g.HTTP.Paths[0], "{"+name+"=") || strings.Contains(g.HTTP.Paths[0], "{"+name+".") {
			if c.IntN(2) == 0 {
				if g.Where == nil {
					g.Where = map[string]scope.Matcher{}
				}
				g.Where[name] = c.matcher()
			}
		}
	}
	g.Query.UnlistedAllow = c.IntN(2) == 0
	if c.IntN(2) == 0 {
		m := c.matcher()
		m.Repeated = c.IntN(2) == 0
		g.Query.Params = map[string]scope.Matcher{pick(c, "q", "Q", "page", "q[a]"): m}
		if c.IntN(4) == 0 {
			g.Query.Params["f"] = scope.Matcher{Forbidden: true}
		}
	}
	if c.IntN(3) == 0 {
		g.Headers = map[string]scope.Matcher{pick(c, "X-Tenant", "x-tenant", "Accept"): c.matcher()}
	}
	if c.IntN(2) == 0 {
		g.Body = &scope.Body{Media: scope.Opaque, MaxBytes: int64(1 + c.IntN(3))}
	}
	return g
}

func (c chance) grants(most int) []scope.Grant {
	grants := make([]scope.Grant, 1+c.IntN(most))
	for i := range grants {
		grants[i] = c.grant(fmt.Sprintf("g%d", i))
	}
	c.Shuffle(len(grants), func(i, j int) { grants[i], grants[j] = grants[j], grants[i] })
	return grants
}

// head makes a request. Half of them have the path of a grant.
func (c chance) head(grants []scope.Grant) scope.Head {
	h := scope.Head{Method: pick(c, "GET", "GET", "PUT", "HEAD"), HasBody: c.IntN(4) == 0}
	if c.IntN(2) == 0 {
		h.Target = c.filled(pick(c, pick(c, grants...).HTTP.Paths...))
	} else {
		h.Target = c.path()
	}
	if c.IntN(16) == 0 {
		h.Target = pick(c, "/x/v3", "/x/v3", "/x/v3/x/v3", "/%78/v3", "/x%2Fv3", "/x/v3%2F", "/x/a", "/x") + pick(c, h.Target, h.Target, "", "/")
	}
	h.Target += c.query()
	for range c.IntN(3) {
		h.Fields = append(h.Fields, scope.Field{Name: pick(c, "X-Tenant", "x-tenant", "X_Tenant", "Accept", "X-Other", "X-HTTP-Method"), Value: pick(c, "acme", "Acme", "1", "a", "")})
	}
	return h
}

// word is a segment or a value, seldom one that is refused.
func (c chance) word() string {
	if c.IntN(25) == 0 {
		return pick(c, "", ".", "..", "%2e", "%2f", "a%5C", ";", "%", "%2561", "%00", "%ff", "[", "+", "a+b")
	}
	return pick(c, "acme", "Acme", "web", "a", "b", "repos", "1", "%61", "a%2Fb", "acme%2fWEB", "2.50", "%C3%A9", "\u00e9", "a%20b", "true", strings.Repeat("a", 40))
}

func (c chance) path() string {
	path := ""
	if c.IntN(2) == 0 {
		path = "/repos/" + pick(c, "acme", "Acme") + "/" + c.word()
	}
	for range c.IntN(4) {
		path += "/" + c.word()
	}
	if path == "" || c.IntN(6) == 0 {
		path += "/"
	}
	return path
}

// filled puts words into the captures of a template.
func (c chance) filled(template string) string {
	return captures.ReplaceAllStringFunc(template, func(part string) string {
		switch inner := strings.Trim(part, "{}"); {
		case strings.Contains(inner, ","):
			return pick(c, strings.Split(inner, ",")...)
		case strings.HasSuffix(inner, "=*/*"), strings.HasSuffix(inner, "...") && c.IntN(2) == 0:
			return c.word() + "/" + c.word()
		}
		return c.word()
	})
}

var captures = regexp.MustCompile(`\{[^}]*\}`)

func (c chance) query() string {
	query := ""
	for i := range c.IntN(3) {
		separator := "&"
		if i == 0 {
			separator = "?"
		}
		name := pick(c, "q", "q", "Q", "page", "q%5Ba%5D", "q%5B%5D", "f", "x", "_method", "Callback", "client_secret", "")
		query += separator + name + pick(c, "=", "=", "=", "=", "") + c.word()
	}
	return query
}

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 0))} }

// perScope is how many requests are judged by each scope that chance makes.
const perScope = 5

// checkOracle compares the decisions of one scope with those of the oracle, and
// what is forwarded with what was judged. It returns how many were allowed.
func checkOracle(t *testing.T, seed uint64) (allowed int) {
	t.Helper()
	c := newChance(seed)
	profile, grants := c.profile(), c.grants(6)
	p := mustCompile(t, profile, grants, nil)
	for range perScope {
		if checkDecision(t, seed, &profile, grants, p, c.head(grants)) {
			allowed++
		}
	}
	return allowed
}

func checkDecision(t *testing.T, seed uint64, profile *scope.Profile, grants []scope.Grant, p *scope.Policy, head scope.Head) (allowed bool) {
	t.Helper()
	want, readable := oracle(profile, grants, &head)
	var r scope.Request
	err := r.Parse(&head, profile)
	if (err == nil) != readable {
		t.Fatalf("seed %d: %s %q: read with %v, by the oracle: %t", seed, head.Method, head.Target, err, readable)
	}
	if err != nil {
		return false
	}
	d := p.Decide(&r)
	if !slices.Equal(d.Grants, want) || (d.Verdict == scope.Allow) != (len(want) > 0) {
		t.Fatalf("seed %d: %+v\nprofile %+v\ngrants %s\ngot %v %s, oracle %v", seed, head, profile, describe(grants), d.Grants, d.Detail, want)
	}
	if d.Verdict == scope.Allow {
		checkForwarded(t, seed, p, &r, &d, head)
	}
	return d.Verdict == scope.Allow
}

// checkForwarded judges a forwarded request as a new one: the grant in whose
// form it goes must allow it.
func checkForwarded(t *testing.T, seed uint64, p *scope.Policy, r *scope.Request, d *scope.Decision, head scope.Head) {
	t.Helper()
	onward := scope.Head{Method: r.Method(), Target: string(scope.AppendTarget(nil, "", r, d)), HasBody: head.HasBody}
	for _, f := range head.Fields {
		if scope.Forwards(d, f.Name) {
			onward.Fields = append(onward.Fields, f)
		}
	}
	var again scope.Request
	if err := again.Parse(&onward, nil); err != nil {
		t.Fatalf("seed %d: forwarded %q: %v", seed, onward.Target, err)
	}
	e := p.Decide(&again)
	if e.Verdict != scope.Allow || !slices.ContainsFunc(d.Grants, func(name string) bool { return slices.Contains(e.Grants, name) }) {
		t.Fatalf("seed %d: %+v was forwarded as %+v, which is judged %+v", seed, head, onward, e)
	}
	if second := string(scope.AppendTarget(nil, "", &again, &e)); second != onward.Target && len(d.Grants) == len(e.Grants) {
		t.Fatalf("seed %d: forwarded %q, then %q", seed, onward.Target, second)
	}
}

func describe(grants []scope.Grant) string {
	var b strings.Builder
	for _, g := range grants {
		fmt.Fprintf(&b, "\n  %s %v where %+v query %+v headers %+v", g.Name, *g.HTTP, g.Where, g.Query, g.Headers)
	}
	return b.String()
}

// TestOracle compares many decisions.
func TestOracle(t *testing.T) {
	const n = 30000
	allowed := 0
	for seed := range uint64(n / perScope) {
		allowed += checkOracle(t, seed)
	}
	if allowed < n/20 {
		t.Errorf("%d of %d requests were allowed: nothing was compared", allowed, n)
	}
}

// FuzzOracle: of scopes and requests that chance makes, the judge and the oracle
// think alike.
func FuzzOracle(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkOracle(t, seed) })
}

// FuzzRemoveGrant: a scope with a grant less never allows more, be it a request
// or a longer body, with a ceiling and without.
func FuzzRemoveGrant(f *testing.F) {
	for seed := range uint64(3000) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := newChance(seed)
		profile, grants := c.profile(), c.grants(8)
		head := c.head(grants)
		var ceiling *[]scope.Grant
		if c.IntN(2) == 0 {
			bound := c.grants(8)
			ceiling = &bound
		}
		judge := func(grants []scope.Grant) (bool, int64) {
			var r scope.Request
			if err := r.Parse(&head, &profile); err != nil {
				return false, 0
			}
			d := mustCompile(t, profile, grants, ceiling).Decide(&r)
			if d.Body == nil {
				return d.Verdict == scope.Allow, 0
			}
			return d.Verdict == scope.Allow, d.Body.MaxBytes
		}
		all, bytes := judge(grants)
		for i := range grants {
			some, less := judge(slices.Concat(grants[:i], grants[i+1:]))
			if some && (!all || head.HasBody && less > bytes) {
				t.Fatalf("seed %d: without %s %+v is allowed, %d bytes; with it %t, %d%s", seed, grants[i].Name, head, less, all, bytes, describe(grants))
			}
		}
	})
}
