package region

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// size is the dimension of a number of bytes.
type size []extent

type extent struct{ least, most int64 }

func (z size) and(_ *Space, d dim) dim {
	var out size
	for _, a := range z {
		for _, b := range d.(size) {
			if both := (extent{max(a.least, b.least), min(a.most, b.most)}); both.least <= both.most {
				out = append(out, both)
			}
		}
	}
	return out
}

func (z size) minus(_ *Space, d dim) dim {
	for _, b := range d.(size) {
		var left size
		for _, a := range z {
			if a.least < b.least {
				left = append(left, extent{a.least, min(a.most, b.least-1)})
			}
			if a.most > b.most {
				left = append(left, extent{max(a.least, b.most+1), a.most})
			}
		}
		z = left
	}
	return z
}

func (z size) meets(_ *Space, d dim) bool {
	return slices.ContainsFunc(z, func(a extent) bool {
		return slices.ContainsFunc(d.(size), func(b extent) bool { return max(a.least, b.least) <= min(a.most, b.most) })
	})
}

func (z size) within(s *Space, d dim) bool {
	inOne := func(a extent) bool {
		return slices.ContainsFunc(d.(size), func(b extent) bool { return b.least <= a.least && a.most <= b.most })
	}
	return !slices.ContainsFunc(z, func(a extent) bool { return !inOne(a) }) || len(z.minus(s, d).(size)) == 0
}

func (z size) show(_ *Space, r *Request) bool {
	if len(z) == 0 {
		return false
	}
	r.shown.least, r.shown.most = z[0].least, z[0].most
	return true
}

// part is the dimension of one part of a multipart body: none, or one of
// several products of its size, value, file name and media type.
type part struct {
	name    string
	absent  bool
	present [][]dim
}

func (p part) and(s *Space, d dim) dim {
	q := d.(part)
	out := part{name: p.name, absent: p.absent && q.absent}
	for _, x := range p.present {
		for _, y := range q.present {
			both := make([]dim, len(x))
			for i := range x {
				both[i] = x[i].and(s, y[i])
			}
			out.present = append(out.present, both)
		}
	}
	return out
}

func (p part) minus(s *Space, d dim) dim {
	q := d.(part)
	left := p.present
	for _, y := range q.present {
		var next [][]dim
		for _, x := range left {
			next = append(next, s.cut(x, y)...)
		}
		left = next
	}
	return part{p.name, p.absent && !q.absent, left}
}

func (p part) meets(s *Space, d dim) bool { return p.and(s, d).show(s, &Request{}) }

func (p part) within(s *Space, d dim) bool {
	return !p.minus(s, d).show(s, &Request{}) && !s.Exceeded()
}

func (p part) show(s *Space, r *Request) bool { return p.absent || p.grow(s, r, 0) }

// grow shows the part with at least so many bytes, where it may have as many.
func (p part) grow(s *Space, r *Request, length int) bool {
	return slices.ContainsFunc(p.present, func(x []dim) bool {
		one := Request{shown: shown{parts: []shownPart{{name: p.name}}}}
		for i, d := range x {
			if i == 1 { // behind the size
				one.shown.least = max(one.shown.least, min(int64(length), one.shown.most))
			}
			if !d.show(s, &one) {
				return false
			}
		}
		shown := one.shown.parts[0]
		r.shown.parts = append(r.shown.parts, shown)
		return true
	})
}

// bytes is the dimension of what a part holds.
type bytes struct {
	text lang.Text
	odd  bool // what is no text
}

func (b bytes) and(s *Space, d dim) dim {
	return bytes{s.AndText(b.text, d.(bytes).text), b.odd && d.(bytes).odd}
}

func (b bytes) minus(s *Space, d dim) dim {
	return bytes{s.MinusText(b.text, d.(bytes).text), b.odd && !d.(bytes).odd}
}

func (b bytes) meets(s *Space, d dim) bool { return b.and(s, d).show(s, anyPartShown()) }

func (b bytes) within(s *Space, d dim) bool {
	return !(b.odd && !d.(bytes).odd) && s.WithinText(b.text, d.(bytes).text, s.Within)
}

