// Package explain says why a request is decided as it is: which grants allow
// it, or which come nearest and what each of them lacks. Everything it says was
// asked of the judge that runs beside the agent, by taking a grant apart and
// asking about its pieces.
package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A Request is what is asked about.
type Request struct {
	Endpoint string // may be empty where there is one
	Method   string
	Target   string // path and query
	Fields   []scope.Field
	// Body is the body; nil: none. With AnyBody, one that nobody has seen.
	Body    []byte
	AnyBody bool
	// GraphQL reads the documents of such requests; see [scope.Content].
	GraphQL func(text string) (*syntax.Document, error)
}

// An Answer says how a request is decided. The zero Answer is a refusal.
type Answer struct {
	Endpoint string       `json:"endpoint,omitempty"`
	Allowed  bool         `json:"allowed"`
	Grants   []string     `json:"grants,omitempty"` // that allow it
	Reason   scope.Reason `json:"reason,omitempty"` // why it is refused
	Detail   string       `json:"detail,omitempty"` // as the agent would be told
	// Forwarded is the target that goes upstream.
	Forwarded string `json:"forwarded,omitempty"`
	// Dropped are headers that were given and do not go upstream.
	Dropped []string `json:"dropped,omitempty"`
	// Nearest are the grants that lack least, the nearest first.
	Nearest []Near `json:"nearest,omitempty"`
}

// Near is a grant that does not allow the request.
type Near struct {
	Grant string `json:"grant"`
	// Missing is what the request would have to be for each part of the grant
	// that does not match it.
	Missing []string `json:"missing"`
	far     int
}

// mostNear bounds how many grants are told that do not match.
const mostNear = 3

// Decide answers for one credential. The error says that the request names no
// endpoint of it.
func Decide(c *bundle.Credential, q Request) (Answer, error) {
	endpoint, err := endpointOf(c, q.Endpoint)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Endpoint: endpoint.Name}
	var request scope.Request
	head := scope.Head{Method: q.Method, Target: q.Target, Fields: q.Fields, HasBody: q.Body != nil || q.AnyBody, HTTP2: q.isCall()}
	if a.Detail = unreadable(&request, &head, &endpoint.Profile); a.Detail != "" {
		a.Reason = scope.Malformed
		return a, nil
	}
	grants := at(endpoint.Name, c.Grants)
	var ceiling *[]scope.Grant
	if c.Ceiling != nil {
		above := at(endpoint.Name, c.Ceiling.Grants)
		ceiling = &above
	}
	policy, err := scope.Compile(endpoint.Profile, grants, ceiling)
	if err != nil {
		return Answer{}, fmt.Errorf("compiling the scope: %w", err)
	}
	d := decide(policy, &request, &q)
	if d.Verdict == scope.Allow {
		a.allow(&request, &d, &q)
		return a, nil
	}
	a.Reason, a.Detail = d.Reason, d.Detail
	e := explainer{endpoint, &request, &q}
	for i := range grants {
		if grants[i].HTTP != nil {
			a.Nearest = append(a.Nearest, e.near(&grants[i]))
		}
	}
	slices.SortStableFunc(a.Nearest, func(a, b Near) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(len(a.Missing), len(b.Missing)))
	})
	a.Nearest = a.Nearest[:min(len(a.Nearest), mostNear)]
	return a, nil
}

// isCall tells a call of gRPC, which comes over HTTP/2, by its Content-Type.
func (q *Request) isCall() bool {
	return slices.ContainsFunc(q.Fields, func(f scope.Field) bool { return text.EqualFold(f.Name, "Content-Type") && grpc.IsCall(f.Value) })
}

// unreadable reads the request, and says why it cannot be read.
func unreadable(r *scope.Request, h *scope.Head, p *scope.Profile) string {
	if err := r.Parse(h, p); err != nil {
		return err.Error()
	}
	return ""
}

func (a *Answer) allow(request *scope.Request, d *scope.Decision, q *Request) {
	a.Allowed, a.Grants = true, slices.Clone(d.Grants)
	a.Forwarded = string(scope.AppendTarget(nil, "", request, d))
	for _, f := range q.Fields {
		if !scope.Forwards(d, f.Name) {
			a.Dropped = append(a.Dropped, f.Name)
		}
	}
}

func endpointOf(c *bundle.Credential, name string) (*bundle.Endpoint, error) {
	var names []string
	for i := range c.Endpoints {
		if e := &c.Endpoints[i]; e.Name == name || name == "" && len(c.Endpoints) == 1 {
			return e, nil
		}
		names = append(names, c.Endpoints[i].Name)
	}
	return nil, fmt.Errorf("write the endpoint before the method: one of %s", strings.Join(names, ", "))
}

func at(endpoint string, grants []scope.Grant) []scope.Grant {
	var out []scope.Grant
	for _, g := range grants {
		if g.Endpoint == endpoint {
			out = append(out, g)
		}
	}
	return out
}

