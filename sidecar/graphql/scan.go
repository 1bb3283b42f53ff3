package graphql

import (
	"errors"
	"regexp"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/lexer"
)

// Errors of spellings that servers do not agree on.
var (
	errLine   = errors.New("write the document without U+FEFF, U+2028 and U+2029: some servers end a line there")
	errNumber = errors.New("write numbers by themselves, as 5, -5 or 0.5")
	errBraces = errors.New(`write characters themselves or as \u0041: not every server reads \u{41}`)
	errString = errors.New("end every string")
	errQuotes = errors.New(`write a block string with three quotation marks at either end, and without \: use a variable for other text`)
	errIndent = errors.New("begin the text of a block string on a line of its own: servers do not agree on how it is indented")
)

// strict refuses a text that readers of GraphQL take apart differently: with
// marks that end a line for some, numbers that run into names, escapes that
// came late into the language, block strings whose end or indentation is not
// the same to all.
func strict(text string) error {
	for _, mark := range []string{"\ufeff", "\u2028", "\u2029"} {
		if strings.Contains(text, mark) {
			return errLine
		}
	}
	for i := 0; i < len(text); {
		n, err := token(text[i:])
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// token returns the length of the token, or of the one byte, that text begins
// with.
func token(text string) (int, error) {
	switch c := text[0]; {
	case c == '#':
		if end := strings.IndexAny(text, "\r\n"); end >= 0 {
			return end, nil
		}
		return len(text), nil
	case strings.HasPrefix(text, `"""`):
		return blockString(text)
	case c == '"':
		return quoted(text)
	case c == '-' || isWord(c) && c != '.':
		return word(text)
	}
	return 1, nil
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("_.+-", c) >= 0
}

var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// word returns the length of a name or number. What a number runs into belongs
// to it, and makes it none.
func word(text string) (int, error) {
	isName := text[0] != '-' && (text[0] < '0' || text[0] > '9')
	n := 1
	for n < len(text) && isWord(text[n]) && !(isName && strings.IndexByte(".+-", text[n]) >= 0) {
		n++
	}
	if !isName && !number.MatchString(text[:n]) {
		return 0, errNumber
	}
	return n, nil
}

// quoted returns the length of a string in quotation marks.
func quoted(text string) (int, error) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1, nil
		case '\r', '\n':
			return 0, errString
		case '\\':
			if strings.HasPrefix(text[i:], `\u{`) {
				return 0, errBraces
			}
			i++
		}
	}
	return 0, errString
}

const marks = `"""`

// blockString returns the length of a block string.
func blockString(text string) (int, error) {
	inner := text[len(marks):]
	end := strings.Index(inner, marks)
	if end < 0 {
		return 0, errString
	}
	n := len(marks) + end + len(marks)
	if strings.HasPrefix(text[n:], `"`) || strings.Contains(inner[:end], `\`) {
		return 0, errQuotes
	}
	l := lexer.New(&ast.Source{Input: text[:n]})
	read, err := l.ReadToken()
	if err != nil || read.Value != blockValue(inner[:end]) {
		return 0, errIndent
	}
	return n, nil
}

// blockValue is what a block string means by the specification (October 2021,
// section 2.9.4): indentation is counted without the first line.
func blockValue(raw string) string {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(raw), "\n")
	const blank = " \t"
	common := -1
	for _, line := range lines[1:] {
		indent := len(line) - len(strings.TrimLeft(line, blank))
		if indent < len(line) && (common < 0 || indent < common) {
			common = indent
		}
	}
	for i := range lines[1:] {
		line := &lines[1+i]
		*line = (*line)[min(max(common, 0), len(*line)):]
	}
	for len(lines) > 0 && strings.Trim(lines[0], blank) == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.Trim(lines[len(lines)-1], blank) == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines, "\n")
}
