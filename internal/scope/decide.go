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
	// Protocol is what the grants speak that have method and path, whether or
	// not they allow the request.
	Protocol Protocol
	// Body bounds a body that is forwarded as it comes; nil: there may be none.
	Body *Body
	// Read is, while undecided, how many bytes of the body are to be read, and
	// Most how many it may have at all.
	Read, Most int64

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

// Content is the body of a request, as far as it was read.
type Content = body.Content

// DecideBody judges r, which was undecided, with its body: all of it, or, where
// it is longer than what was to be read, its beginning. It is undecided again
// where a grant asks for more of it than there is.
func (p *Policy) DecideBody(r *Request, c Content) Decision {
	if r == nil {
		return p.decide(nil, nil)
	}
	b := body.Read(c, r.fields)
	defer b.Release()
	return p.decide(r, b)
}

// DecideMessage judges a message that the agent sends behind r, which was
// allowed: one grant must allow both.
func (p *Policy) DecideMessage(r *Request, c Content) Decision {
	if r == nil {
		return p.decide(nil, nil)
	}
	b := body.ReadMessage(c)
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
		return Decision{Reason: OutOfScope, Detail: r.unfound()}
	}
	if name, found := p.overrides(r); found {
		return Decision{Reason: ParameterRefused, Detail: "remove the header " + shown(name) + ": some servers take it over the request line"}
	}
	return p.judge(r, b)
}

// unfound says that no grant has method and path.
func (r *Request) unfound() string {
	if r.http2 {
		return "no grant allows this call: over HTTP/2 methods of gRPC can be called, and nothing else"
	}
	return "no grant allows this method and path"
}

// judge chooses from the grants that have method and path.
func (p *Policy) judge(r *Request, b *body.Reading) Decision {
	d := Decision{Reason: ParameterRefused, Protocol: r.protocol()}
	for _, one := range r.found {
		p.offer(&d, one, r, b)
	}
	switch {
	case d.Read > 0:
		d = Decision{Verdict: Undecided, Protocol: d.Protocol, Read: d.Read, Most: max(d.Most, most(d.Body))}
	case d.Verdict == Allow:
		d.Grants, d.Above = r.names, r.above
	}
	return d
}

// protocol is that of the grants that have method and path.
func (r *Request) protocol() Protocol {
	for _, one := range r.found {
		if p := one.grant.protocol; p != "" {
			return p
		}
	}
	return ""
}

// offer lets a grant that matches r whole be the one whose form is forwarded:
// the first by name that the ceiling allows, of those that allow the longest
// body if there is one that is forwarded as it comes. Had the shorter bound of
// another the precedence, a grant less could allow more.
func (p *Policy) offer(d *Decision, one *route, r *Request, b *body.Reading) {
	why, read := one.grant.refuses(r, p, b)
	if why.rank > 0 {
		d.refuse(why)
		return
	}
	var bound *Body
	if one.grant.body != nil {
		bound = &one.grant.body.Spec
	}
	longest := most(bound)
	if p.ceiling != nil {
		above := p.ceiling.decide(r.forwardedBy(p, one), b)
		if above.Verdict == Deny {
			d.refuse(refusal{reason: BeyondCeiling, detail: beyondCeiling, rank: highestRank})
			return
		}
		bound, longest, read = under(bound, read, &above)
		r.above = union(r.above, above.Grants)
	}
	if read > 0 {
		d.Read, d.Most = max(d.Read, read), max(d.Most, longest)
		return
	}
	r.names = append(r.names, one.grant.name)
	whole := !r.hasBody || b != nil && b.Whole()
	d.allow(one, bound, p, whole)
}

// under returns the bound of a body, the most it may have and how much of it is
// to be read, where the ceiling has a say. What is longer than it allows need
// not be read.
func under(bound *Body, read int64, above *Decision) (*Body, int64, int64) {
	if above.Verdict == Allow {
		bound = shorter(bound, above.Body)
		return bound, most(bound), min(read, most(above.Body))
	}
	if read == 0 {
		read = above.Read
	}
	return bound, min(most(bound), above.Most), min(read, above.Read)
}

// most is the number of bytes that a body may have.
func most(bound *Body) int64 {
	if bound == nil {
		return 0
	}
	return bound.MaxBytes
}

// allow chooses between what is forwarded by now and one more.
func (d *Decision) allow(one *route, bound *Body, p *Policy, whole bool) {
	if d.Verdict == Allow && (whole || bound.MaxBytes <= d.Body.MaxBytes) {
		return
	}
	*d = Decision{Verdict: Allow, Protocol: d.Protocol, Body: bound, Read: d.Read, Most: d.Most, policy: p, route: one}
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

// refuses returns why r does not pass, whose method and path do; or, if that
// depends on the body, how many bytes of it are to be read.
func (g *grant) refuses(r *Request, p *Policy, b *body.Reading) (why refusal, read int64) {
	if detail, refused := g.refusesQuery(r, p.reserved); refused {
		return refusal{reason: ParameterRefused, detail: detail, rank: headRank}, 0
	}
	if detail, refused := g.refusesHeaders(r); refused {
		return refusal{reason: ParameterRefused, detail: detail, rank: headRank}, 0
	}
	found := g.refusesBody(r, b)
	why = refusal{reason: ParameterRefused, detail: found.Detail, rank: int(found.Reason)}
	switch found.Reason {
	case body.More:
		return refusal{}, found.Read
	case body.WrongMedia:
		why.status = 415
	case body.TooLarge:
		why.reason = TooLarge
	case body.Malformed:
		why.reason, why.status = Malformed, 400
	}
	return why, 0
}

// refusesBody returns why the body of r does not pass, or the message behind it.
func (g *grant) refusesBody(r *Request, b *body.Reading) body.Refusal {
	switch {
	case b != nil && b.IsMessage():
		return g.message.Message(b)
	case g.body == nil:
		return noBody(r)
	case !r.hasBody || b != nil && b.Empty():
		return g.body.Absent()
	}
	if why := g.body.Header(&r.content); why.Reason != body.Passes || b == nil {
		return g.unread(why)
	}
	return g.body.Judge(&r.content, b)
}

// unread is what is known of a body before it was read.
func (g *grant) unread(why body.Refusal) body.Refusal {
	if why.Reason == body.Passes && !g.body.Opaque() {
		return body.Refusal{Reason: body.More, Read: g.body.Needs()}
	}
	return why
}

// noBody judges r by a grant that allows no body.
func noBody(r *Request) body.Refusal {
	if r.hasBody {
		return body.Refusal{Reason: body.Refused, Detail: "the grant allows no body"}
	}
	return body.Refusal{}
}
