package prove

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// ask is a request as a reader hands it over, with its body.
type ask struct {
	scope.Head
	body string
}

// requests is the small world.
var requests = sync.OnceValue(func() []ask {
	c := chance{rand.New(rand.NewPCG(7, 7))}
	paths := []string{"/", "/r", "/r/", "/s/B", "/s/b/", "/s/a/b/"}
	for _, first := range []string{"r", "s", "c"} {
		for _, second := range words {
			paths = append(paths, "/"+first+"/"+second)
			for _, third := range words {
				paths = append(paths, "/"+first+"/"+second+"/"+third)
			}
		}
	}
	for _, tail := range []string{"/a", "/b", "/c", "/a/b", "/a%2Fb", "%2Fb", "/A"} {
		paths = append(paths, "/r/a/b"+tail, "/r/A/c"+tail, "/s/a"+tail)
	}
	all := make([]ask, 8000)
	for i := range all {
		all[i] = c.request(pickOf(c, paths))
	}
	return all
})

// world is some of the requests.
func world(c chance, n int) []ask {
	all := requests()
	at := c.IntN(len(all) - n)
	return all[at : at+n]
}

func (c chance) request(target string) ask {
	h := ask{Head: scope.Head{Method: pickOf(c, verbs), Target: target}}
	if c.one(3) {
		h.Target += "?" + strings.Join(c.pairs(), "&")
	}
	for _, name := range []string{"Accept", "X-Own", "X-Std"} {
		if c.one(8) {
			for range 1 + c.IntN(6)/5 {
				h.Fields = append(h.Fields, scope.Field{Name: name, Value: pickOf(c, append(slices.Clip(words), "", "zzzz"))})
			}
		}
	}
	if c.one(4) {
		h.content(c)
	}
	return h
}

// content gives h a body.
func (h *ask) content(c chance) {
	h.HasBody = true
	h.contentAs(c, pickOf(c, []string{"", "application/json", "application/json", "application/json", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "multipart/form-data;boundary=b", "a/x+json", "application/x-amz-json-1.1"}))
}

func (h *ask) contentOf(c chance, m scope.Media) {
	h.HasBody = true
	h.contentAs(c, map[scope.Media]string{scope.JSON: "application/json", scope.Form: "application/x-www-form-urlencoded", scope.Multipart: "multipart/form-data;boundary=b"}[m])
}

func (h *ask) contentAs(c chance, contentType string) {
	switch {
	case strings.HasSuffix(contentType, "json"):
		h.body = c.json()
		if c.one(3) {
			h.body = pickOf(c, []string{`{}`, `{"a": "x"}`, `{"a": "y"}`, `{"a": 1}`, `{"a": 12, "b": null}`, `{"A": "x"}`, `{"b": {"c": "x"}}`, `{"b": {"c": "x", "d": 1}}`, `{"l": []}`, `{"l": ["a", "b"]}`, `{"l": ["a", 1, "b"]}`, `[]`, `null`, `{"a": "x"} `})
		}
	case strings.HasPrefix(contentType, "multipart"):
		parts := []string{"name=\"a\"\r\n\r\nx", "name=\"a\"; filename=\"f\"\r\n\r\nx", "name=\"b\"\r\nContent-Type: text/plain\r\n\r\n\xff", "name=\"B\"\r\n\r\nab", "name=\"a\"\r\nContent-Type: image/png\r\n\r\nab"}
		for range c.IntN(3) {
			h.body += "--b\r\nContent-Disposition: form-data; " + pickOf(c, parts) + "\r\n"
		}
		h.body = pickOf(c, []string{h.body, h.body}) + "--b--"
	case contentType != "":
		h.body = strings.Join(c.pairs(), "&")
	default:
		h.body = pickOf(c, []string{"x", "xx", "xxx"})
	}
	if contentType != "" {
		h.Fields = append(h.Fields, scope.Field{Name: "Content-Type", Value: contentType})
	}
	if c.one(12) {
		h.Fields = append(h.Fields, scope.Field{Name: "Content-Encoding", Value: pickOf(c, []string{"gzip", "identity"})})
	}
}

