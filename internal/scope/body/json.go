package body

import (
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// place is what is listed of one place of a document and of those below it.
// The zero place lets nothing pass but an empty object.
type place struct {
	words
	path string       // as its author wrote it
	name string       // of a member
	is   *match.Value // nil: only places below it are listed
	// children are the listed members, and folded the one spelling of each
	// name by which second ones are found.
	children map[string]*place
	list     []*place // of children, where they are few
	folded   map[string]struct{}
	// item is every element of an array; nil: none is listed.
	item *place
	// required counts the children that must be there.
	required int
	must     bool // it must be there itself
	// open: everything passes, whatever is below.
	open bool
	// unlisted: members that are not listed pass.
	unlisted bool
}

// words are what places are called in refusals.
type words struct {
	noun  string // such as body field
	whole string // the place without a name, such as body
}

// document judges JSON.
type document struct{ root *place }

func (d document) Missing() string {
	if !d.root.must {
		return ""
	}
	return "field " + d.root.firstRequired()
}

func (p *place) firstRequired() string {
	for _, c := range p.children {
		if c.must {
			return c.path
		}
	}
	return p.path
}

func (d document) Judge(b *Reading) Refusal { return d.root.judge(b.document.Root(), b) }

func (p *place) judge(v json.Value, b *Reading) Refusal {
	if p.open {
		return Refusal{}
	}
	k := v.Kind()
	if !p.takes(k) {
		return p.wrong("has the wrong type")
	}
	switch k {
	case json.Object:
		return p.members(v, b)
	case json.Array:
		return p.items(v, b)
	}
	if p.is.Text.Unbounded() {
		return Refusal{}
	}
	if !p.is.Match(k, v.Text(&b.text), &b.lower) {
		return p.wrong("has a value that is not allowed")
	}
	return Refusal{}
}

// takes reports whether a value of this kind may stand here.
func (p *place) takes(k json.Kind) bool {
	if p.is != nil {
		return p.is.Takes(k)
	}
	return k == json.Array && p.item != nil || k == json.Object && (p.item == nil || p.children != nil)
}

func (p *place) wrong(how string) Refusal {
	if p.path == "" {
		return refused("the " + p.whole + " " + how)
	}
	return refused("the " + p.noun + " " + p.path + " " + how)
}

func (p *place) members(v json.Value, b *Reading) Refusal {
	required := 0
	for key, member := range v.Members {
		child := p.child(key)
		if child == nil {
			if why := p.other(key, b); why.Reason != Passes {
				return why
			}
			continue
		}
		if child.is != nil && child.is.Text.Forbidden {
			return child.wrong("may not be there")
		}
		if child.must {
			required++
		}
		if why := child.judge(member, b); why.Reason != Passes {
			return why
		}
	}
	if required < p.required {
		return p.lacks(v)
	}
	return Refusal{}
}

// few children are found by looking at each.
const few = 8

// child returns the place of a member, nil where it is not listed.
func (p *place) child(key string) *place {
	if len(p.children) > few {
		return p.children[key]
	}
	for _, c := range p.list {
		if c.name == key {
			return c
		}
	}
	return nil
}

// other judges a member that is not listed.
func (p *place) other(key string, b *Reading) Refusal {
	if !p.unlisted {
		return refused("the " + p.noun + " " + p.below(key) + " is not listed")
	}
	b.key = text.AppendKey(b.key[:0], key)
	if _, found := p.folded[string(b.key)]; found {
		return refused("the " + p.noun + " " + p.below(key) + " is another spelling of a listed one")
	}
	return Refusal{}
}

func (p *place) below(key string) string {
	if p.path == "" {
		return shown(key)
	}
	return p.path + "." + shown(key)
}

// lacks names a member that must be there and is not.
func (p *place) lacks(v json.Value) Refusal {
	for name, child := range p.children {
		if child.must && v.Member(name).Kind() == json.None {
			return child.wrong("is required")
		}
	}
	return p.wrong("is not complete")
}

func (p *place) items(v json.Value, b *Reading) Refusal {
	n := 0
	for item := range v.Items {
		if n++; p.is != nil && p.is.MaxItems >= 0 && n > p.is.MaxItems {
			return p.wrong("has too many elements")
		}
		if p.item == nil {
			return p.wrong("has elements, none of which is listed")
		}
		if why := p.item.judge(item, b); why.Reason != Passes {
			return why
		}
	}
	return Refusal{}
}
