package scope

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/field"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/internal/scope/websocket"
)

// grant is a compiled [Grant].
type grant struct {
	name     string
	rank     int // by name, among all of the policy
	methods  []string
	params   []param
	unlisted bool
	headers  []header
	listed   nameSet
	body     *body.Body // nil: none is allowed
	message  *body.Body // nil: none is allowed
	upgrade  bool
	http2    bool
	protocol shape.Protocol
}

// param is a query name that a grant lists.
type param struct {
	name string
	is   *match.Text
}

func (g *grant) param(name string) *param {
	for i := range g.params {
		if g.params[i].name == name {
			return &g.params[i]
		}
	}
	return nil
}

// folds reports whether values of a query name are forwarded in lower case.
func (g *grant) folds(name string) bool {
	p := g.param(name)
	return p != nil && p.is.Fold
}

// refusesQuery returns why the query of r does not pass.
func (g *grant) refusesQuery(r *Request, reserved []string) (detail string, refused bool) {
	for i := range g.params {
		if detail, refused = g.params[i].refuses(r); refused {
			return detail, true
		}
	}
	for i := range r.query {
		name := r.query[i].Name
		switch {
		case g.param(name) != nil:
		case !g.unlisted:
			return "the query name " + shown(name) + " is not listed", true
		case isSpelling(name, reserved):
			return "the query name " + shown(name) + " is reserved", true
		case g.isSecondSpelling(name):
			return "the query name " + shown(name) + " is another spelling of a listed one", true
		}
	}
	return "", false
}

// refuses returns why the values of this name do not pass.
func (p *param) refuses(r *Request) (detail string, refused bool) {
	n := 0
	for i := range r.query {
		if r.query[i].Name != p.name {
			continue
		}
		if n++; p.is.Forbidden || !p.is.Match(r.query[i].Value, &r.lower) {
			return "the value of the query name " + shown(p.name) + " is not allowed", true
		}
	}
	switch {
	case n > 1 && !p.is.Repeated:
		return "the query name " + shown(p.name) + " occurs more than once", true
	case n == 0 && p.is.Required:
		return "the query name " + shown(p.name) + " is required", true
	}
	return "", false
}

func (g *grant) isSecondSpelling(name string) bool {
	for i := range g.params {
		if sameParam(name, g.params[i].name) {
			return true
		}
	}
	return false
}

func isSpelling(name string, of []string) bool {
	for _, want := range of {
		if sameParam(name, want) {
			return true
		}
	}
	return false
}

// sameParam reports whether some servers take both names for the same: letter
// case aside, and with what they read as an index, such as ids[] for ids.
func sameParam(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) > 0 && text.EqualFold(a, b[:len(a)]) && (len(a) == len(b) || b[len(a)] == '[')
}

// shown returns a name cut to what fits into a message.
func shown(name string) string {
	const most = 64
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "..."
	}
	return strings.Clone(name) // it may be a view, which a message outlives
}

// Check returns what Compile would find wrong with g, with fields relative to
// g such as where.repo.glob; none if it can be enforced.
func (g *Grant) Check(p Profile) []*SpecError {
	c := grantCompiler{profile: &p, policy: newPolicy(&p), spec: g}
	c.compile(0)
	return c.found
}

// grantCompiler compiles one grant and adds its paths to the policy.
type grantCompiler struct {
	profile *Profile
	policy  *Policy
	spec    *Grant
	out     *grant
	problems
}

func (c *grantCompiler) compile(rank int) {
	c.out = &grant{name: c.spec.Name, rank: rank, unlisted: c.spec.Query.UnlistedAllow}
	if c.spec.Name == "" {
		c.add("name", "", "name the grant")
	}
	c.out.params = c.query(c.spec.Query.Params)
	c.headers()
	c.body()
	c.rest()
	c.kind()
}

