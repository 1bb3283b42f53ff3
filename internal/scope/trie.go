package scope

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A route is one path of one grant.
type route struct {
	grant *grant
	where []bound
	folds []span // what is forwarded in lower case because of where
	// match decides about the path of a route that has no template.
	match   func(path string) bool
	matched bool
}

// bound is a matcher on the segments of a capture.
type bound struct {
	at span
	is *match.Text
}

// node is a place in the trie of all paths. A request goes down every branch
// that its segments fit, so no path takes precedence over another; what it
// costs is given by its own length and not by the number of grants.
type node struct {
	// literal has the children by what their segment is. There is more than
	// one for a literal that is one of several alternates as well.
	literal map[string][]*node
	// wild is the child of a capture's segment.
	wild *node
	ends routes // of paths that end here
	tail routes // of paths whose tail begins here

	children map[string]*node // by all alternates, while the trie is built
}

// routes are those of paths without and with a slash at their end.
type routes struct{ plain, slash group }

func (r *routes) of(slash bool) *group {
	if slash {
		return &r.slash
	}
	return &r.plain
}

// group holds the routes of one path. Where many grants have the same path and
// differ in a value of where alone, they are found by that value.
type group struct {
	others  []*route
	byValue []byValue
}

// byValue has routes by the values that one of their matchers lets pass.
type byValue struct {
	at     span
	fold   bool
	routes map[string][]*route
}

func (g *group) add(one *route) {
	for _, w := range one.where {
		if w.is.Values != nil {
			g.index(w.at, w.is.Fold).add(w.is.Values, one)
			return
		}
	}
	g.others = append(g.others, one)
}

func (g *group) index(at span, fold bool) *byValue {
	for i := range g.byValue {
		if g.byValue[i].at == at && g.byValue[i].fold == fold {
			return &g.byValue[i]
		}
	}
	g.byValue = append(g.byValue, byValue{at, fold, map[string][]*route{}})
	return &g.byValue[len(g.byValue)-1]
}

func (v *byValue) add(values map[string]struct{}, one *route) {
	for value := range values {
		v.routes[value] = append(v.routes[value], one)
	}
}

// insert adds a path to the trie.
func (n *node) insert(t *PathTemplate, folded map[int]bool, one *route) {
	for p, at := range t.spans {
		if p.isTail() {
			n.tail.of(t.slash).add(one)
			return
		}
		for i := at.from; i < at.to; i++ {
			n = n.child(p, folded[i])
		}
	}
	n.ends.of(t.slash).add(one)
}

// child returns the child for one segment of p, made where it is missing.
func (n *node) child(p *part, fold bool) *node {
	if p.capture != "" {
		if n.wild == nil {
			n.wild = &node{}
		}
		return n.wild
	}
	literals := p.literals
	if fold {
		literals = lowered(literals)
	}
	key := strings.Join(literals, "/") // a literal holds no slash
	c := n.children[key]
	if c != nil {
		return c
	}
	c = &node{}
	if n.children == nil {
		n.children, n.literal = map[string]*node{}, map[string][]*node{}
	}
	n.children[key] = c
	for _, l := range literals {
		n.literal[l] = append(n.literal[l], c)
	}
	return c
}

func lowered(literals []string) []string {
	out := make([]string, len(literals))
	for i, l := range literals {
		out[i] = text.Lower(l)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// find collects into r.found the routes that match from segment i on.
func (n *node) find(r *Request, i int) {
	if i == len(r.segments) {
		r.consider(&n.ends)
		return
	}
	if r.segments[i].glued {
		return // a tail may hold this, but not begin in the middle of it
	}
	r.consider(&n.tail)
	if i+1 < len(r.segments) && r.segments[i+1].glued {
		return
	}
	if n.literal != nil {
		for _, c := range n.literal[r.segment(i)] {
			c.find(r, i+1)
		}
	}
	if n.wild != nil {
		n.wild.find(r, i+1)
	}
}

// consider adds to r.found the routes that may match.
func (r *Request) consider(at *routes) {
	g := at.of(r.slash)
	for i := range g.byValue {
		v := &g.byValue[i]
		r.add(v.routes[match.Spelled(r.text(v.at), v.fold, &r.lower)])
	}
	r.add(g.others)
}

// add adds those routes to r.found whose method and where match, at most one
// for a grant, in the order of the grants' names.
func (r *Request) add(routes []*route) {
	for _, one := range routes {
		if one.grant.upgrade != r.upgrade || one.grant.http2 != r.http2 || !slices.Contains(one.grant.methods, r.method) || !one.matches(r) {
			continue
		}
		i := len(r.found)
		for i > 0 && r.found[i-1].grant.rank > one.grant.rank {
			i--
		}
		if i == 0 || r.found[i-1].grant != one.grant {
			r.found = slices.Insert(r.found, i, one)
		}
	}
}

func (one *route) matches(r *Request) bool {
	if one.matched {
		glued := slices.ContainsFunc(r.segments, func(s segment) bool { return s.glued })
		return !glued && one.match != nil && one.match(r.path)
	}
	for _, w := range one.where {
		if !w.is.Match(r.text(w.at), &r.lower) {
			return false
		}
	}
	return true
}

// text returns the decoded text of segments, with `/` between them.
func (r *Request) text(at span) string {
	last := len(r.segments) - 1
	if at.to != toEnd {
		last = at.to - 1
	}
	return r.path[r.segments[at.from].start:r.segments[last].end]
}
