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

// Within proves each grant within the union of the ceiling's, for every
// request that it would have go upstream. It returns what it could not prove,
// one finding for a grant at most.
//
// A header that is not listed in the ceiling and not forwarded anyway is beyond
// it: a ceiling grants no header that it does not name.
func Within(endpoints []bundle.Endpoint, grants, ceiling []scope.Grant) []Finding {
	s, asked := newSpace(), judges{}
	above := together(build(s, endpoints, ceiling, region.Ceiling))
	var findings []Finding
	for i, b := range build(s, endpoints, grants, region.Forwarded) {
		s.Renew(proofWork)
		f := Finding{Grant: i, Answer: Yes}
		for _, r := range b.regions {
			if w, outside := s.Outside(r, above); outside {
				f.Answer, f.Witness = No, w
				break
			}
		}
		switch {
		case f.Answer == No && !asked.beyond(b.profile, &grants[i], ceiling, &f.Witness), // the judge says otherwise
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
func Disjoint(endpoints []bundle.Endpoint, grants []scope.Grant, never []region.Never) []Finding {
	s, asked := newSpace(), judges{}
	named := buildNever(s, endpoints, never)
	var findings []Finding
	for i, b := range build(s, endpoints, grants, region.Forwarded) {
		for k := range never {
			n := named[k][grants[i].Endpoint]
			f := Finding{Grant: i, Never: k, Answer: Unknown}
			if e := never[k].Endpoint; e != "" && e != grants[i].Endpoint {
				continue
			}
			if b.complete && n.complete {
				f.Answer, f.Witness = disjoint(s, b.regions, n.regions)
			}
			if f.Answer == No && !asked.whole(b.profile, &grants[i], &f.Witness, b.profile) {
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
