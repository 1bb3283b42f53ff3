package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is one complaint about a file.
type Error struct {
	File string
	Line int    // counted from 1; 0: the file as a whole
	Path string // the field, such as spec.grants[0].name; empty: the document
	Msg  string
}

// Error is the complaint as file:line: field: message.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&text, ":%d", e.Line)
	}
	if e.Path != "" {
		text.WriteString(": " + e.Path)
	}
	text.WriteString(": " + e.Msg)
	return text.String()
}

// Errors are all complaints about some files. None is no error.
type Errors []*Error

// Error is one line for each complaint.
func (l Errors) Error() string {
	var lines []string
	for _, e := range l {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// Err returns the complaints in the order of files and lines, each once, or
// nil where there are none.
func (l Errors) Err() error {
	if len(l) == 0 {
		return nil
	}
	sorted := slices.Clone(l)
	slices.SortStableFunc(sorted, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Msg, b.Msg))
	})
	return slices.CompactFunc(sorted, func(a, b *Error) bool { return *a == *b })
}
