package value

import (
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
)

// A Document is a set of JSON values. The zero Document is empty. It is
// immutable.
type Document struct {
	anything bool // every value; the rest is not looked at
	null     bool
	booleans [2]bool   // false and true
	numbers  lang.Text // their spellings
	strings  lang.Text
	objects  []object
	arrays   []array
}

// object is objects that have a value in each of the members.
type object struct {
	members map[string]member
	// others are the keys, besides those of members, that may be there with any
	// value; some of those that are there are in each of some.
	others *lang.Set
	some   []*lang.Set
}

// member is what may be under one key: nothing, or a value.
type member struct {
	absent bool
	value  Document
}

// array is arrays of which every element is in each, some of them in each of
// some, and which have between least and most of them; a negative most is no
// bound.
type array struct {
	each        Document
	some        []Document
	least, most int
}

// Anything returns the set of all values.
func Anything() Document { return Document{anything: true} }

// numberPattern is how JSON writes a number.
const numberPattern = `-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`

// spelled returns d with all that it is written out one level down.
func (s *Space) spelled(d Document) Document {
	if !d.anything {
		return d
	}
	return Document{
		null: true, booleans: [2]bool{true, true}, numbers: s.pattern(numberPattern), strings: lang.NewText(lang.JSONStrings(), 0, -1),
		objects: []object{{others: lang.JSONStrings()}},
		arrays:  []array{{each: Anything(), most: -1}},
	}
}

func (s *Space) pattern(p string) lang.Text {
	return lang.NewText(Once(s, s.keys, "pattern "+p, func() *lang.Set { return s.Pattern(p) }), 0, -1)
}

// AndDocument returns what is in both a and b.
func (s *Space) AndDocument(a, b Document) Document {
	switch {
	case a.anything:
		return b
	case b.anything:
		return a
	}
	out := Document{
		null: a.null && b.null, booleans: [2]bool{a.booleans[0] && b.booleans[0], a.booleans[1] && b.booleans[1]},
		numbers: s.AndText(a.numbers, b.numbers), strings: s.AndText(a.strings, b.strings),
	}
	for _, x := range a.objects {
		for _, y := range b.objects {
			out.objects = append(out.objects, s.andObject(x, y)...)
		}
	}
	for _, x := range a.arrays {
		for _, y := range b.arrays {
			out.arrays = s.withArray(out.arrays, s.andArray(x, y))
		}
	}
	return out
}

// MinusDocument returns what is in a and not in b, which is what fields say:
// no element or key of it has to be in some set.
func (s *Space) MinusDocument(a, b Document) Document {
	if b.anything {
		return Document{}
	}
	a = s.spelled(a)
	out := Document{
		null: a.null && !b.null, booleans: [2]bool{a.booleans[0] && !b.booleans[0], a.booleans[1] && !b.booleans[1]},
		numbers: s.MinusText(a.numbers, b.numbers), strings: s.MinusText(a.strings, b.strings),
		objects: a.objects, arrays: a.arrays,
	}
	for _, y := range b.objects {
		var left []object
		for _, x := range out.objects {
			left = append(left, s.minusObject(x, y)...)
		}
		out.objects = left
	}
	for _, y := range b.arrays {
		var left []array
		for _, x := range out.arrays {
			left = append(left, s.minusArray(x, y)...)
		}
		out.arrays = left
	}
	return out
}

// HasDocument reports whether d has a value.
func (s *Space) HasDocument(d Document) bool {
	_, found := s.ShowDocument(d)
	return found
}

// MeetsDocument reports whether something is in both a and b.
func (s *Space) MeetsDocument(a, b Document) bool { return s.HasDocument(s.AndDocument(a, b)) }

// WithinDocument reports whether all of a is in b. Where s is exceeded it
// reports false.
func (s *Space) WithinDocument(a, b Document) bool {
	return !s.HasDocument(s.MinusDocument(a, b)) && !s.Exceeded()
}

// withArray adds a, unless there is none such.
func (s *Space) withArray(list []array, a array) []array {
	if _, found := s.showArray(a); !s.Spend(1) || !found {
		return list
	}
	return append(list, a)
}

func (s *Space) hasMember(m member) bool { return m.absent || s.HasDocument(m.value) }