// kind compiles what makes up the kind of the grant.
func (c *grantCompiler) kind() {
	switch g := c.spec; {
	case g.kinds() != 1:
		c.add("http", "", "set http or another kind of grant, and one alone")
	case g.GraphQL != nil:
		c.graphql()
	case g.HTTP != nil:
		c.http()
	case g.Git != nil:
		c.shapes(git.Protocol, g.Git.Compile(c.profile.foldsNames(), c.add))
	case g.MCP != nil:
		c.mcp()
	case g.GRPC != nil:
		c.unlisted(grpc.Owns, "remove the header: it is the protocol's own")
		c.shapes(grpc.Protocol, g.GRPC.Shapes(c.add))
	case g.WebSocket != nil:
		c.shapes(websocket.Protocol, g.WebSocket.Shapes(c.add))
	}
}

// kinds counts the kinds that are set.
func (g *Grant) kinds() int {
	n := 0
	for _, set := range []bool{g.HTTP != nil, g.Git != nil, g.GraphQL != nil, g.MCP != nil, g.GRPC != nil, g.WebSocket != nil} {
		if set {
			n++
		}
	}
	return n
}

// graphql adds what a grant of that kind allows. A query could hold another
// document.
func (c *grantCompiler) graphql() {
	if c.spec.Query.UnlistedAllow || len(c.spec.Query.Params) > 0 || c.spec.Body != nil {
		c.add("graphql", "", "remove query and body, or grant by http")
	}
	c.shapes(graphql.Protocol, c.spec.GraphQL.Shapes(c.add))
}

func (c *grantCompiler) http() {
	c.methods()
	if len(c.spec.HTTP.Paths) == 0 {
		c.add("http.paths", "", "list a path")
	}
	c.paths(c.spec.HTTP.Paths...)
}

// mcp adds what a grant of that kind allows.
func (c *grantCompiler) mcp() {
	if t, err := ParsePath(c.spec.MCP.Path); err != nil || len(t.Captures()) > 0 {
		c.add("mcp.path", c.spec.MCP.Path, "write the path of the server, without captures")
		return
	}
	c.unlisted(mcp.Owns, "remove the header: it is made of the message")
	report := func(field, value, msg string) { c.add("mcp."+field, value, msg) }
	c.shapes(mcp.Protocol, mcp.Shapes(c.spec.MCP, report))
}

// unlisted refuses headers that belong to a protocol, and a query, which its
// messages do not have.
func (c *grantCompiler) unlisted(owns func(name string) bool, why string) {
	for _, name := range slices.Sorted(maps.Keys(c.spec.Headers)) {
		if owns(name) {
			c.add("headers."+name, "", why)
		}
	}
	if c.spec.Query.UnlistedAllow || len(c.spec.Query.Params) > 0 {
		c.add("query", "", "remove query, or grant by http: a message has none")
	}
}

// shapes adds what a grant of another kind allows. What the grant lists itself
// goes with every shape.
func (c *grantCompiler) shapes(protocol shape.Protocol, shapes []shape.Shape) {
	if g := c.spec; len(g.Where) > 0 || g.Body != nil || g.Response != nil {
		c.add(string(protocol), "", "remove where, body and response, or grant by http: they go with that alone")
	}
	of := *c.out
	for i := range shapes {
		s := &shapes[i]
		one := of
		one.protocol, one.methods, one.body, one.message = protocol, s.Methods, s.Body, s.Message
		one.upgrade, one.http2 = s.Upgrade, s.HTTP2
		one.params = append(slices.Clone(of.params), c.query(s.Params)...)
		one.headers = slices.Clone(of.headers)
		for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
			if m := s.Headers[name]; !of.listed.has(name) {
				one.headers = append(one.headers, header{name, match.CompileText(&m, "headers."+name, false, c.add)})
			}
		}
		one.listed = newNameSet(slices.Collect(maps.Keys(c.spec.Headers)), slices.Collect(maps.Keys(s.Headers)))
		c.out = &one
		if s.Path != "" {
			c.paths(s.Path)
			continue
		}
		route := &route{grant: &one, match: s.Match, matched: true}
		if s.Fold {
			route.folds = []span{{to: toEnd}}
		}
		c.policy.root.tail.plain.add(route)
	}
}

func (c *grantCompiler) methods() {
	if len(c.spec.HTTP.Methods) == 0 {
		c.add("http.methods", "", "list a method")
	}
	for _, m := range c.spec.HTTP.Methods {
		if !only(m, tokenByte) || m == "CONNECT" || m == "TRACE" {
			c.add("http.methods", m, "list methods such as GET; CONNECT and TRACE cannot be granted")
		}
	}
	c.out.methods = slices.Clone(c.spec.HTTP.Methods)
}

