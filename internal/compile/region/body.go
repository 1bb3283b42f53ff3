package region

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// body is the dimension of the body: none, or one of several contents.
type body struct {
	absent  bool
	present []content
}

// content is bodies that are read in one way: a product of their size and of
// what they hold. An Opaque body is any body, of whatever media.
type content struct {
	media scope.Media
	// unread says that an Opaque body is meant because nobody looks into it, and
	// not because it may be anything.
	unread bool
	dims   []dim
	holes  []content // of Opaque: what it is not
}

func (c *content) opaque() bool { return c.media == scope.Opaque }

// and returns what is in both c and d.
func (c *content) and(s *Space, d *content) []content {
	switch {
	case c.opaque() && d.opaque():
		return []content{{scope.Opaque, c.unread || d.unread, []dim{c.dims[0].and(s, d.dims[0])}, slices.Concat(c.holes, d.holes)}}
	case c.unread || d.unread:
		return nil
	case c.opaque():
		return d.within(s, c)
	case d.opaque():
		return c.within(s, d)
	case c.media != d.media:
		return nil
	}
	both := content{media: c.media}
	for i := range c.dims {
		both.dims = append(both.dims, c.dims[i].and(s, d.dims[i]))
	}
	return []content{both}
}

// within returns what of c, which somebody looks into, is an Opaque body too.
func (c *content) within(s *Space, opaque *content) []content {
	one := content{media: c.media, dims: slices.Clone(c.dims)}
	one.dims[0] = c.dims[0].and(s, opaque.dims[0])
	left := []content{one}
	for _, hole := range opaque.holes {
		var next []content
		for i := range left {
			next = append(next, left[i].minus(s, &hole)...)
		}
		left = next
	}
	return left
}

// minus returns what is in c and not in d, which has no holes.
func (c *content) minus(s *Space, d *content) []content {
	switch {
	case c.opaque() && !d.opaque():
		out := *c
		out.holes = append(slices.Clip(c.holes), *d)
		return []content{out}
	case d.opaque():
		out := *c
		out.dims = slices.Clone(c.dims)
		out.dims[0] = c.dims[0].minus(s, d.dims[0])
		return []content{out}
	case c.media != d.media:
		return []content{*c}
	}
	var out []content
	for _, dims := range s.cut(c.dims, d.dims) {
		out = append(out, content{media: c.media, dims: dims})
	}
	return out
}

// cut returns the pieces of the product x that are not in y.
func (s *Space) cut(x, y []dim) [][]dim {
	var out [][]dim
	inner := slices.Clone(x)
	for i := range x {
		if !s.Spend(1) {
			return out
		}
		if inner[i].within(s, y[i]) {
			continue
		}
		piece := slices.Clone(inner)
		piece[i] = inner[i].minus(s, y[i])
		out = append(out, piece)
		if !inner[i].meets(s, y[i]) {
			return out
		}
		inner[i] = inner[i].and(s, y[i])
	}
	return out
}

// grower is a dimension that can show a value which is there and has at least
// so many bytes.
type grower interface {
	grow(s *Space, r *Request, length int) bool
}

// show puts what a body holds into r. A form is never empty: where it has no
// pair that has to be there, it has one that may.
func (c *content) show(s *Space, r *Request) bool {
	if !c.put(s, r, -1, 0) {
		return false
	}
	if c.media != scope.Form || len(r.shown.form) > 0 {
		return true
	}
	for i := range c.dims {
		if c.put(s, r, i, 0) {
			return true
		}
	}
	return false
}

// put shows every dimension, and the one at longer, if there is one, by a value
// of at least so many bytes.
func (c *content) put(s *Space, r *Request, longer, length int) bool {
	r.shown = shown{media: c.media}
	for i, d := range c.dims {
		if i != longer {
			if !d.show(s, r) {
				return false
			}
			continue
		}
		l, grows := d.(grower)
		if !grows || !l.grow(s, r, length) {
			return false
		}
	}
	return true
}

// write puts a body into r that has a length which it may have.
func (b body) write(s *Space, r *Request) bool {
	if b.absent {
		return true
	}
	found := false
	for i := range b.present {
		c := &b.present[i]
		if !c.show(s, r) {
			continue
		}
		found = true
		if c.fit(s, r) {
			return true
		}
	}
	if found {
		s.Exceed() // another body may have that length; which is not found out
	}
	return false
}

// fit writes the body that was shown, or a longer one.
func (c *content) fit(s *Space, r *Request) bool {
	if r.compose() {
		return true
	}
	for i := range c.dims {
		// What a value adds besides its own length is seen when it is there.
		for length, tries := 0, 0; tries < 4 && c.put(s, r, i, length); tries++ {
			if r.compose() {
				return true
			}
			more := r.shown.least - r.Size
			if more <= 0 || more > maxBody {
				break
			}
			length += int(more)
		}
	}
	return false
}

func (b body) and(s *Space, d dim) dim {
	o := d.(body)
	out := body{absent: b.absent && o.absent}
	for i := range b.present {
		for k := range o.present {
			out.present = append(out.present, b.present[i].and(s, &o.present[k])...)
		}
	}
	return out
}

