package region

import "slices"

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
