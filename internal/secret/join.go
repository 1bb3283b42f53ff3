package secret

import (
	"strconv"
	"strings"
)

// Join returns one Value of several parts, from which [Split] takes them again:
// each with its length before it, so that no part can pass for two.
func Join(parts ...Value) Value {
	var b strings.Builder
	for _, part := range parts {
		text := part.Reveal()
		b.WriteString(strconv.Itoa(len(text)))
		b.WriteByte(':')
		b.WriteString(text)
		b.WriteByte(',')
	}
	return New(b.String())
}

// Split returns the parts of what Join made of n of them. It is not ok for
// anything else: a part more or less would be read in another's place.
func Split(v Value, n int) (parts []Value, ok bool) {
	rest := v.Reveal()
	for range n {
		digits, behind, found := strings.Cut(rest, ":")
		length, err := strconv.Atoi(digits)
		if !found || err != nil || strconv.Itoa(length) != digits || length < 0 || length >= len(behind) || behind[length] != ',' {
			return nil, false
		}
		parts = append(parts, New(behind[:length]))
		rest = behind[length+1:]
	}
	return parts, rest == "" && n > 0
}
