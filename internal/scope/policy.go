package scope

import (
	"cmp"
	"errors"
	"slices"
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

// Verdict is the outcome of a decision. The zero value denies.
type Verdict uint8

// The verdicts.
const (
	Deny Verdict = iota
	Allow
)

// A Policy is the compiled scope of one endpoint: an immutable value, safe for
// concurrent use. A nil or zero Policy denies everything.
type Policy struct {
	root     *node
	override nameSet
	forward  nameSet
	reserved []string
	ceiling  *Policy
}

// A Decision is the outcome of judging one request. The zero Decision denies.
type Decision struct {
	Verdict Verdict
	Reason  Reason // why it was denied; empty where it was allowed
	Detail  string // what the agent's author can act on, of this request alone
	// Grants names the grants that match the request whole, sorted. It is
	// valid until the request is judged or parsed again.
	Grants []string
	// Body bounds the body that is forwarded; nil: there may be none.
	Body *Body

	policy *Policy
	route  *route // in whose form the request is forwarded
}

// beyondCeiling is what is told of a ceiling: its grants are not the agent's
// business.
const beyondCeiling = "the owner of the upstream does not allow this request to any agent"

// Compile makes the policy of one endpoint from its grants. A nil ceiling is
// none; an empty one allows nothing. The error joins a [*SpecError] for each
// thing that cannot be enforced, with fields such as
// grants[read].where.repo.glob.
func Compile(p Profile, grants []Grant, ceiling *[]Grant) (*Policy, error) {
	policy, errs := compile(&p, grants, "grants")
	errs = append(errs, checkFoldPaths(p.FoldPaths)...)
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

func compile(p *Profile, grants []Grant, field string) (*Policy, []error) {
	policy := &Policy{
		root:     &node{},
		override: newNameSet(overriding, p.RefuseHeaders),
		forward:  newNameSet(p.ForwardedHeaders()),
		reserved: p.ReservedQuery(),
	}
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

// Decide judges r. It allocates nothing, unless to say why it denies, and
// takes time that the request and the grants that match its path set, not the
// number of all grants.
func (p *Policy) Decide(r *Request) Decision {
	if r == nil || r.method == "" {
		return Decision{Reason: Malformed, Detail: "the request could not be read"}
	}
	r.found, r.names = r.found[:0], r.names[:0]
	if p != nil && p.root != nil {
		p.root.find(r, 0)
	}
	if len(r.found) == 0 {
		return Decision{Reason: OutOfScope, Detail: "no grant allows this method and path"}
	}
	if name, found := p.overrides(r); found {
		return Decision{Reason: ParameterRefused, Detail: "remove the header " + shown(name) + ": some servers take it over the request line"}
	}
	return p.judge(r)
}

// judge chooses from the grants that have method and path.
func (p *Policy) judge(r *Request) Decision {
	d := Decision{Reason: ParameterRefused}
	for _, one := range r.found {
		if detail, refused := one.grant.refuses(r, p); refused {
			if d.Detail == "" {
				d.Detail = detail
			}
			continue
		}
		r.names = append(r.names, one.grant.name)
		p.offer(&d, one, r)
	}
	d.Grants = r.names
	return d
}

// offer lets a grant that matches r whole be the one whose form is forwarded:
// the first by name that the ceiling allows, of those that allow the longest
// body if there is one. Had the shorter bound of another the precedence, a
// grant less could allow more.
func (p *Policy) offer(d *Decision, one *route, r *Request) {
	body := one.grant.body
	if p.ceiling != nil {
		above := p.ceiling.Decide(r.forwardedBy(p, one))
		if above.Verdict != Allow {
			if d.Verdict != Allow {
				d.Reason, d.Detail = BeyondCeiling, beyondCeiling
			}
			return
		}
		body = shorter(body, above.Body)
	}
	if d.Verdict == Allow && (!r.hasBody || body.MaxBytes <= d.Body.MaxBytes) {
		return
	}
	*d = Decision{Verdict: Allow, Body: body, policy: p, route: one}
}

func shorter(a, b *Body) *Body {
	if a == nil || b == nil {
		return nil
	}
	if b.MaxBytes < a.MaxBytes {
		return b
	}
	return a
}

// refuses returns why r does not pass, whose method and path do.
func (g *grant) refuses(r *Request, p *Policy) (detail string, refused bool) {
	if detail, refused = g.refusesQuery(r, p.reserved); refused {
		return detail, true
	}
	if detail, refused = g.refusesHeaders(r); refused {
		return detail, true
	}
	if r.hasBody && g.body == nil {
		return "the grant allows no body", true
	}
	return "", false
}

// AppendTarget appends the request target that is forwarded: basePath, which
// is empty or canonical and without a slash at its end, and r in the one
// spelling that was judged. It appends nothing where d does not allow.
func AppendTarget(dst []byte, basePath string, r *Request, d *Decision) []byte {
	if d == nil || d.Verdict != Allow || d.route == nil {
		return dst
	}
	return r.appendTarget(append(dst, basePath...), d.route)
}

func (r *Request) appendTarget(dst []byte, one *route) []byte {
	dst = r.appendPath(dst, one.folds)
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
	o.head = Head{Method: r.method, Target: view(o.target), Fields: o.head.Fields[:0], HasBody: r.hasBody}
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
