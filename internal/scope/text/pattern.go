package text

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// maxPattern bounds the text of a pattern, in bytes.
const maxPattern = 2048

// CompilePattern compiles RE2 without flags, anchors or \b, anchored at both
// ends. With fold it is matched against the lower-case spelling, so that it
// may not ask for upper case.
func CompilePattern(pattern string, fold bool) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("shorten the pattern to %d bytes", maxPattern)
	}
	if hasGroupFlags(pattern) {
		return nil, errors.New("remove the flags: (?:...) is the only special group")
	}
	if hasLooseBrace(pattern) {
		return nil, errors.New(`write a count such as {1,6}, or \{ for a brace: some readers take any other for a mistake`)
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("write a pattern that RE2 accepts: %w", err)
	}
	if err := checkPattern(tree, fold); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// hasGroupFlags reports whether a group begins with anything special but
// `(?:`. A parenthesis behind an odd number of backslashes is escaped or
// quoted. One in a class is refused for nothing: `[?(]` says the same.
func hasGroupFlags(pattern string) bool {
	backslashes := 0
	for i := range len(pattern) {
		if pattern[i] == '\\' {
			backslashes++
			continue
		}
		rest := pattern[i:]
		if backslashes%2 == 0 && strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?:") {
			return true
		}
		backslashes = 0
	}
	return false
}

// count is a brace that repeats what stands before it.
var count = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// hasLooseBrace reports whether an opening brace stands for itself without
// being escaped: more likely it is a count that was not finished, and the
// pattern would never match. Braces of classes and of \p{...}, \x{...} and \Q
// are none.
func hasLooseBrace(pattern string) bool {
	for rest := pattern; rest != ""; {
		switch c := rest[0]; {
		case c == '\\':
			rest = skipEscape(rest)
		case c == '[':
			rest = skipClass(rest)
		case c == '{' && !count.MatchString(rest):
			return true
		default:
			rest = rest[1:]
		}
	}
	return false
}

// skipEscape cuts the escape that s begins with.
func skipEscape(s string) string {
	if len(s) < 2 {
		return ""
	}
	if s[1] == 'Q' {
		_, rest, _ := strings.Cut(s, `\E`)
		return rest
	}
	if strings.IndexByte("pPx", s[1]) >= 0 && strings.HasPrefix(s[2:], "{") {
		_, rest, _ := strings.Cut(s, "}")
		return rest
	}
	return s[2:]
}

// skipClass cuts the class that s begins with. A bracket that stands first in
// it is part of it.
func skipClass(s string) string {
	s = strings.TrimPrefix(s[1:], "^")
	for first := true; s != "" && (first || s[0] != ']'); first = false {
		switch {
		case s[0] == '\\':
			s = skipEscape(s)
		case strings.HasPrefix(s, "[:") && strings.Contains(s, ":]"):
			_, s, _ = strings.Cut(s, ":]")
		default:
			s = s[1:]
		}
	}
	return strings.TrimPrefix(s, "]")
}

func checkPattern(tree *syntax.Regexp, fold bool) error {
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText:
		return errors.New("remove the anchors: a pattern always matches the whole value")
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return errors.New(`remove \b and \B`)
	case syntax.OpLiteral, syntax.OpCharClass:
		if fold && wantsUpper(tree) {
			return errors.New("write the letters in lower case: with fold the lower-case spelling is matched")
		}
	}
	for _, sub := range tree.Sub {
		if err := checkPattern(sub, fold); err != nil {
			return err
		}
	}
	return nil
}

// wantsUpper reports whether a letter in upper case would pass where the same
// one in lower case does not.
func wantsUpper(tree *syntax.Regexp) bool {
	for c := 'A'; c <= 'Z'; c++ {
		if tree.Op == syntax.OpLiteral && slices.Contains(tree.Rune, c) {
			return true
		}
		if tree.Op == syntax.OpCharClass && inClass(tree.Rune, c) && !inClass(tree.Rune, c+'a'-'A') {
			return true
		}
	}
	return false
}

// inClass reports whether c is in one of the ranges.
func inClass(ranges []rune, c rune) bool {
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i] <= c && c <= ranges[i+1] {
			return true
		}
	}
	return false
}
