package body

import (
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope/field"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// document compiles the fields of a JSON body into a tree of places.
func (c *compiler) document() Judge {
	t := tree{c.spec.Fields, c.spec.UnlistedAllow, "body.fields", words{"body field", "body"}, c.report}
	return document{t.compile()}
}

// tree compiles the fields that are listed of a value.
type tree struct {
	fields   map[string]match.Matcher // by path, see package field
	unlisted bool
	at       string // where they are listed
	words
	report match.Report
}

func (c *tree) compile() *place {
	root := &place{open: c.unlisted && len(c.fields) == 0}
	for _, path := range slices.Sorted(maps.Keys(c.fields)) {
		steps, err := field.Parse(path)
		if err != nil {
			c.report(c.at, path, err.Error())
			continue
		}
		m := c.fields[path]
		at := c.at + "." + path
		last := steps[len(steps)-1]
		if m.Repeated || last.Item && (m.Required || m.Forbidden) {
			c.report(at, "", "remove repeated, and of elements required and forbidden: maxItems bounds an array, and required on a[].b asks for b in every element")
		}
		p := root.down(steps)
		p.path, p.is = path, match.CompileValue(&m, at, c.report)
	}
	c.finish(root)
	return root
}

// down returns the place that the steps lead to, made where it is missing.
func (p *place) down(steps []field.Step) *place {
	for _, step := range steps {
		switch {
		case step.Item:
			if p.item == nil {
				p.item = &place{path: p.path + "[]"}
			}
			p = p.item
		default:
			next := p.children[step.Name]
			if next == nil {
				if p.children == nil {
					p.children = map[string]*place{}
				}
				next = &place{name: step.Name, path: below(p.path, step.Name)}
				p.children[step.Name] = next
				p.list = append(p.list, next)
			}
			p = next
		}
	}
	return p
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// finish settles what follows from all that is listed, from the leaves up.
func (c *tree) finish(p *place) {
	p.words = c.words
	c.children(p)
	if p.item != nil {
		c.finish(p.item)
	}
	p.must = p.required > 0 || p.is != nil && p.is.Text.Required
	p.unlisted = c.unlisted && len(p.children) > 0
	if p.is == nil {
		return
	}
	if len(p.children) > 0 || p.item != nil {
		c.parent(p)
	} else {
		p.open = p.is.Open()
	}
}

func (c *tree) children(p *place) {
	p.folded = make(map[string]struct{}, len(p.children))
	for _, name := range slices.Sorted(maps.Keys(p.children)) {
		child := p.children[name]
		c.finish(child)
		if child.must {
			p.required++
		}
		key := string(text.AppendKey(nil, name))
		if _, again := p.folded[key]; again {
			c.report(c.at, child.path, "list the field once: another entry is a spelling of the same name to some readers")
		}
		p.folded[key] = struct{}{}
	}
}

// parent refuses what contradicts places that are listed below p.
func (c *tree) parent(p *place) {
	at := c.at + "." + p.path
	switch {
	case p.is.Text.Forbidden:
		c.report(at, "", "remove forbidden, or the fields below it: what may not be there has none")
	case len(p.children) > 0 && !p.is.Takes(json.Object), p.item != nil && !p.is.Takes(json.Array):
		c.report(at+".type", "", "set a type that has the fields listed below it: Object, Array or Any")
	}
}
