package prove

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Work that proofs may take, in states that are looked at: one of them, and all
// that are asked for at once. A state takes less than a microsecond.
const (
	proofWork = 1 << 18
	totalWork = 1 << 22
)

// An Answer is what a question has for an answer. The zero Answer is Unknown.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota // it took too much work
	No
	Yes
)

// NewSpace returns a space for the proofs about one scope, or about two.
func NewSpace() *region.Space { return region.NewSpace(lang.NewWork(totalWork)) }

// built is what a grant, or an entry of never, allows at one endpoint.
type built struct {
	profile *scope.Profile
	regions []*region.Region
	// complete says that the regions hold all of it.
	complete bool
}

// build works out what each grant allows. One of an endpoint that does not
// exist is not complete.
func build(s *region.Space, endpoints []bundle.Endpoint, grants []scope.Grant, r region.Reading) []built {
	out := make([]built, len(grants))
	for i := range grants {
		p := profileOf(endpoints, grants[i].Endpoint)
		if p == nil {
			continue
		}
		s.Renew(proofWork)
		out[i] = built{p, s.Grant(&grants[i], p, r), true}
		out[i].complete = !s.Exceeded()
	}
	return out
}

// together returns all regions. Where some are not complete they allow less, so
// that what lies within them lies within the whole.
func together(list []built) []*region.Region {
	var all []*region.Region
	for _, b := range list {
		all = append(all, b.regions...)
	}
	return all
}

// judges compiles single grants and keeps them.
type judges map[*scope.Grant]*scope.Policy

// policy is the judge of one grant; nil, which denies, where it cannot be
// enforced.
func (j judges) policy(p *scope.Profile, g *scope.Grant) *scope.Policy {
	policy, known := j[g]
	if !known {
		policy, _ = scope.Compile(*p, []scope.Grant{*g}, nil)
		j[g] = policy
	}
	return policy
}

// exchange is what the judge makes of a request by one grant.
type exchange struct {
	allowed bool
	target  string   // that is forwarded
	headers []string // that are forwarded
	grant   *scope.Grant
}

// forwards reports whether e lets the same pass as o.
func (e *exchange) forwards(o *exchange) bool {
	return e.allowed && o.allowed && e.target == o.target && slices.Equal(e.headers, o.headers)
}

// ask asks the judge of g about w, which comes as a profile has it read; nil is
// the strict one.
func (j judges) ask(p *scope.Profile, g *scope.Grant, w *region.Request, read *scope.Profile) exchange {
	out := exchange{grant: g}
	var request scope.Request
	head := w.Head()
	if g.Endpoint != w.Endpoint || request.Parse(&head, read) != nil {
		return out
	}
	policy := j.policy(p, g)
	d := policy.Decide(&request)
	if d.Verdict == scope.Undecided {
		d = policy.DecideBody(&request, scope.Content{Data: w.Content(d.Read), Whole: w.Size <= d.Read})
	}
	if d.Verdict != scope.Allow || w.Size > 0 && (d.Body == nil || w.Size > d.Body.MaxBytes) {
		return out
	}
	out.allowed, out.target = true, string(scope.AppendTarget(nil, "", &request, &d))
	for _, f := range w.Fields {
		if scope.Forwards(&d, f.Name) {
			out.headers = append(out.headers, f.Name)
		}
	}
	return out
}

// whole reports whether g lets w pass with every header that it has.
func (j judges) whole(p *scope.Profile, g *scope.Grant, w *region.Request, read *scope.Profile) bool {
	e := j.ask(p, g, w, read)
	return e.allowed && len(e.headers) == len(w.Fields)
}

// profileOf returns the profile of an endpoint; nil where there is none of
// this name.
func profileOf(endpoints []bundle.Endpoint, name string) *scope.Profile {
	for i := range endpoints {
		if endpoints[i].Name == name {
			return &endpoints[i].Profile
		}
	}
	return nil
}
