package compile

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// examples decides requests that an author wrote down. One is allowed if some
// headers and body pass, and denied if none do.
type examples struct {
	p         *problem.List
	space     *region.Space
	endpoints []bundle.Endpoint
	grants    []scope.Grant
}

// newExamples decides by what each grant looks like in http.
func newExamples(p *problem.List, space *region.Space, c *bundle.Credential) *examples {
	x := &examples{p: p, space: space, endpoints: c.Endpoints}
	for _, g := range c.Grants {
		if g.HTTP != nil {
			x.grants = append(x.grants, g)
		}
	}
	x.grants = append(x.grants, piece.Requests(c.Endpoints, c.Grants).Grants...)
	return x
}

func (x *examples) all(path *field.Path, in *v1alpha1.Examples) {
	if in == nil {
		return
	}
	for i, text := range in.Allow {
		at := path.Child("allow").Index(i)
		switch allowed, known, why := x.decide(at, text); {
		case !known:
		case !allowed:
			x.p.Add(v1alpha1.ReasonExampleFailed, at, text, "it is refused, since "+why+": grant it, or remove it from allow")
		}
	}
	for i, text := range in.Deny {
		at := path.Child("deny").Index(i)
		switch allowed, known, why := x.decide(at, text); {
		case !known:
		case allowed:
			x.p.Add(v1alpha1.ReasonExampleFailed, at, text, "it is allowed by the grant "+why+": narrow that, or remove it from deny")
		}
	}
}

// decide judges an example. Where it is not known how, a problem says why;
// where it is, why names the grant that allows it, or says what is missing.
func (x *examples) decide(path *field.Path, text string) (allowed, known bool, why string) {
	endpoint, line := x.parse(text)
	if endpoint == nil {
		x.p.Invalid(path, text, "write it as METHOD /path?query, with an endpoint of the UpstreamSecret and a space in front where there are several")
		return false, false, ""
	}
	var request scope.Request
	if err := request.Parse(&scope.Head{Method: line[0], Target: line[1]}, &endpoint.Profile); err != nil {
		return false, true, err.Error()
	}
	why, unknown := "no grant allows this method and path", false
	for i := range x.grants {
		g := &x.grants[i]
		bare := *g
		bare.Headers, bare.Body = nil, nil
		if d := judge(endpoint, bare, &request); d.Verdict != scope.Allow {
			if d.Reason == scope.ParameterRefused {
				why = d.Detail
			}
			continue
		}
		switch x.passable(g, &endpoint.Profile) {
		case prove.Yes:
			return true, true, g.Name
		case prove.Unknown:
			unknown = true
		default:
			why = "no header or body passes that the grant " + g.Name + " requires"
		}
	}
	if !unknown {
		return false, true, why
	}
	x.p.Add(v1alpha1.ReasonUnsupported, path, text, "whether the headers and the body that a grant requires can pass takes too much work to find out: "+
		"use simpler patterns and smaller lengths, or remove the example")
	return false, false, ""
}

// passable answers whether some headers and some body pass that a grant asks
// for.
func (x *examples) passable(g *scope.Grant, p *scope.Profile) prove.Answer {
	x.space.Renew(exampleWork)
	if slices.ContainsFunc(x.space.Grant(g, p, region.Forwarded), x.space.Passes) {
		return prove.Yes
	}
	if x.space.Exceeded() {
		return prove.Unknown
	}
	return prove.No
}

// exampleWork is what an example may take, in states that are looked at.
const exampleWork = 1 << 16

// parse cuts an example into its endpoint, which is nil where there is none of
// that name, and method and target.
func (x *examples) parse(text string) (*bundle.Endpoint, []string) {
	line := strings.Split(text, " ")
	name := ""
	if len(line) == 3 {
		name, line = line[0], line[1:]
	}
	for i := range x.endpoints {
		e := &x.endpoints[i]
		if len(line) == 2 && (e.Name == name || name == "" && len(x.endpoints) == 1) {
			return e, line
		}
	}
	return nil, nil
}

// judge decides a request to an endpoint by one grant alone.
func judge(endpoint *bundle.Endpoint, g scope.Grant, request *scope.Request) scope.Decision {
	if g.Endpoint != endpoint.Name {
		return scope.Decision{Reason: scope.OutOfScope}
	}
	policy, err := scope.Compile(endpoint.Profile, []scope.Grant{g}, nil)
	if err != nil {
		return scope.Decision{Reason: scope.OutOfScope} // complained about already
	}
	return policy.Decide(request)
}
