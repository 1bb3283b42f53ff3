// Package reach tells which operations of an API's description a scope reaches,
// and under which conditions. An operation is reached if some request that a
// grant allows is one for it, and a server would not take that request for
// another operation whose path says more.
package reach

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/explain"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// A Reached is an operation that some grants reach.
type Reached struct {
	Operation
	Through []Through `json:"through"`
}

// Through is a grant that reaches an operation.
type Through struct {
	Grant string `json:"grant"`
	// When are the conditions of the grant.
	When    []string `json:"when,omitempty"`
	Example string   `json:"example"` // a request that it allows
}

// A Report says what a scope reaches.
type Report struct {
	Operations int       `json:"operations"` // described
	Reached    []Reached `json:"reached"`
	// Unknown are operations of which it was not found out, or whose paths
	// cannot be read.
	Unknown []Operation `json:"unknown,omitempty"`
}

// operationWork is what one operation may take, in states.
const operationWork = 1 << 14

// Of reports which of the operations are reached at an endpoint.
func Of(c *bundle.Credential, endpoint string, operations []Operation) Report {
	r := reacher{space: prove.NewSpace(), operations: operations, report: Report{Operations: len(operations)}}
	for i := range c.Endpoints {
		if c.Endpoints[i].Name == endpoint {
			r.profile = &c.Endpoints[i].Profile
		}
	}
	if r.profile == nil {
		return r.report
	}
	for i := range c.Grants {
		if g := &c.Grants[i]; g.Endpoint == endpoint && g.HTTP != nil {
			r.space.Renew(operationWork)
			r.grants = append(r.grants, grant{g, r.space.Grant(g, r.profile, region.Forwarded)})
		}
	}
	for i := range operations {
		r.operation(&operations[i])
	}
	return r.report
}

type grant struct {
	*scope.Grant
	regions []*region.Region
}

type reacher struct {
	space      *region.Space
	profile    *scope.Profile
	grants     []grant
	operations []Operation
	report     Report
}

// named returns the requests for an operation; none where its path cannot be
// read.
func (r *reacher) named(o *Operation) []*region.Region {
	template, where := o.template()
	return r.space.Never(&region.Never{Methods: []string{o.Method}, Paths: []string{template}, Where: where}, r.profile)
}

func (r *reacher) operation(o *Operation) {
	r.space.Renew(operationWork)
	named := r.named(o)
	var preferred []*region.Region
	known := false // preferred is
	out := Reached{Operation: *o}
	for _, g := range r.grants {
		w, found := r.through(g, named, nil)
		if found && !known {
			preferred, known = r.preferredTo(o), true
		}
		if found && len(preferred) > 0 {
			w, found = r.through(g, named, preferred)
		}
		if found {
			out.Through = append(out.Through, Through{g.Name, When(g.Grant), w.String()})
		}
	}
	if len(out.Through) > 0 {
		r.report.Reached = append(r.report.Reached, out)
	}
	if r.space.Exceeded() {
		r.report.Unknown = append(r.report.Unknown, *o)
	}
}

func (r *reacher) through(g grant, named, preferred []*region.Region) (region.Request, bool) {
	for _, a := range g.regions {
		for _, b := range named {
			if w, found := r.space.CommonOutside(a, b, preferred); found {
				return w, true
			}
		}
	}
	return region.Request{}, false
}

// preferredTo returns the requests that a server takes for other operations.
func (r *reacher) preferredTo(o *Operation) []*region.Region {
	var out []*region.Region
	for i := range r.operations {
		if o.yields(&r.operations[i]) {
			out = append(out, r.named(&r.operations[i])...)
		}
	}
	return out
}

// mostConditions bounds how many fields of a body are told.
const mostConditions = 8

// When says in words under which conditions a grant allows a request of its
// methods and paths.
func When(g *scope.Grant) []string {
	out := matchers(g.Where, "")
	out = append(out, matchers(g.Query.Params, "query ")...)
	if g.Query.UnlistedAllow {
		out = append(out, "query: any other name")
	}
	out = append(out, matchers(g.Headers, "header ")...)
	if b := g.Body; b != nil {
		out = append(out, fmt.Sprintf("body: %s, up to %d bytes", b.Media, b.MaxBytes))
		fields := matchers(b.Fields, "body ")
		if more := len(fields) - mostConditions; more > 0 {
			fields = append(fields[:mostConditions], fmt.Sprintf("and %d more fields of the body", more))
		}
		out = append(out, fields...)
		for _, name := range slices.Sorted(maps.Keys(b.Parts)) {
			out = append(out, "body part "+name)
		}
		if b.UnlistedAllow {
			out = append(out, "body: anything else")
		}
	}
	if g.Limits != nil {
		out = append(out, fmt.Sprintf("at most %d requests in %s", g.Limits.Requests.Count, g.Limits.Requests.Per))
	}
	if g.Response != nil {
		out = append(out, "of the answer: "+strings.Join(g.Response.Keep, ", "))
	}
	return out
}

func matchers(all map[string]scope.Matcher, before string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		text := before + name + ": " + explain.Matcher(&m)
		if m.Required {
			text += ", required"
		}
		out = append(out, text)
	}
	return out
}