// member returns what may be under a key.
func (o *object) member(key string) member {
	m, named := o.members[key]
	switch {
	case named:
		return m
	case o.others.HasText(key):
		return member{absent: true, value: Anything()}
	}
	return member{absent: true}
}

// naming returns o with these keys among its members. Where some other key has
// to be there, and a new member may be that, there is one object for each
// choice.
func (s *Space) naming(o object, keys []string) []object {
	out := []object{o}
	for _, key := range keys {
		if _, named := o.members[key]; named {
			continue
		}
		var next []object
		for _, x := range out {
			next = append(next, s.naming1(x, key)...)
		}
		out = next
	}
	return out
}

func (s *Space) naming1(o object, key string) []object {
	with := func(m member, some []*lang.Set) object {
		members := maps.Clone(o.members)
		if members == nil {
			members = map[string]member{}
		}
		members[key] = m
		return object{members, o.others, some}
	}
	m := o.member(key)
	var without []*lang.Set // those that the new member cannot be in
	may := false
	for _, set := range o.some {
		if set.HasText(key) {
			may = true
		} else {
			without = append(without, set)
		}
	}
	out := []object{with(m, o.some)} // others are there as well; show leaves the members out
	if may && o.others.HasText(key) {
		m.absent = false
		out = append(out, with(m, without))
	}
	return out
}

func keysOf(a, b object) []string {
	keys := slices.Collect(maps.Keys(a.members))
	for key := range b.members {
		if _, again := a.members[key]; !again {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// andObject returns what is in both a and b.
func (s *Space) andObject(a, b object) []object {
	var out []object
	keys := keysOf(a, b)
	for _, x := range s.naming(a, keys) {
		for _, y := range s.naming(b, keys) {
			both := object{make(map[string]member, len(keys)), s.And(x.others, y.others), slices.Concat(x.some, y.some)}
			for _, key := range keys {
				m, n := x.members[key], y.members[key]
				both.members[key] = member{m.absent && n.absent, s.AndDocument(m.value, n.value)}
			}
			if s.Spend(1) && s.hasObject(both) {
				out = append(out, both)
			}
		}
	}
	return out
}

// minusObject cuts a, which is not empty, where it leaves b: key by key.
func (s *Space) minusObject(a, b object) []object {
	if len(b.some) > 0 {
		s.Exceed()
	}
	var out []object
	keys := keysOf(a, b)
	for _, x := range s.naming(a, keys) {
		if s.hasObject(x) {
			out = append(out, s.cutObject(x, b, keys)...)
		}
	}
	return out
}

// cutObject cuts x, which names the keys.
func (s *Space) cutObject(x, b object, keys []string) (out []object) {
	inside := object{maps.Clone(x.members), x.others, x.some} // what is left of x within b
	for _, key := range keys {
		if !s.Spend(1) {
			return out
		}
		mine, theirs := inside.members[key], b.member(key)
		outside := member{mine.absent && !theirs.absent, s.MinusDocument(mine.value, theirs.value)}
		if s.hasMember(outside) {
			piece := object{maps.Clone(inside.members), x.others, x.some}
			piece.members[key] = outside
			out = append(out, piece)
		}
		both := member{mine.absent && theirs.absent, s.AndDocument(mine.value, theirs.value)}
		if !s.hasMember(both) {
			return out
		}
		inside.members[key] = both
	}
	inside.some = append(slices.Clip(inside.some), s.Minus(x.others, b.others))
	if s.hasObject(inside) {
		out = append(out, inside)
	}
	return out
}

func (s *Space) andArray(a, b array) array {
	most := b.most
	if most < 0 || a.most >= 0 && a.most < most {
		most = a.most
	}
	return array{s.AndDocument(a.each, b.each), slices.Concat(a.some, b.some), max(a.least, b.least), most}
}

// minusArray cuts a where it leaves b: where it has more elements, or one that
// b does not have.
func (s *Space) minusArray(a, b array) []array {
	if len(b.some) > 0 || b.least > 0 {
		s.Exceed()
	}
	var out []array
	if b.most >= 0 {
		longer := a
		longer.least = max(a.least, b.most+1)
		out = s.withArray(out, longer)
	}
	other := a
	other.some = append(slices.Clip(a.some), s.MinusDocument(a.each, b.each))
	return s.withArray(out, other)
}
