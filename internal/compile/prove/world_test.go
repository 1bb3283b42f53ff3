package prove

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// requests is the small world, each request as a reader hands it over.
var requests = sync.OnceValue(func() []scope.Head {
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
	all := make([]scope.Head, 8000)
	for i := range all {
		all[i] = c.request(pickOf(c, paths))
	}
	return all
})

// world is some of the requests.
func world(c chance, n int) []scope.Head {
	all := requests()
	at := c.IntN(len(all) - n)
	return all[at : at+n]
}

func (c chance) request(target string) scope.Head {
	h := scope.Head{Method: pickOf(c, verbs), Target: target, HasBody: c.one(8)}
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
	return h
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

// outcomes of r, sorted. A body of one byte more is another outcome.
func (o *oracle) outcomes(r *scope.Request, h *scope.Head) []string {
	d := o.whole.Decide(r)
	if d.Verdict != scope.Allow {
		return nil
	}
	var out []string
	for _, name := range slices.Clone(d.Grants) {
		one := o.single[name].Decide(r)
		text := string(scope.AppendTarget(nil, "", r, &one))
		for _, f := range h.Fields {
			text += fmt.Sprint(" ", scope.Forwards(&one, f.Name))
		}
		most := int64(1)
		if h.HasBody {
			most = one.Body.MaxBytes
		}
		for size := range most {
			out = append(out, fmt.Sprint(text, " ", size))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compare returns what the requests show of two scopes.
func compare(from, to *oracle, requests []scope.Head) (added, removed bool) {
	var r scope.Request
	for i := range requests {
		h := &requests[i]
		if r.Parse(h, from.profile) != nil {
			continue
		}
		old, fresh := from.outcomes(&r, h), to.outcomes(&r, h)
		added = added || slices.ContainsFunc(fresh, func(s string) bool { return !slices.Contains(old, s) })
		removed = removed || slices.ContainsFunc(old, func(s string) bool { return !slices.Contains(fresh, s) })
	}
	return added, removed
}