// show runs behind that of the size, and keeps to it where it can.
func (b bytes) show(s *Space, r *Request) bool {
	to := &r.shown.parts[0]
	length := int(min(r.shown.least, maxBody))
	if b.odd && length > 0 {
		to.body = strings.Repeat("a", length)
		if word := lang.Word(to.body); b.text.Has(word) {
			return true
		}
	}
	word, found := s.longer(b.text, value.Part, length)
	if found {
		to.body = word.String()
		return true
	}
	to.body = strings.Repeat("\xff", max(1, length))
	return b.odd
}

func anyPartShown() *Request { return &Request{shown: shown{parts: []shownPart{{}}}} }

// filename is the dimension of the file name of a part.
type filename struct {
	absent bool
	text   lang.Text
}

func (f filename) and(s *Space, d dim) dim {
	return filename{f.absent && d.(filename).absent, s.AndText(f.text, d.(filename).text)}
}

func (f filename) minus(s *Space, d dim) dim {
	return filename{f.absent && !d.(filename).absent, s.MinusText(f.text, d.(filename).text)}
}

func (f filename) meets(s *Space, d dim) bool { return f.and(s, d).show(s, anyPartShown()) }

func (f filename) within(s *Space, d dim) bool {
	return !(f.absent && !d.(filename).absent) && s.WithinText(f.text, d.(filename).text, s.Within)
}

func (f filename) show(s *Space, r *Request) bool {
	if f.absent {
		return true
	}
	word, found := s.Show(f.text)
	r.shown.parts[0].filename = word.String()
	return found
}

// kinds is the dimension of the media type of a part: none, one of those
// listed, or any other one.
type kinds struct {
	none  bool
	names []string
	other bool // with it, names is empty
}

func (k kinds) and(_ *Space, d dim) dim {
	o := d.(kinds)
	switch {
	case o.other:
		return kinds{k.none && o.none, k.names, k.other}
	case k.other:
		return kinds{k.none && o.none, o.names, false}
	}
	return kinds{none: k.none && o.none, names: slices.DeleteFunc(slices.Clone(k.names), func(n string) bool { return !slices.Contains(o.names, n) })}
}

// minus takes nothing away from any other one but everything: it leaves more
// than there is, which is not taken for a proof.
func (k kinds) minus(_ *Space, d dim) dim {
	o := d.(kinds)
	if o.other {
		return kinds{none: k.none && !o.none}
	}
	return kinds{k.none && !o.none, slices.DeleteFunc(slices.Clone(k.names), func(n string) bool { return slices.Contains(o.names, n) }), k.other}
}

func (k kinds) meets(s *Space, d dim) bool  { return k.and(s, d).show(s, anyPartShown()) }
func (k kinds) within(s *Space, d dim) bool { return !k.minus(s, d).show(s, anyPartShown()) }

func (k kinds) show(_ *Space, r *Request) bool {
	to := &r.shown.parts[0]
	switch {
	case k.none:
	case len(k.names) > 0:
		to.media = k.names[0]
	default:
		to.media = "x-other/x-other"
		return k.other
	}
	return true
}

// partOf returns the dimension of one part, which a grant lists, admits
// unlisted or does not admit.
func partOf(listed map[string]part, unlisted *lang.Set, name string) part {
	p, ok := listed[name]
	switch {
	case ok:
		return p
	case unlisted.HasText(name):
		return anyPart(name)
	}
	return part{name: name, absent: true}
}

func anyPart(name string) part {
	return part{name, true, [][]dim{{
		size{{0, maxSize}}, bytes{lang.NewText(lang.PartValues(), 0, -1), true},
		filename{true, lang.NewText(lang.Filenames(), 0, -1)}, kinds{none: true, other: true},
	}}}
}

// listedPart is a part that a grant lists.
func (s *Space) listedPart(name string, of *scope.Part) part {
	dims := anyPart(name).present[0]
	if of.MaxBytes > 0 {
		dims[0] = size{{0, of.MaxBytes}}
	}
	if of.Value != nil {
		dims[1] = bytes{text: s.Text(of.Value, value.Part, Ceiling)}
	}
	dims[2] = filename{absent: true}
	if m := of.Filename; m != nil {
		f := filename{absent: !m.Required}
		if !m.Forbidden {
			f.text = s.Text(m, value.Filename, Ceiling)
		}
		dims[2] = f
	}
	// Without a Content-Type a part is text/plain to every reader.
	dims[3] = kinds{none: len(of.Media) == 0 || slices.Contains(of.Media, "text/plain"), names: of.Media}
	return part{name, !of.Required && (of.Value == nil || !of.Value.Required), [][]dim{dims}}
}
