package prove

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// cloneGrant returns a copy of what is changed below.
func cloneGrant(g scope.Grant) scope.Grant {
	h := *g.HTTP
	h.Methods, h.Paths = slices.Clone(h.Methods), slices.Clone(h.Paths)
	g.HTTP = &h
	if g.Response != nil {
		g.Response = &scope.Response{Keep: slices.Clone(g.Response.Keep)}
	}
	if g.Limits != nil {
		g.Limits = ptr(*g.Limits)
	}
	g.Where, g.Headers, g.Query.Params = maps.Clone(g.Where), maps.Clone(g.Headers), maps.Clone(g.Query.Params)
	if g.Body != nil {
		b := *g.Body
		b.Fields, b.Parts = maps.Clone(b.Fields), maps.Clone(b.Parts)
		g.Body = &b
	}
	return g
}

// respelled says the same as s in other words.
func (c chance) respelled(s Scope) Scope {
	var grants []scope.Grant
	for _, g := range s.Grants {
		for _, part := range c.split(cloneGrant(g)) {
			c.respellMatchers(part.Where, false)
			c.respellMatchers(part.Query.Params, false)
			c.respellMatchers(part.Headers, true)
			c.respellBody(part.Body)
			c.respellResponse(part.Response)
			c.open(&part)
			grants = append(grants, part)
			if c.one(4) && part.Limits == nil { // two limits are more than one
				grants = append(grants, c.narrower(cloneGrant(part))) // in the shadow of the other
			}
		}
	}
	c.Shuffle(len(grants), func(i, j int) { grants[i], grants[j] = grants[j], grants[i] })
	for i := range grants {
		grants[i].Name = fmt.Sprintf("n%d", i)
	}
	s.Grants = grants
	return s
}

// split makes several grants of one, each with a part of its methods, paths,
// alternates or values.
func (c chance) split(g scope.Grant) []scope.Grant {
	var out []scope.Grant
	with := func(change func(*scope.Grant)) {
		part := cloneGrant(g)
		change(&part)
		out = append(out, part)
	}
	switch n := c.IntN(5); {
	case g.Limits != nil: // two limits are more than one
	case n == 0:
		for _, m := range g.HTTP.Methods {
			with(func(p *scope.Grant) { p.HTTP.Methods = []string{m} })
		}
	case n == 1:
		for _, path := range g.HTTP.Paths {
			with(func(p *scope.Grant) { p.HTTP.Paths = []string{path} })
		}
	case n == 2:
		with(func(p *scope.Grant) {
			var paths []string
			for _, path := range p.HTTP.Paths {
				if rest, ok := strings.CutPrefix(path, "/{r,s}"); ok {
					paths = append(paths, "/r"+rest, "/s"+rest)
				} else {
					paths = append(paths, path)
				}
			}
			p.HTTP.Paths = paths
		})
	case n == 3:
		for name, m := range g.Where {
			for _, v := range m.In {
				with(func(p *scope.Grant) { m := m; m.In = []string{v}; p.Where = map[string]scope.Matcher{name: m} })
			}
		}
	}
	if len(out) == 0 {
		return []scope.Grant{g}
	}
	return out
}

// open bounds what was not bounded by what everything is in.
func (c chance) open(g *scope.Grant) {
	if len(g.Where) > 0 || len(g.HTTP.Paths) > 1 {
		return
	}
	t, err := scope.ParsePath(g.HTTP.Paths[0])
	if err != nil {
		return
	}
	for _, name := range t.Captures() {
		if c.one(3) {
			m := scope.Matcher{Type: scope.String}
			if name == "t" {
				m = scope.Matcher{Glob: ptr("**")}
			}
			g.Where = map[string]scope.Matcher{name: m}
		}
	}
}

func (c chance) respellBody(b *scope.Body) {
	if b == nil {
		return
	}
	c.respellMatchers(b.Fields, true)
	for name, part := range b.Parts {
		part.Media = slices.Clone(part.Media)
		slices.Reverse(part.Media)
		if part.Value != nil {
			part.Value = ptr(c.respell(*part.Value, true))
		}
		b.Parts[name] = part
	}
}

// respellResponse keeps what is kept twice, in another order.
func (c chance) respellResponse(r *scope.Response) {
	if r == nil {
		return
	}
	slices.Reverse(r.Keep)
	if slices.Contains(r.Keep, "b") && c.one(2) {
		r.Keep = slices.DeleteFunc(r.Keep, func(path string) bool { return path == "b.c" })
	}
}

func (c chance) respellMatchers(all map[string]scope.Matcher, header bool) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		all[name] = c.respell(all[name], header)
	}
}

// respell says the same as m in other words.
func (c chance) respell(m scope.Matcher, header bool) scope.Matcher {
	switch {
	case m.Equals != nil && c.one(2):
		m.In, m.Equals = []string{*m.Equals, *m.Equals}, nil
	case len(m.In) == 1 && m.Equals == nil && c.one(2):
		m.Equals, m.In = &m.In[0], nil
	case len(m.In) > 0 && m.Pattern == nil && m.Type == "" && c.one(2):
		var quoted []string
		for _, v := range m.In {
			if m.FoldASCII {
				v = text.Lower(v)
			}
			quoted = append(quoted, regexp.QuoteMeta(v))
		}
		m.Pattern, m.In = ptr("(?:"+strings.Join(quoted, "|")+")"), nil
	case m.Glob != nil && *m.Glob == "*" && m.Pattern == nil && !header && c.one(2):
		m.Pattern, m.Glob = ptr(`[^/]+`), nil
		m.Except = append(slices.Clone(m.Except), ".", "..")
	case m.MinLength == nil && m.Type == "" && m.Min == nil && c.one(3):
		m.MinLength = ptr(0)
	}
	if m.Set == nil && !m.Forbidden && c.one(3) {
		inner := m
		inner.Required, inner.Repeated = false, false
		m = scope.Matcher{Set: &inner, Required: m.Required, Repeated: m.Repeated}
		if inner.Type != "" || inner.Min != nil {
			m.Type = inner.ValueType()
		}
	}
	slices.Reverse(m.In)
	return m
}

