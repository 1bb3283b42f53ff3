package prove

import (
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// A Finding says of one grant that it fails a proof.
type Finding struct {
	Grant int // its index
	Never int // the index of the entry of never; of a ceiling 0
	// Answer is No where Witness shows why, and Unknown where the proof took too
	// much work.
	Answer  Answer
	Witness region.Request
}

// Grants are grants of which something is to be proved. They are not safe for
// concurrent use.
type Grants struct {
	endpoints []bundle.Endpoint
	grants    []scope.Grant
	space     *region.Space
	sent      []built // what each has go upstream
	judges    judges
}

// NewGrants works out what grants at endpoints have go upstream.
func NewGrants(s *region.Space, endpoints []bundle.Endpoint, grants []scope.Grant) *Grants {
	return &Grants{endpoints, grants, s, build(s, endpoints, grants, region.Forwarded), judges{}}
}

// Within proves each grant within the union of the ceiling's, for every
// request that it would have go upstream. It returns what it could not prove,
// one finding for a grant at most.
//
// A header that is not listed in the ceiling and not forwarded anyway is beyond
// it: a ceiling grants no header that it does not name.
func (g *Grants) Within(ceiling []scope.Grant) []Finding {
	s := g.space
	s.Renew(proofWork)
	above := together(build(s, g.endpoints, ceiling, region.Ceiling))
	var findings []Finding
	for i, b := range g.sent {
		s.Renew(proofWork)
		f := Finding{Grant: i, Answer: Yes}
		for _, r := range b.regions {
			if w, outside := s.Outside(r, above); outside {
				f.Answer, f.Witness = No, w
				break
			}
		}
		switch {
		case f.Answer == No && !g.judges.beyond(b.profile, &g.grants[i], ceiling, &f.Witness), // the judge says otherwise
			f.Answer == Yes && (s.Exceeded() || !b.complete):
			f.Answer = Unknown
		}
		if f.Answer != Yes {
			findings = append(findings, f)
		}
	}
	return findings
}

// beyond asks the judge whether g has w go upstream whole and no grant of the
// ceiling would let that pass.
func (j judges) beyond(p *scope.Profile, g *scope.Grant, ceiling []scope.Grant, w *region.Request) bool {
	if !j.whole(p, g, w, p) {
		return false
	}
	for i := range ceiling {
		if j.whole(p, &ceiling[i], w, nil) { // what goes upstream is read strictly
			return false
		}
	}
	return true
}

// Disjoint proves that no grant has a request go upstream that an entry of
// never names. It returns what it could not prove, one finding for a grant and
// an entry at most.
func (g *Grants) Disjoint(never []region.Never) []Finding {
	named := buildNever(g.space, g.endpoints, never)
	var findings []Finding
	for i, b := range g.sent {
		for k := range never {
			n, about := named[k][g.grants[i].Endpoint]
			if !about && b.profile != nil {
				continue // it is of another endpoint
			}
			f := Finding{Grant: i, Never: k, Answer: Unknown}
			if b.complete && n.complete {
				f.Answer, f.Witness = disjoint(g.space, b.regions, n.regions)
			}
			if f.Answer == No && !g.judges.whole(b.profile, &g.grants[i], &f.Witness, b.profile) {
				f.Answer = Unknown // the judge says otherwise
			}
			if f.Answer != Yes {
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// buildNever works out what each entry names, by endpoint.
func buildNever(s *region.Space, endpoints []bundle.Endpoint, never []region.Never) []map[string]built {
	out := make([]map[string]built, len(never))
	for k := range never {
		out[k] = map[string]built{}
		for i := range endpoints {
			e := &endpoints[i]
			if never[k].Endpoint != "" && never[k].Endpoint != e.Name {
				continue
			}
			s.Renew(proofWork)
			regions := s.Never(&never[k], &e.Profile)
			out[k][e.Name] = built{&e.Profile, regions, !s.Exceeded()}
		}
	}
	return out
}

func disjoint(s *region.Space, regions, named []*region.Region) (Answer, region.Request) {
	s.Renew(proofWork)
	for _, r := range regions {
		for _, n := range named {
			if w, meet := s.Common(r, n); meet {
				return No, w
			}
		}
	}
	if s.Exceeded() {
		return Unknown, region.Request{}
	}
	return Yes, region.Request{}
}
