package scope

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
)

// Verdict is the outcome of a decision. The zero value denies.
type Verdict uint8

// The verdicts.
const (
	Deny Verdict = iota
	Allow
	// Undecided: everything but the body has passed, and a grant looks into
	// that. Nothing is forwarded until [Policy.DecideBody] has allowed it.
	Undecided
)

// A Decision is the outcome of judging one request. The zero Decision denies.
type Decision struct {
	Verdict Verdict
	Reason  Reason // why it was denied; empty where it was not
	Status  int    // of a refusal; 0: the usual one of its reason
	Detail  string // what the agent's author can act on, of this request alone
	// Grants names the grants that match the request whole, sorted, and Above
	// those of the ceiling under which they do. Both are valid until the
	// request is judged or parsed again, and empty while it is undecided.
	Grants, Above []string
	// Body bounds a body that is forwarded as it comes; nil: there may be
	// none. Undecided, it is the bound of one that no grant looks into.
	Body *Body
	// Read is, while undecided, how many bytes of the body are to be read: a
	// longer one passes, if at all, without a look into it.
	Read int64

	closest int // rank of the refusal
	policy  *Policy
	route   *route // in whose form the request is forwarded
}

// beyondCeiling is what is told of a ceiling: its grants are not the agent's
// business.
const beyondCeiling = "the owner of the upstream does not allow this request to any agent"

// Decide judges r by its head. It allocates nothing, unless to say why it
// denies, and takes time that the request and the grants that match its path
// set, not the number of all grants.
func (p *Policy) Decide(r *Request) Decision { return p.decide(r, nil) }

// DecideBody judges r, which was undecided, with its body: data is all of it,
// or, where it is longer than what was to be read, its beginning.
func (p *Policy) DecideBody(r *Request, data []byte, whole bool) Decision {
	b := body.Read(data, whole)
	defer b.Release()
	return p.decide(r, b)
}

// decide judges r, by its head alone where b is nil.
func (p *Policy) decide(r *Request, b *body.Reading) Decision {
	if r == nil || r.method == "" {
		return Decision{Reason: Malformed, Detail: "the request could not be read"}
	}
	r.found, r.names, r.above = r.found[:0], r.names[:0], r.above[:0]
	if p != nil && p.root != nil {
		p.root.find(r, 0)
	}
	if len(r.found) == 0 {
		return Decision{Reason: OutOfScope, Detail: "no grant allows this method and path"}
	}
	if name, found := p.overrides(r); found {
		return Decision{Reason: ParameterRefused, Detail: "remove the header " + shown(name) + ": some servers take it over the request line"}
	}
	return p.judge(r, b)
}

// judge chooses from the grants that have method and path.
func (p *Policy) judge(r *Request, b *body.Reading) Decision {
	d := Decision{Reason: ParameterRefused}
	for _, one := range r.found {
		p.offer(&d, one, r, b)
	}
	switch {
	case d.Read > 0:
		d = Decision{Verdict: Undecided, Read: d.Read, Body: d.Body}
	case d.Verdict == Allow:
		d.Grants, d.Above = r.names, r.above
	}
	return d
}

// offer lets a grant that matches r whole be the one whose form is forwarded:
// the first by name that the ceiling allows, of those that allow the longest
// body if there is one that is forwarded as it comes. Had the shorter bound of
// another the precedence, a grant less could allow more.
func (p *Policy) offer(d *Decision, one *route, r *Request, b *body.Reading) {
	why, undecided := one.grant.refuses(r, p, b)
	if why.rank > 0 {
		d.refuse(why)
		return
	}
	bound, read := one.grant.bound()
	if p.ceiling != nil {
		above := p.ceiling.decide(r.forwardedBy(p, one), b)
		if above.Verdict == Deny {
			d.refuse(refusal{reason: BeyondCeiling, detail: beyondCeiling, rank: highestRank})
			return
		}
		undecided = undecided || above.Verdict == Undecided
		bound, read = shorter(bound, above.Body), least(read, &above)
		r.above = union(r.above, above.Grants)
	}
	if undecided {
		d.Read = max(d.Read, read)
		return
	}
	r.names = append(r.names, one.grant.name)
	whole := !r.hasBody || b != nil && b.Whole()
	d.allow(one, bound, p, whole)
}

// allow chooses between what is forwarded by now and one more.
func (d *Decision) allow(one *route, bound *Body, p *Policy, whole bool) {
	if d.Verdict == Allow && (whole || bound.MaxBytes <= d.Body.MaxBytes) {
		return
	}
	*d = Decision{Verdict: Allow, Body: bound, Read: d.Read, policy: p, route: one}
}

// bound returns the bound of a body, nil where there may be none, and how much
// of one is to be read.
func (g *grant) bound() (bound *Body, read int64) {
	if g.body == nil {
		return nil, 0
	}
	return &g.body.Spec, g.body.Spec.MaxBytes
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

// least returns how much of a body is to be read where the ceiling has a say.
func least(read int64, above *Decision) int64 {
	if above.Read > 0 {
		return min(read, above.Read)
	}
	if above.Body != nil {
		return min(read, above.Body.MaxBytes)
	}
	return read
}

func union(names, more []string) []string {
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// refusal is why a grant does not match. The zero refusal says that it does.
type refusal struct {
	reason Reason
	status int
	detail string
	rank   int // how far the grant came: of several, the closest is told
}

const (
	headRank    = int(body.Refused)
	highestRank = headRank + 1
)

// refuse takes note of a refusal, unless something else is nearer to what was
// meant.
func (d *Decision) refuse(why refusal) {
	if d.Verdict == Allow || d.closest >= why.rank {
		return
	}
	d.Reason, d.Status, d.Detail, d.closest = why.reason, why.status, why.detail, why.rank
}

// refuses returns why r does not pass, whose method and path do; undecided, if
// it depends on the body.
func (g *grant) refuses(r *Request, p *Policy, b *body.Reading) (why refusal, undecided bool) {
	if detail, refused := g.refusesQuery(r, p.reserved); refused {
		return refusal{reason: ParameterRefused, detail: detail, rank: headRank}, false
	}
	if detail, refused := g.refusesHeaders(r); refused {
		return refusal{reason: ParameterRefused, detail: detail, rank: headRank}, false
	}
	found, undecided := g.refusesBody(r, b)
	why = refusal{reason: ParameterRefused, detail: found.Detail, rank: int(found.Reason)}
	switch found.Reason {
	case body.WrongMedia:
		why.status = 415
	case body.TooLarge:
		why.reason = TooLarge
	case body.Malformed:
		why.reason, why.status = Malformed, 400
	}
	return why, undecided
}

// refusesBody returns why the body of r does not pass; undecided, if it was
// not read.
func (g *grant) refusesBody(r *Request, b *body.Reading) (why body.Refusal, undecided bool) {
	switch {
	case g.body == nil && r.hasBody:
		return body.Refusal{Reason: body.Refused, Detail: "the grant allows no body"}, false
	case g.body == nil:
		return body.Refusal{}, false
	case !r.hasBody || b != nil && b.Empty():
		return g.body.Absent(), false
	}
	if why := g.body.Header(&r.content); why.Reason != body.Passes || b == nil {
		return why, why.Reason == body.Passes && !g.body.Opaque()
	}
	return g.body.Judge(&r.content, b), false
}
