package explain

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// mostValues bounds how many values of a list are told.
const mostValues = 5

// Matcher says in words what a matcher lets pass.
func Matcher(m *scope.Matcher) string {
	if m.Forbidden {
		return "absent"
	}
	parts := constraints(m)
	if m.Set != nil {
		parts = append(parts, constraints(m.Set)...)
	}
	if m.FoldASCII || m.Set != nil && m.Set.FoldASCII {
		parts = append(parts, "in any letter case")
	}
	if len(parts) == 0 {
		parts = append(parts, "any "+strings.ToLower(string(m.ValueType())))
	}
	return strings.Join(parts, ", ")
}

func constraints(m *scope.Matcher) []string {
	var out []string
	add := func(present bool, format string, args ...any) {
		if present {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	add(m.Equals != nil, "%q", text(m.Equals))
	add(len(m.In) > 0, "one of %s", values(m.In))
	add(m.Glob != nil, "like the glob %s", text(m.Glob))
	add(m.Pattern != nil, "like the pattern %s", text(m.Pattern))
	add(m.Kind != "", "a %s", m.Kind)
	add(m.Under != "", "under %s", m.Under)
	out = append(out, sizes(m)...)
	add(len(m.Except) > 0, "not like %s", strings.Join(m.Except, " or "))
	return out
}

func sizes(m *scope.Matcher) []string {
	var out []string
	if text := number(m); text != "" {
		out = append(out, text)
	}
	for _, bound := range []struct {
		is     *int
		format string
	}{
		{m.MinLength, "at least %d characters"}, {m.MaxLength, "at most %d characters"}, {m.MaxItems, "at most %d elements"},
	} {
		if bound.is != nil && !(bound.is == m.MinLength && *bound.is == 0) {
			out = append(out, fmt.Sprintf(bound.format, *bound.is))
		}
	}
	return out
}

func number(m *scope.Matcher) string {
	switch {
	case m.Min != nil && m.Max != nil:
		return fmt.Sprintf("a number from %s to %s", *m.Min, *m.Max)
	case m.Min != nil:
		return fmt.Sprintf("a number from %s on", *m.Min)
	case m.Max != nil:
		return fmt.Sprintf("a number up to %s", *m.Max)
	case m.Type != "" && m.Type != scope.String:
		return "of type " + string(m.Type)
	}
	return ""
}

func values(list []string) string {
	shown := list[:min(len(list), mostValues)]
	text := strings.Join(shown, ", ")
	if more := len(list) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
