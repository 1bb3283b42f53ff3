package prove

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// chance makes scopes over a small world: a few segments, names and values, so
// that two of them have a lot in common.
type chance struct{ *rand.Rand }

func (c chance) one(of int) bool { return c.IntN(of) == 0 }

func pickOf[T any](c chance, list []T) T { return list[c.IntN(len(list))] }

// some returns a part of the list that is not empty, in its order.
func some[T any](c chance, list []T) []T {
	var out []T
	for _, v := range list {
		if c.one(2) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return []T{pickOf(c, list)}
	}
	return out
}

func ptr[T any](v T) *T { return &v }

var profiles = []scope.Profile{
	{},
	{SlashInTail: true, FoldPaths: []string{"/r/{o}/{n}"}, ReserveQuery: []string{"k"}, ForwardHeaders: []string{"X-Std"}},
}

var (
	verbs = []string{"GET", "POST", "DELETE"}
	// templates, the captures that may be bound, and how wide those are.
	templates = []struct {
		path, capture string
		width         int
	}{
		{"/", "", 0}, {"/r", "", 0}, {"/r/", "", 0}, {"/r/{o}", "o", 1}, {"/{r,s}/{o}", "o", 1}, {"/r/{o}/{n}", "o", 1}, {"/r/{o}/{n}", "n", 1},
		{"/r/{x=*/*}", "x", 2}, {"/r/{x=*/*}/c", "x", 2}, {"/r/{o}/{n}/{t...}", "t", 0}, {"/r/{t...}", "t", 0}, {"/s/{t...}/", "t", 0},
		{"/{z}/{o}/{n}", "o", 1}, {"/{z}/b", "z", 1}, {"/r/A/{n}", "n", 1}, {"/s/{o}/{t...}", "t", 0}, {"/r/a/b", "", 0}, {"/s/B", "", 0},
	}
	words    = []string{"a", "b", "A", "B", "c", "ab", "12", "7"}
	globs    = map[int][]string{1: {"*", "a*", "*b", "b", "?"}, 2: {"a/*", "*/b", "**", "A/B"}, 0: {"**", "a/**", "*", "*/c", "a/*", "**/b"}}
	patterns = map[int][]string{1: {"[ab]", "a|b", "[a-c]+", ".*", "[0-9]+", "[^a]"}, 2: {"a/[ab]", "[^/]+/b", ".*"}, 0: {".*", "(?:a/)+b", "[^/]*", "a(?:/.*)?"}}
)

// matcher makes a matcher for texts of so many segments.
func (c chance) matcher(width int) scope.Matcher {
	var m scope.Matcher
	switch c.IntN(8) {
	case 0:
		m.Equals = ptr(c.text(width))
	case 1, 2:
		for range 1 + c.IntN(3) {
			m.In = append(m.In, c.text(width))
		}
	case 3:
		m.Glob = ptr(pickOf(c, globs[width]))
	case 4:
		m.Pattern = ptr(pickOf(c, patterns[width]))
	case 5:
		m.Min, m.Max = ptr(fmt.Sprint(c.IntN(9))), ptr(fmt.Sprint(9+c.IntN(9)))
	case 6:
		m.Type = pickOf(c, []scope.Type{scope.String, scope.Integer, scope.Number, scope.Boolean, scope.Any})
	default:
		m.MinLength, m.MaxLength = ptr(c.IntN(3)), ptr(1+c.IntN(4))
	}
	c.adorn(&m, width)
	return m
}

// adorn adds what a matcher may have besides.
func (c chance) adorn(m *scope.Matcher, width int) {
	textual := m.Min == nil && (m.Type == "" || m.Type == scope.String || m.Type == scope.Any)
	if textual && c.one(4) {
		m.Except = []string{pickOf(c, globs[width])}
	}
	if textual && c.one(4) && (m.Pattern == nil || *m.Pattern != "[^a]") {
		m.FoldASCII = true
	}
	if textual && width != 1 && c.one(6) {
		m.Kind = scope.Path
		if c.one(2) {
			m.Under = "a"
		}
	}
	if c.one(6) {
		set := chance{c.Rand}.plain(width)
		m.Set = &set
	}
}

func (c chance) plain(width int) scope.Matcher {
	return scope.Matcher{In: []string{c.text(width), c.text(width), c.text(width)}, FoldASCII: c.one(2)}
}

func (c chance) text(width int) string {
	if width == 0 {
		width = 1 + c.IntN(2)
	}
	s := pickOf(c, words)
	for range width - 1 {
		s += "/" + pickOf(c, words)
	}
	return s
}

