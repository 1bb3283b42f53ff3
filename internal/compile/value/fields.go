package value

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/field"
)

// place is what is listed of one place of a document and of those below it.
type place struct {
	is       *scope.Matcher // nil: only places below it are listed
	children map[string]*place
	item     *place
}

// Fields returns the documents that a body with these fields may be, and
// whether there may be none. Where the judge would refuse the fields, s is
// exceeded.
func (s *Space) Fields(fields map[string]scope.Matcher, unlisted bool) (d Document, absent bool) {
	root := s.tree(fields)
	if unlisted && len(fields) == 0 {
		return Anything(), true
	}
	b := builder{s, unlisted}
	return b.document(root), !root.must()
}

func (s *Space) tree(fields map[string]scope.Matcher) *place {
	root := &place{}
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		steps, err := field.Parse(path)
		if err != nil {
			s.Exceed()
			continue
		}
		p, m := root, fields[path]
		for _, step := range steps {
			p = p.step(step)
		}
		p.is = &m
	}
	return root
}

func (p *place) step(to field.Step) *place {
	if to.Item {
		if p.item == nil {
			p.item = &place{}
		}
		return p.item
	}
	if p.children == nil {
		p.children = map[string]*place{}
	}
	if p.children[to.Name] == nil {
		p.children[to.Name] = &place{}
	}
	return p.children[to.Name]
}

// must reports whether the place has to be there.
func (p *place) must() bool {
	if p.is != nil && p.is.Required {
		return true
	}
	for _, c := range p.children {
		if c.must() {
			return true
		}
	}
	return false
}

// builder makes sets of documents as the judge reads fields.
type builder struct {
	*Space
	unlisted bool
}

func (b *builder) document(p *place) Document {
	if p.is == nil {
		d := Document{}
		if p.item == nil || p.children != nil {
			d.objects = b.objects(p)
		}
		if p.item != nil {
			d.arrays = b.arrays(p, -1)
		}
		return d
	}
	v := b.values(p.is)
	if v.open() && p.children == nil && p.item == nil {
		return Anything()
	}
	d := b.scalars(p.is, v)
	if v.takes(scope.Object) {
		d.objects = b.objects(p)
	}
	if v.takes(scope.Array) {
		d.arrays = b.arrays(p, v.maxItems)
	}
	return d
}

func (b *builder) objects(p *place) []object {
	o := object{members: map[string]member{}, others: &lang.Set{}}
	for name, c := range p.children {
		m := member{absent: !c.must()}
		if c.is == nil || !c.is.Forbidden {
			m.value = b.document(c)
		}
		o.members[name] = m
	}
	if b.unlisted && len(p.children) > 0 {
		keys := slices.Sorted(maps.Keys(p.children))
		o.others = Once(b.Space, b.keys, "others "+strings.Join(keys, "\x00"), func() *lang.Set {
			return b.Minus(lang.JSONStrings(), b.SameKeys(keys...))
		})
	}
	if !b.hasObject(o) {
		return nil
	}
	return []object{o}
}

func (b *builder) arrays(p *place, most int) []array {
	if p.item == nil {
		return []array{{most: 0}}
	}
	return []array{{each: b.document(p.item), most: most}}
}

// values is what a matcher says of a value besides its text.
type values struct {
	types    []scope.Type // Integer and Number: numbers
	null     bool
	bounded  bool // by its text
	maxItems int  // negative: no bound
}

func (v *values) takes(t scope.Type) bool { return slices.Contains(v.types, t) }

// open reports whether every value passes.
func (v *values) open() bool { return v.null && !v.bounded }

// everyType is what Any stands for.
var everyType = []scope.Type{scope.Boolean, scope.Number, scope.String, scope.Array, scope.Object}

func (b *builder) values(m *scope.Matcher) values {
	v := values{maxItems: -1, bounded: bounded(m)}
	switch t := m.ValueType(); t {
	case scope.Any:
		v.types, v.null = everyType, true
	case scope.Integer:
		v.types = []scope.Type{scope.Number}
	default:
		v.types = []scope.Type{t}
	}
	if m.MaxItems != nil {
		v.maxItems = *m.MaxItems
	}
	if m.Set != nil {
		v.and(b.values(m.Set))
	}
	if v.bounded { // an array or object has no text that could match
		v.types = slices.DeleteFunc(slices.Clone(v.types), func(t scope.Type) bool { return t == scope.Array || t == scope.Object })
	}
	return v
}

