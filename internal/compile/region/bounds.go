package region

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
	jsonfield "github.com/sallyport-dev/sallyport/internal/scope/field"
)

// methods is the dimension of the method.
type methods struct {
	names []string
	any   bool
}

func (m methods) and(_ *Space, d dim) dim {
	o := d.(methods)
	switch {
	case o.any:
		return m
	case m.any:
		return o
	}
	return methods{names: m.filtered(o, true)}
}

// minus is asked for methods that are listed alone.
func (m methods) minus(s *Space, d dim) dim {
	o := d.(methods)
	if m.any {
		s.Exceed()
	}
	if o.any {
		return methods{}
	}
	return methods{names: m.filtered(o, false)}
}

func (m methods) filtered(o methods, in bool) []string {
	var out []string
	for _, name := range m.names {
		if slices.Contains(o.names, name) == in {
			out = append(out, name)
		}
	}
	return out
}

func (m methods) meets(_ *Space, d dim) bool {
	o := d.(methods)
	return m.any || o.any || slices.ContainsFunc(m.names, func(name string) bool { return slices.Contains(o.names, name) })
}

func (m methods) within(_ *Space, d dim) bool {
	o := d.(methods)
	return o.any || !m.any && !slices.ContainsFunc(m.names, func(name string) bool { return !slices.Contains(o.names, name) })
}

func (m methods) show(_ *Space, r *Request) bool {
	switch {
	case m.any:
		r.Method = "GET"
	case len(m.names) == 0:
		return false
	default:
		r.Method = m.names[0]
	}
	return true
}

// rate is the dimension of how often a request may be sent in the long run.
// Limits are compared between an old and a new scope alone.
type rate struct {
	over *big.Rat // requests a second; more than this
	upTo *big.Rat // nil: any number
}

// burst is the dimension of how many requests may be sent at once.
type burst struct{ size }

func (b burst) and(s *Space, d dim) dim     { return burst{b.size.and(s, d.(burst).size).(size)} }
func (b burst) minus(s *Space, d dim) dim   { return burst{b.size.minus(s, d.(burst).size).(size)} }
func (b burst) meets(s *Space, d dim) bool  { return b.size.meets(s, d.(burst).size) }
func (b burst) within(s *Space, d dim) bool { return b.size.within(s, d.(burst).size) }

func (b burst) show(_ *Space, r *Request) bool {
	if len(b.size) == 0 {
		return false
	}
	if least := b.size[0].least; least > 1 {
		r.Often = fmt.Sprintf("%d times at once", least)
	}
	return true
}

func (a rate) and(_ *Space, d dim) dim {
	b := d.(rate)
	out := rate{a.over, a.upTo}
	if b.over.Cmp(a.over) > 0 {
		out.over = b.over
	}
	if a.upTo == nil || b.upTo != nil && b.upTo.Cmp(a.upTo) < 0 {
		out.upTo = b.upTo
	}
	return out
}

// minus is asked for rates that begin at zero alone.
func (a rate) minus(_ *Space, d dim) dim {
	b := d.(rate)
	if b.upTo == nil {
		return rate{a.over, a.over} // none
	}
	out := a
	if b.upTo.Cmp(a.over) > 0 {
		out.over = b.upTo
	}
	return out
}

func (a rate) some() bool { return a.upTo == nil || a.over.Cmp(a.upTo) < 0 }

func (a rate) meets(s *Space, d dim) bool  { return a.and(s, d).(rate).some() }
func (a rate) within(s *Space, d dim) bool { return !a.minus(s, d).(rate).some() }

func (a rate) show(_ *Space, r *Request) bool {
	if a.over.Sign() > 0 {
		hourly := new(big.Rat).Mul(a.over, big.NewRat(3600, 1))
		r.Often = "more than " + strings.TrimSuffix(hourly.FloatString(0), ".") + " times an hour"
	}
	return a.some()
}

// limited returns the dimensions of a limit; nil is none.
func limited(l *scope.Limits) []dim {
	if l == nil {
		return []dim{burst{size{{1, maxSize}}}, rate{over: new(big.Rat)}}
	}
	upTo := new(big.Rat).SetFrac(big.NewInt(int64(l.Requests.Count)*int64(time.Second)), big.NewInt(int64(l.Requests.Per)))
	return []dim{burst{size{{1, int64(l.Requests.Count)}}}, rate{new(big.Rat), upTo}}
}

// sight is the dimension of what the agent gets to see of an answer: the
// places below those kept that are not below a hole. Sending the request counts
// for itself, however little is seen.
type sight struct {
	sent  bool
	keep  [][]jsonfield.Step
	holes [][]jsonfield.Step
}

// seen returns what an answer is cut to; nil: not at all.
func (s *Space) seen(r *scope.Response) sight {
	if r == nil {
		return wholeAnswer()
	}
	out := sight{sent: true}
	for _, path := range r.Keep {
		steps, err := jsonfield.Parse(path)
		if err != nil {
			s.Exceed() // the judge refuses it
			continue
		}
		out.keep = append(out.keep, steps)
	}
	return out
}

// wholeAnswer is all of an answer, whatever it is.
func wholeAnswer() sight { return sight{sent: true, keep: [][]jsonfield.Step{nil}} }

func below(a, b []jsonfield.Step) bool { return len(a) >= len(b) && slices.Equal(a[:len(b)], b) }

func (a sight) and(_ *Space, d dim) dim {
	b := d.(sight)
	out := sight{sent: a.sent && b.sent, holes: slices.Concat(a.holes, b.holes)}
	for _, p := range a.keep {
		for _, q := range b.keep {
			switch {
			case below(p, q):
				out.keep = append(out.keep, p)
			case below(q, p):
				out.keep = append(out.keep, q)
			}
		}
	}
	return out
}

// minus is asked for what a grant says alone: it has no holes.
func (a sight) minus(_ *Space, d dim) dim {
	b := d.(sight)
	return sight{a.sent && !b.sent, a.keep, slices.Concat(a.holes, b.keep)}
}

func (a sight) meets(s *Space, d dim) bool  { return a.and(s, d).show(s, &Request{}) }
func (a sight) within(s *Space, d dim) bool { return !a.minus(s, d).show(s, &Request{}) }

func (a sight) show(_ *Space, r *Request) bool {
	if a.sent {
		return true
	}
	for _, p := range a.keep {
		if !slices.ContainsFunc(a.holes, func(hole []jsonfield.Step) bool { return below(p, hole) }) {
			r.Answer = "all of the answer"
			if len(p) > 0 {
				r.Answer = jsonfield.Join(p) + " of the answer"
			}
			return true
		}
	}
	return false
}
