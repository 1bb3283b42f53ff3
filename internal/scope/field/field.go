// Package field reads the paths by which a scope names places of a document:
// a.b is a child, a[] and a[].b stand for every element, [] in front says that
// the document is an array, and \ takes a dot, a bracket or a backslash
// literally.
package field

import (
	"errors"
	"strings"
)

// Errors of [Parse].
var (
	errEmpty   = errors.New(`name a field: there is nothing before, behind or between the dots`)
	errEscape  = errors.New(`write \ only before a dot, a bracket or another \`)
	errBracket = errors.New(`write [] behind the name of an array, and \[ for a bracket in a name`)
)

// Step is one step down from a value: to the member of a name, or to every
// element. The zero Step is to the member without a name.
type Step struct {
	Name string
	Item bool // to every element; Name is empty
}

// Parse reads a path. The error says what to write instead.
func Parse(path string) ([]Step, error) {
	var steps []Step
	rest := path
	for {
		var name string
		var err error
		if name, rest, err = cutName(rest); err != nil {
			return nil, err
		}
		if name != "" {
			steps = append(steps, Step{Name: name})
		}
		items := 0
		for ; strings.HasPrefix(rest, "[]"); rest = rest[2:] {
			steps = append(steps, Step{Item: true})
			items++
		}
		if name == "" && (items == 0 || len(steps) > items) {
			return nil, errEmpty // only a document has elements without a name
		}
		if rest == "" {
			return steps, nil
		}
		if rest[0] != '.' {
			return nil, errBracket
		}
		rest = rest[1:]
	}
}

// cutName takes the name that s begins with, perhaps an empty one, and leaves
// the dot or bracket behind it.
func cutName(s string) (name, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '.', '[':
			return b.String(), s[i:], nil
		case ']':
			return "", "", errBracket
		case '\\':
			i++
			if i == len(s) || !strings.ContainsRune(`.[]\`, rune(s[i])) {
				return "", "", errEscape
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", nil
}

// Join writes a path of which Parse makes these steps.
func Join(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		if s.Item {
			b.WriteString("[]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		for i := range len(s.Name) {
			if strings.IndexByte(`.[]\`, s.Name[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(s.Name[i])
		}
	}
	return b.String()
}
