// Package cut cuts answers of an upstream to the fields that a grant lets
// an agent see.
package cut

import (
	"fmt"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/field"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
)

// Keep is what one grant keeps of a JSON text. The zero Keep keeps nothing. It
// is safe for concurrent use.
type Keep struct{ root place }

// place is a place of a text on the way to one that is kept.
type place struct {
	whole    bool // it is kept, with all below it
	children map[string]*place
	item     *place // every element of an array
}

// Compile returns the Keep of these field paths; of none, it keeps nothing.
func Compile(paths []string) (*Keep, error) {
	k := &Keep{}
	for _, path := range paths {
		steps, err := field.Parse(path)
		if err != nil {
			return nil, fmt.Errorf("reading field path %q: %w", path, err)
		}
		p := &k.root
		for _, step := range steps {
			p = p.step(step)
		}
		p.whole = true
	}
	return k, nil
}

// step returns the place one step below, made where it is missing.
func (p *place) step(s field.Step) *place {
	if s.Item {
		if p.item == nil {
			p.item = &place{}
		}
		return p.item
	}
	if p.children == nil {
		p.children = map[string]*place{}
	}
	if p.children[s.Name] == nil {
		p.children[s.Name] = &place{}
	}
	return p.children[s.Name]
}

var cutters = sync.Pool{New: func() any { return &Cutter{} }}

// JSON is [Cutter.Cut] into memory of its own. It is safe for concurrent use.
func JSON(text []byte, keeps []*Keep) ([]byte, bool) {
	c := cutters.Get().(*Cutter)
	defer cutters.Put(c)
	return c.Cut(nil, text, keeps)
}

// A Cutter cuts texts. The zero Cutter is ready; it is meant to be used again.
// It is not safe for concurrent use.
type Cutter struct {
	document json.Document
	// places are those at which the values under way stand, of every Keep:
	// behind those of a value come those of what is in it.
	places []*place
}

// Cut appends to dst what any of the keeps keeps of text, and reports whether
// that can be read as JSON. A member that is kept stands as it stood, and
// objects and arrays on the way to one stay, perhaps empty; so does the text
// if it is an object or an array.
func (c *Cutter) Cut(dst, text []byte, keeps []*Keep) ([]byte, bool) {
	defer c.document.Reset()
	if c.document.Parse(text) != nil {
		return dst, false
	}
	c.places = c.places[:0]
	for _, k := range keeps {
		c.places = append(c.places, &k.root)
	}
	root := c.document.Root()
	if c.stays(root, 0) {
		return c.value(dst, root, 0), true
	}
	switch root.Kind() {
	case json.Object:
		dst = append(dst, "{}"...)
	case json.Array:
		dst = append(dst, "[]"...)
	}
	return dst, true
}

// stays reports whether anything stays of a value, at the places from one on.
func (c *Cutter) stays(v json.Value, from int) bool {
	for _, p := range c.places[from:] {
		if p.whole || v.Kind() == json.Object && p.children != nil || v.Kind() == json.Array && p.item != nil {
			return true
		}
	}
	return false
}

// value appends what stays of a value of which something does.
func (c *Cutter) value(dst []byte, v json.Value, from int) []byte {
	for _, p := range c.places[from:] {
		if p.whole {
			return append(dst, v.Raw()...)
		}
	}
	if v.Kind() == json.Object {
		return c.members(dst, v, from)
	}
	return c.items(dst, v, from)
}

func (c *Cutter) members(dst []byte, v json.Value, from int) []byte {
	to := len(c.places)
	dst = append(dst, '{')
	first := true
	for key, member := range v.Members {
		for _, p := range c.places[from:to] {
			if child := p.children[key]; child != nil {
				c.places = append(c.places, child)
			}
		}
		if c.stays(member, to) {
			dst = separated(dst, &first)
			dst = append(append(dst, member.RawKey()...), ':')
			dst = c.value(dst, member, to)
		}
		c.places = c.places[:to]
	}
	return append(dst, '}')
}

func (c *Cutter) items(dst []byte, v json.Value, from int) []byte {
	to := len(c.places)
	for _, p := range c.places[from:to] {
		if p.item != nil {
			c.places = append(c.places, p.item)
		}
	}
	dst = append(dst, '[')
	first := true
	for item := range v.Items {
		if c.stays(item, to) {
			dst = separated(dst, &first)
			dst = c.value(dst, item, to)
		}
	}
	c.places = c.places[:to]
	return append(dst, ']')
}

func separated(dst []byte, first *bool) []byte {
	if !*first {
		dst = append(dst, ',')
	}
	*first = false
	return dst
}