// grant makes a grant that the judge takes.
func (c chance) grant(name string, p *scope.Profile) scope.Grant {
	for {
		t := pickOf(c, templates)
		g := scope.Grant{Name: name, Endpoint: "e", HTTP: &scope.HTTP{Methods: some(c, verbs), Paths: []string{t.path}}}
		if t.capture != "" && !c.one(3) {
			g.Where = map[string]scope.Matcher{t.capture: c.matcher(t.width)}
		}
		if len(g.Where) == 0 && c.one(4) {
			g.HTTP.Paths = append(g.HTTP.Paths, pickOf(c, templates).path)
			slices.Sort(g.HTTP.Paths)
			g.HTTP.Paths = slices.Compact(g.HTTP.Paths)
		}
		if c.one(3) {
			g.Query = c.query()
		}
		if c.one(4) {
			g.Headers = map[string]scope.Matcher{pickOf(c, []string{"Accept", "X-Own", "X-Std"}): c.presence(c.matcher(1), false)}
		}
		if c.one(3) {
			g.Body = c.body()
		}
		c.bound(&g)
		if len(g.Check(*p)) == 0 {
			return g
		}
	}
}

// body makes a body of any media.
func (c chance) body() *scope.Body {
	b := &scope.Body{Media: pickOf(c, []scope.Media{scope.Opaque, scope.JSON, scope.JSON, scope.Form, scope.Multipart}), MaxBytes: 1000}
	b.UnlistedAllow = b.Media != scope.Opaque && c.one(3)
	switch b.Media {
	case scope.Opaque:
		b.MaxBytes = int64(1 + c.IntN(3))
	case scope.JSON:
		b.Fields = c.fields()
	case scope.Form:
		b.Fields = c.query().Params
	case scope.Multipart:
		b.Parts = map[string]scope.Part{}
		for range c.IntN(3) {
			part := scope.Part{Required: c.one(4), Media: pickOf(c, [][]string{nil, nil, {"image/png"}, {"text/plain", "image/png"}})}
			if c.one(2) {
				part.Value = ptr(c.matcher(1))
			}
			if c.one(3) {
				part.Filename = ptr(c.matcher(1))
			}
			b.Parts[pickOf(c, []string{"a", "b"})] = part
		}
	}
	return b
}

// bound limits how often the grant is used, or cuts the answer.
func (c chance) bound(g *scope.Grant) {
	if c.one(6) {
		g.Limits = &scope.Limits{Requests: scope.Rate{Count: pickOf(c, counts), Per: pickOf(c, spans)}}
	}
	if c.one(6) {
		g.Response = &scope.Response{Keep: slices.Clone(some(c, kept))}
		if c.one(5) {
			g.Response.Keep = nil
		}
	}
}

var (
	counts = []int{2, 5}
	spans  = []time.Duration{time.Second, 10 * time.Second}
	kept   = []string{"a", "b", "b.c", "l[]"}
	places = []string{"a", "a", "b", "b", "b.c", "b.d", "l", "l[]", "l[].c", "[]", "[].a", "b.c.e", "m[][]"}
)

// fields are those of a JSON body: none or a few places, with matchers that fit
// there more often than not.
func (c chance) fields() map[string]scope.Matcher {
	out := map[string]scope.Matcher{}
	for range c.IntN(4) {
		place := pickOf(c, places)
		var m scope.Matcher
		switch c.IntN(7) {
		case 0:
			m.Type = scope.Any
		case 1:
			m.Type = pickOf(c, []scope.Type{scope.Object, scope.Array, scope.Any})
			if m.Type == scope.Array && c.one(2) {
				m.MaxItems = ptr(c.IntN(3))
			}
		case 2:
			m.Type = pickOf(c, []scope.Type{scope.Integer, scope.Number})
			m.Min, m.Max = ptr(pickOf(c, []string{"-1", "0", "1.5", "7"})), ptr(pickOf(c, []string{"7", "7.25", "12"}))
		case 3:
			m.Type = scope.Number
			m.In = some(c, []string{"1", "1.0", "1.5", "7", "-0"})
		default:
			m = c.matcher(1)
		}
		out[place] = c.presence(m, false)
	}
	return out
}

func (c chance) query() scope.Query {
	q := scope.Query{UnlistedAllow: c.one(2), Params: map[string]scope.Matcher{}}
	for range c.IntN(3) {
		q.Params[pickOf(c, []string{"p", "q", "k", "p[]"})] = c.presence(c.matcher(1), true)
	}
	return q
}

func (c chance) presence(m scope.Matcher, repeats bool) scope.Matcher {
	switch c.IntN(5) {
	case 0:
		m.Required = true
	case 1:
		m.Forbidden = true
	}
	m.Repeated = repeats && c.one(3)
	return m
}

// scope makes a scope of a few grants.
func (c chance) scope(p *scope.Profile) Scope {
	s := Scope{Endpoints: []bundle.Endpoint{{Name: "e", URL: "https://e.example", Profile: *p}}}
	if c.one(10) {
		s.Requests = &scope.Rate{Count: pickOf(c, counts), Per: pickOf(c, spans)}
	}
	for i := range 1 + c.IntN(3) {
		s.Grants = append(s.Grants, c.grant(fmt.Sprintf("g%d", i), p))
	}
	return s
}
