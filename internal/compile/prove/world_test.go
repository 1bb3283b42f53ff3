package prove

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

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
	contentType := pickOf(c, []string{"", "application/json", "application/json", "application/json", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "multipart/form-data;boundary=b", "a/x+json"})
	switch {
	case strings.HasSuffix(contentType, "json"):
		h.body = pickOf(c, []string{`{}`, `{"a": "x"}`, `{"a": "y"}`, `{"a": 1}`, `{"a": 12, "b": null}`, `{"A": "x"}`, `{"b": {"c": "x"}}`, `{"b": {"c": "x", "d": 1}}`, `{"l": []}`, `{"l": ["a", "b"]}`, `{"l": ["a", 1, "b"]}`, `[]`, `null`, `{"a": "x"} `})
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

// outcomes are the ways in which a scope lets a request pass: what is forwarded
// for it, and how long its body may be. The judge of the whole scope is asked,
// and where several grants match the judges of each.
type oracle struct {
	profile *scope.Profile
	whole   *scope.Policy
	single  map[string]*scope.Policy
}

func newOracle(s Scope) (*oracle, error) {
	o := &oracle{profile: &s.Endpoints[0].Profile, single: map[string]*scope.Policy{}}
	var err error
	if o.whole, err = scope.Compile(*o.profile, s.Grants, nil); err != nil {
		return nil, err
	}
	for _, g := range s.Grants {
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

// outcomes of r, sorted.
func (o *oracle) outcomes(r *scope.Request, h *ask) []string {
	d := decide(o.whole, r, h)
	if d.Verdict != scope.Allow {
		return nil
	}
	var out []string
	for _, name := range slices.Clone(d.Grants) {
		one := decide(o.single[name], r, h)
		if one.Verdict != scope.Allow {
			continue // another one lets a longer body pass
		}
		text := string(scope.AppendTarget(nil, "", r, &one))
		for _, f := range h.Fields {
			text += fmt.Sprint(" ", scope.Forwards(&one, f.Name))
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compare returns what the requests show of two scopes.
func compare(from, to *oracle, requests []ask) (added, removed bool) {
	var r scope.Request
	for i := range requests {
		h := &requests[i]
		if r.Parse(&h.Head, from.profile) != nil {
			continue
		}
		old, fresh := from.outcomes(&r, h), to.outcomes(&r, h)
		added = added || slices.ContainsFunc(fresh, func(s string) bool { return !slices.Contains(old, s) })
		removed = removed || slices.ContainsFunc(old, func(s string) bool { return !slices.Contains(fresh, s) })
	}
	return added, removed
}

// asked is a witness as a request of the world.
func asked(w *region.Request) ask {
	return ask{w.Head(), string(w.Content(w.Size))}
}