func (c *grantCompiler) paths(list ...string) {
	for _, path := range list {
		t, err := ParsePath(path)
		if err != nil {
			c.add("http.paths", path, err.Error())
			continue
		}
		if advice := t.misplaced(c.profile.Layouts); advice != "" {
			c.add(c.pathField(), path, advice)
			continue
		}
		c.path(path, &t)
	}
}

// pathField is where a path stands in the grant.
func (c *grantCompiler) pathField() string {
	if c.spec.HTTP != nil {
		return "http.paths"
	}
	return string(c.out.protocol) + ".path"
}

// path adds a path with its where to the trie.
func (c *grantCompiler) path(path string, t *PathTemplate) {
	folded := t.folded(c.profile.FoldPaths)
	one := &route{grant: c.out}
	for _, name := range slices.Sorted(maps.Keys(c.spec.Where)) {
		if !t.has(name) {
			c.add("where."+name, "", "declare the capture in every path, or remove it: "+path+" has none of this name")
			continue
		}
		one.where = append(one.where, c.where(name, t, folded))
	}
	for _, w := range one.where {
		if w.is.Fold {
			one.folds = append(one.folds, w.at)
		}
	}
	c.policy.root.insert(t, folded, one)
}

// where compiles the matcher of a capture. It folds what the profile folds if
// that is the whole of the capture.
func (c *grantCompiler) where(name string, t *PathTemplate, folded map[int]bool) bound {
	var at span
	for p, s := range t.spans {
		if p.capture == name {
			at = s
		}
	}
	m := c.spec.Where[name]
	if m.Forbidden || m.Repeated {
		c.add("where."+name, "", "remove forbidden and repeated: a capture is always there, once")
	}
	return bound{at: at, is: match.CompileText(&m, "where."+name, at.in(folded), c.add)}
}

func (c *grantCompiler) query(params map[string]Matcher) []param {
	var out []param
	for _, name := range slices.Sorted(maps.Keys(params)) {
		m := params[name]
		if name == "" {
			c.add("query.params", "", "remove the empty name: no request with one is ever allowed")
		}
		out = append(out, param{name, match.CompileText(&m, "query.params."+name, false, c.add)})
	}
	return out
}

func (c *grantCompiler) headers() {
	if len(c.spec.Headers) == 0 {
		return
	}
	never := newNameSet(unlistable)
	names := slices.Sorted(maps.Keys(c.spec.Headers))
	for i, name := range names {
		m := c.spec.Headers[name]
		field := "headers." + name
		switch {
		case !only(name, tokenByte):
			c.add(field, "", "write a header name")
		case never.hasSpelling(name):
			c.add(field, "", "remove the header: it is never forwarded as the agent sent it")
		case c.policy.override.hasSpelling(name):
			c.add(field, "", "remove the header: it overrides the request line and is always refused")
		case m.Repeated:
			c.add(field+".repeated", "", "remove repeated: a listed header occurs once")
		case slices.ContainsFunc(names[:i], func(other string) bool { return text.EqualName(other, name) }):
			c.add(field, "", "list the header once: another entry is a spelling of the same name")
		}
		c.out.headers = append(c.out.headers, header{name, match.CompileText(&m, field, false, c.add)})
	}
	c.out.listed = newNameSet(names)
}

func (c *grantCompiler) body() {
	b := c.spec.Body
	if b == nil {
		return
	}
	// Whoever lists the Content-Type has said which ones pass.
	c.out.body = body.Compile(b, c.out.listed.has("Content-Type"), c.policy.reserved, c.add)
}

// rest checks what is not judged here, but accepted with the grant.
func (c *grantCompiler) rest() {
	if c.spec.Response != nil {
		for _, path := range c.spec.Response.Keep {
			if _, err := field.Parse(path); err != nil {
				c.add("response.keep", path, err.Error())
			}
		}
	}
	if l := c.spec.Limits; l != nil && !l.Requests.Valid() {
		c.add("limits.requests", "", "allow 1 to 1000000 requests in 1s to 24h")
	}
}