func (c chance) pairs() []string {
	var out []string
	for range 1 + c.IntN(3) {
		name := pickOf(c, []string{"p", "p", "q", "q", "k", "p%5B%5D", "P", "z", "callback"})
		out = append(out, name+"="+pickOf(c, append(slices.Clip(words), "", "true", "zzzz", "1.0")))
	}
	return out
}

// json is a document with a few of the names that fields have.
func (c chance) json() string {
	out := c.value(0)
	if c.one(8) {
		out = " " + out + "\n"
	}
	return out
}

func (c chance) value(depth int) string {
	var parts []string
	switch n := c.IntN(5 + depth*3); {
	case n < 3:
		seen := map[string]bool{}
		for range c.IntN(4) {
			if key := pickOf(c, []string{"a", "b", "b", "c", "d", "e", "l", "m", "A", "z"}); !seen[key] {
				seen[key] = true
				parts = append(parts, fmt.Sprintf("%q:%s", key, c.value(depth+1)))
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	case n == 3:
		for range c.IntN(4) {
			parts = append(parts, c.value(depth+1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	if c.one(2) {
		return fmt.Sprintf("%q", pickOf(c, words))
	}
	return pickOf(c, []string{"null", "true", "false", "0", "-0", "1", "1.0", "1.5", "7", "7.25", "12", "13", "-1", "1e1", `""`, `"x"`, `"."`, `"a\u0000"`})
}

// near makes requests that look like what the grants of a scope allow: of their
// methods, paths, names and media. It knows nothing of what lies between.
func (c chance) near(s Scope, n int) []ask {
	var out []ask
	for i := range s.Grants {
		g := &s.Grants[i]
		for range n {
			h := ask{Head: scope.Head{Method: pickOf(c, g.HTTP.Methods), Target: c.filled(pickOf(c, g.HTTP.Paths))}}
			if names := slices.Sorted(maps.Keys(g.Query.Params)); len(names) > 0 && c.one(2) {
				var pairs []string
				for _, name := range names {
					pairs = append(pairs, strings.NewReplacer("[", "%5B", "]", "%5D").Replace(name)+"="+pickOf(c, words))
				}
				h.Target += "?" + strings.Join(append(pairs, c.pairs()[1:]...), "&")
			}
			for _, name := range slices.Sorted(maps.Keys(g.Headers)) {
				if !c.one(3) {
					h.Fields = append(h.Fields, scope.Field{Name: name, Value: pickOf(c, words)})
				}
			}
			if g.Body != nil && !c.one(4) {
				h.contentOf(c, g.Body.Media)
			}
			out = append(out, h)
		}
	}
	return out
}

// filled puts words in place of the captures of a template.
func (c chance) filled(template string) string {
	parts := strings.Split(template, "/")
	for i := range parts {
		switch {
		case strings.HasSuffix(parts[i], "=*"), parts[i] == "*}": // of {x=*/*}
			parts[i] = pickOf(c, words)
		case strings.HasSuffix(parts[i], "...}"):
			parts[i] = c.text(0)
		case strings.Contains(parts[i], ","):
			parts[i] = pickOf(c, strings.Split(strings.Trim(parts[i], "{}"), ","))
		case strings.HasPrefix(parts[i], "{"):
			parts[i] = pickOf(c, words)
		}
	}
	return strings.Join(parts, "/")
}

// An outcome is what one grant lets happen for a request.
type outcome struct {
	text  string // what is forwarded
	grant *scope.Grant
}

// oracle has the outcomes of a scope: the judge of the whole scope is asked,
// and where several grants match the judges of each.
type oracle struct {
	profile *scope.Profile
	whole   *scope.Policy
	single  map[string]*scope.Policy
	grants  map[string]*scope.Grant
	total   *scope.Rate
}

func newOracle(s Scope) (*oracle, error) {
	o := &oracle{profile: &s.Endpoints[0].Profile, single: map[string]*scope.Policy{}, grants: map[string]*scope.Grant{}, total: s.Requests}
	var err error
	if o.whole, err = scope.Compile(*o.profile, s.Grants, nil); err != nil {
		return nil, err
	}
	for i, g := range s.Grants {
		o.grants[g.Name] = &s.Grants[i]
		if o.single[g.Name], err = scope.Compile(*o.profile, []scope.Grant{g}, nil); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// decide judges r, with its body where that is looked into.
func decide(p *scope.Policy, r *scope.Request, h *ask) scope.Decision {
	d := p.Decide(r)
	if d.Verdict == scope.Undecided {
		most := min(d.Read, int64(len(h.body)))
		d = p.DecideBody(r, scope.Content{Data: []byte(h.body[:most]), Whole: most == int64(len(h.body))})
	}
	if h.HasBody && d.Verdict == scope.Allow && int64(len(h.body)) > d.Body.MaxBytes {
		return scope.Decision{Reason: scope.TooLarge}
	}
	return d
}

func (o *oracle) outcomes(r *scope.Request, h *ask) []outcome {
	d := decide(o.whole, r, h)
	if d.Verdict != scope.Allow {
		return nil
	}
	var out []outcome
	for _, name := range slices.Clone(d.Grants) {
		one := decide(o.single[name], r, h)
		if one.Verdict != scope.Allow {
			continue // another one lets a longer body pass
		}
		text := string(scope.AppendTarget(nil, "", r, &one))
		for _, f := range h.Fields {
			text += fmt.Sprint(" ", scope.Forwards(&one, f.Name))
		}
		out = append(out, outcome{text, o.grants[name]})
	}
	return out
}

// exceeds reports whether some of the outcomes are more than all of those: in
// what is forwarded, how often, or what is seen of the answer. Of several
// grants one with limits left is enough, and the answer keeps what any keeps.
func exceeds(some, those []outcome) bool {
	for _, a := range some {
		forwarded, often := false, false
		for _, b := range those {
			if a.text == b.text {
				forwarded = true
				often = often || within(limitOf(a.grant), limitOf(b.grant))
			}
		}
		if !forwarded || !often {
			return true
		}
		for _, place := range append([]string{"b.d", "x", ""}, kept...) { // of an answer
			if sees(a.grant, place) && !slices.ContainsFunc(those, func(b outcome) bool { return b.text == a.text && sees(b.grant, place) }) {
				return true
			}
		}
	}
	return false
}

func limitOf(g *scope.Grant) *scope.Rate {
	if g.Limits == nil {
		return nil
	}
	return &g.Limits.Requests
}

// within reports whether a limit lets no more pass than another, at once and in
// an hour; nil is none.
func within(a, b *scope.Rate) bool {
	hourly := func(r *scope.Rate) int64 { return int64(r.Count) * int64(time.Hour/r.Per) }
	return b == nil || a != nil && a.Count <= b.Count && hourly(a) <= hourly(b)
}

// sees reports whether a place of an answer is kept; the empty one is that of
// an answer that is no object.
func sees(g *scope.Grant, place string) bool {
	if g.Response == nil {
		return true
	}
	return slices.ContainsFunc(g.Response.Keep, func(keep string) bool { return place == keep || strings.HasPrefix(place, keep+".") })
}

// compare returns what the requests show of two scopes.
func compare(from, to *oracle, requests []ask) (added, removed bool) {
	added, removed = !within(to.total, from.total), !within(from.total, to.total)
	var r scope.Request
	for i := range requests {
		h := &requests[i]
		if r.Parse(&h.Head, from.profile) != nil {
			continue
		}
		old, fresh := from.outcomes(&r, h), to.outcomes(&r, h)
		added = added || exceeds(fresh, old)
		removed = removed || exceeds(old, fresh)
	}
	return added, removed
}

// asked is a witness as a request of the world.
func asked(w *region.Request) ask {
	return ask{w.Head(), string(w.Content(w.Size))}
}