// bounded reports whether m itself says something of the text of a value.
func bounded(m *scope.Matcher) bool {
	switch m.ValueType() {
	case scope.Integer, scope.Number, scope.Boolean:
		return true
	}
	lists := m.Equals != nil || len(m.In) > 0 || len(m.Except) > 0
	return lists || m.Glob != nil || m.Pattern != nil || m.MinLength != nil || m.MaxLength != nil || m.Kind != ""
}

func (v *values) and(set values) {
	v.types = slices.DeleteFunc(slices.Clone(v.types), func(t scope.Type) bool { return !set.takes(t) })
	v.null, v.bounded = v.null && set.null, v.bounded || set.bounded
	if v.maxItems < 0 || set.maxItems >= 0 && set.maxItems < v.maxItems {
		v.maxItems = set.maxItems
	}
}

// Kinds spells what m says of a value besides its text, and whether it says
// something of that.
func (s *Space) Kinds(m *scope.Matcher) (spelled string, bounded bool) {
	b := builder{s, false}
	v := b.values(m)
	return fmt.Sprintf("%q %t %d", v.types, v.null, v.maxItems), v.bounded
}

// canonicalNumbers have the one spelling that the text of a number can be
// compared by.
const canonicalNumbers = `-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]|-?[1-9][0-9]*|0`

// scalars returns what is neither object nor array.
func (b *builder) scalars(m *scope.Matcher, v values) Document {
	d := Document{null: v.open()}
	texts := lang.NewText(lang.JSONStrings(), 0, -1)
	if v.bounded {
		texts = b.Text(m, JSON, Ceiling) // the agent's bytes are forwarded
	}
	if v.takes(scope.Boolean) {
		d.booleans = [2]bool{texts.Has(lang.Word("false")), texts.Has(lang.Word("true"))}
	}
	if v.takes(scope.String) {
		d.strings = texts
		if v.bounded { // some readers end at a zero byte, and would see another
			d.strings = b.AndText(texts, lang.NewText(lang.NoZero(), 0, -1))
		}
	}
	if v.takes(scope.Number) {
		d.numbers = b.AndText(texts, b.numbers(v))
	}
	return d
}

// numbers returns the spellings of numbers that are compared with a text.
func (b *builder) numbers(v values) lang.Text {
	if v.bounded && v.takes(scope.String) {
		return b.pattern(canonicalNumbers)
	}
	return b.pattern(numberPattern)
}

// NamedFields returns the documents in which all of the fields are there and
// match: the reading of never. What is not listed may be there, unless only is
// set. Of elements, one that matches is enough.
func (s *Space) NamedFields(fields map[string]scope.Matcher, only bool) Document {
	b := namer{builder{s, !only}}
	return b.document(s.tree(fields))
}

// namer makes sets of documents as never reads fields.
type namer struct{ builder }

func (b *namer) document(p *place) Document {
	d := Anything()
	if p.is != nil {
		d = b.matching(p.is)
	}
	if p.children == nil && p.item == nil {
		return d
	}
	var below Document
	if p.children != nil {
		o := object{members: map[string]member{}, others: &lang.Set{}}
		if b.unlisted {
			o.others = lang.JSONStrings()
		}
		for name, c := range p.children {
			if c.is != nil && c.is.Forbidden {
				o.members[name] = member{absent: true}
			} else {
				o.members[name] = member{value: b.document(c)}
			}
		}
		below.objects = []object{o}
	}
	if p.item != nil {
		below.arrays = []array{{each: Anything(), some: []Document{b.document(p.item)}, most: -1}}
	}
	return b.AndDocument(below, d)
}

// matching returns the values that a matcher names: of objects and arrays
// their type alone, and how long an array is.
func (b *namer) matching(m *scope.Matcher) Document {
	v := b.values(m)
	if v.open() {
		return Anything()
	}
	d := b.scalars(m, v)
	if v.takes(scope.Object) {
		d.objects = []object{{others: lang.JSONStrings()}}
	}
	if v.takes(scope.Array) {
		d.arrays = []array{{each: Anything(), most: v.maxItems}}
	}
	return d
}