func (b body) minus(s *Space, d dim) dim {
	o := d.(body)
	left := b.present
	for k := range o.present {
		var next []content
		for i := range left {
			next = append(next, left[i].minus(s, &o.present[k])...)
		}
		left = next
	}
	return body{b.absent && !o.absent, left}
}

func (b body) meets(s *Space, d dim) bool {
	return b.absent && d.(body).absent || b.and(s, d).show(s, &Request{})
}

func (b body) within(s *Space, d dim) bool {
	o := d.(body)
	if b.absent && !o.absent {
		return false
	}
	inOne := func(c content) bool {
		return slices.ContainsFunc(o.present, func(d content) bool { return c.covered(s, &d) })
	}
	if !slices.ContainsFunc(b.present, func(c content) bool { return !inOne(c) }) {
		return true
	}
	return !b.minus(s, d).show(s, &Request{}) && !s.Exceeded()
}

// covered reports whether c lies within d for reasons that are cheap to find.
func (c *content) covered(s *Space, d *content) bool {
	switch {
	case d.opaque():
		return len(d.holes) == 0 && d.unread == c.unread && c.dims[0].within(s, d.dims[0])
	case c.media != d.media:
		return false
	}
	for i := range c.dims {
		if !c.dims[i].within(s, d.dims[i]) {
			return false
		}
	}
	return true
}

func (b body) show(s *Space, r *Request) bool {
	return b.absent || slices.ContainsFunc(b.present, func(c content) bool { return c.show(s, r) })
}

// document is the dimension of what a JSON body says.
type document struct{ value.Document }

func (d document) and(s *Space, o dim) dim {
	return document{s.AndDocument(d.Document, o.(document).Document)}
}

func (d document) minus(s *Space, o dim) dim {
	return document{s.MinusDocument(d.Document, o.(document).Document)}
}

func (d document) meets(s *Space, o dim) bool {
	return s.MeetsDocument(d.Document, o.(document).Document)
}

func (d document) within(s *Space, o dim) bool {
	return s.WithinDocument(d.Document, o.(document).Document)
}

func (d document) show(s *Space, r *Request) (found bool) {
	r.shown.document, found = s.ShowDocument(d.Document)
	return found
}

// shape is what is said of a body, before it is known which names others list.
type shape struct {
	media    scope.Media
	unread   bool
	most     int64 // bytes
	document value.Document
	params   map[string]occurs // of a Form
	parts    map[string]part
	strays   *lang.Set // names that are admitted unlisted
}

// content returns the content of a shape beside others that list these names.
func (s *Space) content(b *shape, n *names) content {
	out := content{media: b.media, unread: b.unread, dims: []dim{size{{1, b.most}}}}
	switch b.media {
	case scope.JSON:
		out.dims = append(out.dims, document{b.document})
	case scope.Form:
		out.dims = append(out.dims, strays{at: value.Form, all: s.without(b.strays, n.form)})
		for _, name := range n.form {
			out.dims = append(out.dims, occurrence(b.params, b.strays, name, value.Form))
		}
	case scope.Multipart:
		out.dims = append(out.dims, strays{at: value.Part, all: s.without(b.strays, n.parts)})
		for _, name := range n.parts {
			out.dims = append(out.dims, partOf(b.parts, b.strays, name))
		}
	}
	return out
}

// shapeOf is what a grant says of a body, and whether there may be none.
func (s *Space) shapeOf(b *scope.Body, p *scope.Profile) (out shape, absent bool) {
	out = shape{media: b.Media, most: b.MaxBytes, strays: &lang.Set{}}
	absent = true
	switch b.Media {
	case scope.Opaque:
	case scope.JSON:
		out.document, absent = s.Fields(b.Fields, b.UnlistedAllow)
	case scope.Form:
		out.params = map[string]occurs{}
		for name, m := range b.Fields {
			out.params[name] = s.listed(name, value.Form, &m, Ceiling) // the agent's bytes are forwarded
			absent = absent && !m.Required
		}
		out.strays = s.unlistedIn(b, s.unreserved(p, "names", lang.Names))
	case scope.Multipart:
		out.parts = map[string]part{}
		for name, of := range b.Parts {
			out.parts[name] = s.listedPart(name, &of)
			absent = absent && out.parts[name].absent
		}
		out.strays = s.unlistedIn(b, s.unreserved(p, "parts", lang.Filenames))
	default:
		s.Exceed() // nothing is known of it
	}
	return out, absent
}

// unlistedIn returns the names of a form, or of parts, that are admitted
// unlisted.
func (s *Space) unlistedIn(b *scope.Body, unreserved *lang.Set) *lang.Set {
	names := slices.AppendSeq(slices.Collect(maps.Keys(b.Fields)), maps.Keys(b.Parts))
	switch {
	case !b.UnlistedAllow:
		return &lang.Set{}
	case len(names) == 0:
		return unreserved
	}
	slices.Sort(names)
	same := value.Once(s.Space, s.names, "same "+strings.Join(names, "\x00"), func() *lang.Set { return s.SameNames(names...) })
	return value.Once(s.Space, s.others, [2]*lang.Set{unreserved, same}, func() *lang.Set { return s.Minus(unreserved, same) })
}