// narrower takes something away from g, or demands more. It may happen that
// this changes nothing, or that a header goes upstream for it.
func (c chance) narrower(g scope.Grant) scope.Grant {
	switch n := c.IntN(13); {
	case n == 8 && g.Limits != nil && g.Limits.Requests.Count > 2:
		g.Limits.Requests.Count = 2
	case n == 9 && g.Response == nil:
		g.Response = &scope.Response{Keep: []string{"a", "b"}}
	case n == 10 && g.Response != nil && len(g.Response.Keep) > 0:
		g.Response.Keep = g.Response.Keep[1:]
	case n == 11 && g.Body != nil && len(g.Body.Fields) > 0:
		c.narrowField(g.Body)
	case n == 12 && g.Limits == nil:
		g.Limits = &scope.Limits{Requests: scope.Rate{Count: 2, Per: time.Second}}
	case n == 0 && len(g.HTTP.Methods) > 1:
		g.HTTP.Methods = g.HTTP.Methods[1:]
	case n == 1 && len(g.HTTP.Paths) > 1:
		g.HTTP.Paths = g.HTTP.Paths[1:]
	case n == 2 && g.Body != nil:
		g.Body = nil
	case n == 3 && g.Body != nil && g.Body.MaxBytes > 1:
		g.Body.MaxBytes--
	case n == 7 && g.Body != nil && g.Body.UnlistedAllow:
		g.Body.UnlistedAllow = false
	case n == 4 && len(g.Query.Params) > 0:
		for name, m := range g.Query.Params {
			if !m.Forbidden {
				m.Required = true
			}
			g.Query.Params[name] = m
		}
	case n == 5 && g.Query.UnlistedAllow:
		g.Query.UnlistedAllow = false
	case n == 6 && g.Headers["Accept"].Set == nil:
		g.Headers = maps.Clone(g.Headers)
		if _, listed := g.Headers["Accept"]; !listed {
			if g.Headers == nil {
				g.Headers = map[string]scope.Matcher{}
			}
			g.Headers["Accept"] = scope.Matcher{In: []string{"a", "b"}}
		}
	default:
		c.narrowWhere(&g)
	}
	return g
}

// narrowField demands a field of a body, or forbids it.
func (c chance) narrowField(b *scope.Body) {
	at := pickOf(c, slices.Sorted(maps.Keys(b.Fields)))
	m := b.Fields[at]
	if c.one(2) && !m.Forbidden {
		m.Required = true
	} else {
		m = scope.Matcher{Forbidden: true}
	}
	b.Fields[at] = m
}

// narrowWhere bounds the captures that are bound once more.
func (c chance) narrowWhere(g *scope.Grant) {
	for name, m := range g.Where {
		if m.Set == nil && m.ValueType() == scope.String {
			m.Except = append(slices.Clone(m.Except), pickOf(c, []string{"a", "b", "a/b", "a/**"}))
			g.Where[name] = m
		}
	}
	if len(g.Where) == 0 && len(g.HTTP.Paths) == 1 {
		if t, err := scope.ParsePath(g.HTTP.Paths[0]); err == nil && len(t.Captures()) > 0 {
			g.Where = map[string]scope.Matcher{pickOf(c, t.Captures()): {In: []string{"a", "b", "a/b"}}}
		}
	}
}

// narrowed takes something away from s.
func (c chance) narrowed(s Scope) Scope {
	grants := slices.Clone(s.Grants)
	if len(grants) > 1 && c.one(3) {
		grants = grants[1:]
	} else {
		i := c.IntN(len(grants))
		grants[i] = c.narrower(cloneGrant(grants[i]))
	}
	s.Grants = grants
	return s
}

// tweaked changes one thing of s: its matchers, how often a name of the query
// may be there, what is admitted unlisted.
func (c chance) tweaked(s Scope) Scope {
	grants := slices.Clone(s.Grants)
	i := c.IntN(len(grants))
	g := cloneGrant(grants[i])
	grants[i] = g
	s.Grants = grants
	switch c.IntN(7) {
	case 3:
		if s.Requests == nil {
			s.Requests = &scope.Rate{Count: 5, Per: time.Second}
		} else {
			s.Requests = &scope.Rate{Count: s.Requests.Count - 1, Per: pickOf(c, spans)}
		}
	case 4:
		if g.Body != nil && g.Body.Media == scope.JSON {
			g.Body.UnlistedAllow = !g.Body.UnlistedAllow
		}
	case 5:
		g.Limits, g.Response = nil, nil
		c.bound(&g)
		grants[i] = g
	case 0:
		c.fold(g.Where)
		c.fold(g.Headers)
	case 1:
		c.fold(g.Query.Params)
	case 2:
		for name, m := range g.Query.Params {
			m.Repeated = !m.Repeated
			g.Query.Params[name] = m
		}
	default:
		g.Query.UnlistedAllow = !g.Query.UnlistedAllow
		grants[i] = g
	}
	return s
}

func (c chance) fold(all map[string]scope.Matcher) {
	for name, m := range all {
		if t := m.ValueType(); t == scope.String || t == scope.Any {
			m.FoldASCII = !m.FoldASCII
			all[name] = m
		}
	}
}