// decide judges the request, with its body where that is looked into. One that
// nobody has seen passes where it might.
func decide(p *scope.Policy, request *scope.Request, q *Request) scope.Decision {
	d := p.Decide(request)
	if d.Verdict == scope.Undecided && q.AnyBody {
		return scope.Decision{Reason: scope.ParameterRefused, Detail: "everything but the body passes: give the body to have it judged"}
	}
	for read := int64(-1); d.Verdict == scope.Undecided && d.Read > read; { // some ask for more than at first
		read = d.Read
		n := min(int64(len(q.Body)), read)
		d = p.DecideBody(request, scope.Content{Data: q.Body[:n], Whole: n == int64(len(q.Body)), GraphQL: q.GraphQL})
	}
	if d.Verdict == scope.Undecided {
		return scope.Decision{Reason: scope.Malformed, Detail: "the body could not be read"}
	}
	if d.Verdict == scope.Allow && d.Body != nil && int64(len(q.Body)) > d.Body.MaxBytes {
		return scope.Decision{Reason: scope.TooLarge, Detail: fmt.Sprintf("the body has more than %d bytes", d.Body.MaxBytes)}
	}
	return d
}

// explainer takes grants apart for one request.
type explainer struct {
	endpoint *bundle.Endpoint
	request  *scope.Request
	q        *Request
}

// allows asks the judge about one grant.
func (e *explainer) allows(g scope.Grant) (bool, scope.Decision) {
	p, err := scope.Compile(e.endpoint.Profile, []scope.Grant{g}, nil)
	if err != nil {
		return false, scope.Decision{Detail: err.Error()}
	}
	d := decide(p, e.request, e.q)
	return d.Verdict == scope.Allow, d
}

// near says what a grant lacks.
func (e *explainer) near(g *scope.Grant) Near {
	n := Near{Grant: g.Name}
	if g.HTTP == nil {
		_, d := e.allows(*g)
		n.Missing = append(n.Missing, d.Detail)
		return n
	}
	if !slices.Contains(g.HTTP.Methods, e.q.Method) {
		n.Missing = append(n.Missing, "the method "+e.q.Method+" is none of "+strings.Join(g.HTTP.Methods, ", "))
	}
	relaxed := *g
	relaxed.HTTP = &scope.HTTP{Methods: []string{e.q.Method}, Paths: e.matching(g)}
	if len(relaxed.HTTP.Paths) == 0 {
		missing, far := e.nearestPath(g)
		n.Missing, n.far = append(n.Missing, missing), far
		return n
	}
	n.Missing = append(n.Missing, e.captures(&relaxed)...)
	relaxed.Where = nil
	if ok, d := e.allows(relaxed); !ok {
		n.Missing = append(n.Missing, d.Detail)
	}
	return n
}

// matching returns the paths of g that match without its where.
func (e *explainer) matching(g *scope.Grant) []string {
	var out []string
	for _, path := range g.HTTP.Paths {
		if e.outOfScope(scope.Grant{HTTP: &scope.HTTP{Paths: []string{path}}}) {
			continue
		}
		out = append(out, path)
	}
	return out
}

// outOfScope reports whether a grant does not match for its method, path or
// where.
func (e *explainer) outOfScope(g scope.Grant) bool {
	g.Name, g.Endpoint, g.HTTP.Methods = "one", e.endpoint.Name, []string{e.q.Method}
	_, d := e.allows(g)
	return d.Reason == scope.OutOfScope
}

// captures names the captures of which the matcher does not match, in every
// path that does.
func (e *explainer) captures(g *scope.Grant) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(g.Where)) {
		m := g.Where[name]
		one := scope.Grant{HTTP: &scope.HTTP{Paths: g.HTTP.Paths}, Where: map[string]scope.Matcher{name: m}}
		if e.outOfScope(one) {
			out = append(out, fmt.Sprintf("the capture %s of the path is not %s", name, Matcher(&m)))
		}
	}
	return out
}

// nearestPath says where the path leaves the template that it follows longest,
// and how much of it is left then.
func (e *explainer) nearestPath(g *scope.Grant) (missing string, far int) {
	path := string(e.request.AppendPath(nil))
	segments := strings.Split(strings.Trim(path, "/"), "/")
	best, template := -1, ""
	for _, t := range g.HTTP.Paths {
		if n := follows(t, &e.endpoint.Profile, segments); n > best {
			best, template = n, t
		}
	}
	switch {
	case best >= len(segments):
		missing = fmt.Sprintf("the path does not end as %s does", template)
	case best <= 0:
		missing = fmt.Sprintf("the path is not %s", strings.Join(g.HTTP.Paths, " or "))
	default:
		missing = fmt.Sprintf("the path leaves %s at %q", template, segments[best])
	}
	return missing, 1 + len(segments) - best
}

// follows returns how many segments fit the literals of a template.
func follows(template string, p *scope.Profile, segments []string) int {
	t, err := scope.ParsePath(template)
	if err != nil {
		return 0
	}
	n := 0
	for _, part := range t.Parts(p) {
		switch {
		case len(part.Literals) == 0 && part.Width == 0:
			return len(segments)
		case n == len(segments), len(part.Literals) > 0 && !slices.Contains(part.Literals, segments[n]):
			return n
		}
		n = min(len(segments), n+max(1, part.Width))
	}
	return n
}
