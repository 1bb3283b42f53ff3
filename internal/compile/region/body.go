package region

import (
	"math"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// body is the dimension of the body: none, or one of several contents.
type body struct {
	absent  bool
	present []content
}

// content is bodies that are read in one way. What a grant says of their
// fields belongs here, as a further dimension beside the size; so far no grant
// says anything of them.
type content struct{ least, most int64 } // bytes, at least 1

func (c content) and(d content) (content, bool) {
	both := content{max(c.least, d.least), min(c.most, d.most)}
	return both, both.least <= both.most
}

func (c content) minus(d content) []content {
	if _, meet := c.and(d); !meet {
		return []content{c}
	}
	var out []content
	if c.least < d.least {
		out = append(out, content{c.least, d.least - 1})
	}
	if c.most > d.most {
		out = append(out, content{d.most + 1, c.most})
	}
	return out
}

func (b body) and(_ *Space, d dim) dim {
	o := d.(body)
	out := body{absent: b.absent && o.absent}
	for _, x := range b.present {
		for _, y := range o.present {
			if both, meet := x.and(y); meet {
				out.present = append(out.present, both)
			}
		}
	}
	return out
}

func (b body) minus(_ *Space, d dim) dim {
	o := d.(body)
	left := slices.Clone(b.present)
	for _, y := range o.present {
		var next []content
		for _, x := range left {
			next = append(next, x.minus(y)...)
		}
		left = next
	}
	return body{b.absent && !o.absent, left}
}

func (b body) meets(s *Space, d dim) bool  { return b.and(s, d).show(s, &Request{}) }
func (b body) within(s *Space, d dim) bool { return !b.minus(s, d).show(s, &Request{}) }

func (b body) show(_ *Space, r *Request) bool {
	if b.absent {
		return true
	}
	if len(b.present) == 0 {
		return false
	}
	r.Body = b.present[0].least
	return true
}

// bodyOf is what a grant says of the body. With none, a request without one
// passes alone.
func (s *Space) bodyOf(b *scope.Body) body {
	switch {
	case b == nil:
		return body{absent: true}
	case b.Media != scope.Opaque:
		s.Exceed() // nothing is known of it
		return body{absent: true}
	}
	return body{absent: true, present: []content{{1, b.MaxBytes}}}
}

// anyBody is none, or any.
func anyBody() body { return body{absent: true, present: []content{{1, math.MaxInt64}}} }
