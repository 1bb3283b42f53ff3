package scope

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Reason is why a request was refused or an object was not accepted. The set
// is closed and shared by answers, audit records, metrics and conditions.
type Reason string

// Reasons of refused requests.
const (
	Malformed           Reason = "Malformed"
	Unauthenticated     Reason = "Unauthenticated"
	OutOfScope          Reason = "OutOfScope"       // no grant has this method and path
	ParameterRefused    Reason = "ParameterRefused" // one has, but query, headers or body do not pass
	BeyondCeiling       Reason = "BeyondCeiling"
	TooLarge            Reason = "TooLarge"
	TooSlow             Reason = "TooSlow"
	RateLimited         Reason = "RateLimited"
	NotReady            Reason = "NotReady"
	LeaseExpired        Reason = "LeaseExpired"
	Revoked             Reason = "Revoked"
	Suspended           Reason = "Suspended"
	Expired             Reason = "Expired"
	VersionWentBack     Reason = "VersionWentBack"
	ClockSkew           Reason = "ClockSkew"
	Unrecorded          Reason = "Unrecorded"
	DestinationRefused  Reason = "DestinationRefused"
	UpstreamUnreachable Reason = "UpstreamUnreachable"
	UpstreamTimeout     Reason = "UpstreamTimeout"
	AnswerRefused       Reason = "AnswerRefused"
)

// Reasons returns those of refused requests.
func Reasons() []Reason {
	return []Reason{
		Malformed, Unauthenticated, OutOfScope, ParameterRefused, BeyondCeiling, TooLarge,
		TooSlow, RateLimited, NotReady, LeaseExpired, Revoked, Suspended,
		Expired, VersionWentBack, ClockSkew, Unrecorded, DestinationRefused, UpstreamUnreachable,
		UpstreamTimeout, AnswerRefused,
	}
}

// A Policy is the compiled scope of one endpoint: an immutable value, safe for
// concurrent use. A nil or zero Policy denies everything.
type Policy struct {
	root     *node
	override nameSet
	forward  nameSet
	reserved []string
	layouts  []Layout
	ceiling  *Policy
}

// Compile makes the policy of one endpoint from its grants. A nil ceiling is
// none; an empty one allows nothing. The error joins a [*SpecError] for each
// thing that cannot be enforced, with fields such as
// grants[read].where.repo.glob.
func Compile(p Profile, grants []Grant, ceiling *[]Grant) (*Policy, error) {
	policy, errs := compile(&p, grants, "grants")
	errs = append(errs, checkFoldPaths(p.FoldPaths)...)
	errs = append(errs, checkLayouts(p.Layouts)...)
	if ceiling != nil {
		bound, more := compile(&p, *ceiling, "ceiling.grants")
		policy.ceiling = bound
		errs = append(errs, more...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return policy, nil
}

func newPolicy(p *Profile) *Policy {
	return &Policy{
		root:     &node{},
		override: newNameSet(overriding, p.RefuseHeaders),
		forward:  newNameSet(p.ForwardedHeaders()),
		reserved: p.ReservedQuery(),
		layouts:  p.Layouts,
	}
}

func compile(p *Profile, grants []Grant, field string) (*Policy, []error) {
	policy := newPolicy(p)
	sorted := slices.Clone(grants)
	slices.SortStableFunc(sorted, func(a, b Grant) int { return cmp.Compare(a.Name, b.Name) })
	var errs []error
	for i := range sorted {
		g := &sorted[i]
		c := grantCompiler{profile: p, policy: policy, spec: g, problems: problems{prefix: field + "[" + g.Name + "]."}}
		if i > 0 && sorted[i-1].Name == g.Name {
			c.add("name", g.Name, "name each grant differently")
		}
		c.compile(i)
		for _, e := range c.found {
			errs = append(errs, e)
		}
	}
	return policy, errs
}

// AppendTarget appends the request target that is forwarded: basePath, which
// is empty or canonical and without a slash at its end, and r in the one
// spelling that was judged; a path that stands elsewhere in the layout of the
// base path stands there. It appends nothing where d does not allow.
func AppendTarget(dst []byte, basePath string, r *Request, d *Decision) []byte {
	if d == nil || d.Verdict != Allow || d.route == nil {
		return dst
	}
	dst, whole := r.appendBase(dst, basePath, d.policy.layouts)
	if whole {
		return r.appendQuery(dst, d.route)
	}
	return r.appendTarget(dst, d.route)
}

// appendBase appends the base path of an endpoint for the path of r: for a path
// that stands elsewhere in the layout that the endpoint is in, all of it, and
// then the path is not to follow.
func (r *Request) appendBase(dst []byte, basePath string, layouts []Layout) (out []byte, whole bool) {
	for i := range layouts {
		above, in := strings.CutSuffix(basePath, layouts[i].Base)
		if !in {
			continue
		}
		for _, m := range layouts[i].Moved {
			if r.path == m.Plain {
				return append(append(dst, above...), m.There...), true
			}
		}
	}
	return append(dst, basePath...), false
}

func (r *Request) appendTarget(dst []byte, one *route) []byte {
	return r.appendQuery(r.appendPath(dst, one.folds), one)
}

func (r *Request) appendQuery(dst []byte, one *route) []byte {
	separator := byte('?')
	for _, q := range r.query {
		dst = append(dst, separator)
		dst = appendEscaped(dst, q.Name, unreserved, false)
		dst = append(dst, '=')
		dst = appendEscaped(dst, q.Value, unreserved, one.grant.folds(q.Name))
		separator = '&'
	}
	return dst
}

// onward is a request as it would be forwarded, for the ceiling to judge.
type onward struct {
	request *Request
	head    Head
	target  []byte
}

// forwardedBy returns r as it is forwarded under one route. The zero Request,
// which every policy refuses, comes back if that could not be read again.
func (r *Request) forwardedBy(p *Policy, one *route) *Request {
	o := &r.onward
	if o.request == nil {
		o.request = &Request{}
	}
	o.target = r.appendTarget(o.target[:0], one)
	o.head = Head{
		Method: r.method, Target: text.View(o.target), Fields: o.head.Fields[:0],
		HasBody: r.hasBody, Upgrade: r.upgrade, HTTP2: r.http2,
	}
	d := Decision{Verdict: Allow, policy: p, route: one}
	for _, f := range r.fields {
		if Forwards(&d, f.Name) {
			o.head.Fields = append(o.head.Fields, f)
		}
	}
	if err := o.request.Parse(&o.head, nil); err != nil {
		return &Request{}
	}
	return o.request
}
