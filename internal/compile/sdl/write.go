package sdl

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String is the schema in the schema definition language, sorted, without what
// a scope is not about: words, directives, defaults, values of enums, and
// whether something may be null.
func (s *Schema) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema{query:%s", s.Query)
	if s.Mutation != "" {
		fmt.Fprintf(&b, " mutation:%s", s.Mutation)
	}
	b.WriteString("}\n")
	above := map[string][]string{}
	for name, t := range s.types {
		if t.Kind == Interface {
			for _, of := range t.Possible {
				above[of] = append(above[of], name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		s.types[name].write(&b, above[name])
	}
	return b.String()
}

var keywords = map[Kind]string{Object: "type", Interface: "interface", Union: "union", Input: "input", Enum: "enum", Scalar: "scalar"}

func (t *Type) write(b *strings.Builder, above []string) {
	fmt.Fprintf(b, "%s %s", keywords[t.Kind], t.Name)
	slices.Sort(above)
	if len(above) > 0 {
		b.WriteString(" implements " + strings.Join(above, "&"))
	}
	switch {
	case t.Kind == Union && len(t.Possible) > 0:
		b.WriteString("=" + strings.Join(t.Possible, "|"))
	case t.Kind == Input && len(t.Inputs) > 0:
		b.WriteString("{" + arguments(t.Inputs) + "}")
	case t.Kind == Enum:
		b.WriteString("{_}")
	case len(t.Fields) > 0: // of an Object or Interface; nothing stands between no braces
		b.WriteString("{" + fields(t.Fields) + "}")
	}
	b.WriteByte('\n')
}

func fields(all map[string]*Field) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		if len(f.Args) > 0 {
			name += "(" + arguments(f.Args) + ")"
		}
		out = append(out, name+":"+f.Type.String())
	}
	return strings.Join(out, " ")
}

func arguments(args map[string]Ref) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		out = append(out, name+":"+args[name].String())
	}
	return strings.Join(out, " ")
}

// String is the reference as it is written.
func (r Ref) String() string {
	return strings.Repeat("[", r.Lists) + r.Name + strings.Repeat("]", r.Lists)
}
