package manifest

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	goyaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"sigs.k8s.io/yaml"
)

// document is one YAML document of a file.
type document struct {
	file string
	line int    // of its first line
	text []byte // padded with empty lines, so that line numbers are the file's
	json []byte
	tree ast.Node // for positions alone; nil where they are not known
}

// split cuts a file at its document markers. Both markers are looked for at
// the start of a line, where no other YAML can stand, so that no reader sees
// two documents where another sees one.
func split(file string, text []byte) []document {
	var docs []document
	start, line := 0, 0 // lines before start
	cut := func(end, next int) {
		padded := append(bytes.Repeat([]byte("\n"), line), text[start:end]...)
		docs = append(docs, document{file: file, line: line + 1, text: padded})
		line += bytes.Count(text[start:next], []byte("\n"))
		start = next
	}
	for at := 0; at < len(text); {
		end := at + len(text[at:])
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if isMarker(text[at:end]) {
			// What stands behind a marker on its line belongs to the next document.
			cut(at, at+len("---"))
		}
		at = end
	}
	cut(len(text), len(text))
	return docs
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	if !ok {
		rest, ok = bytes.CutPrefix(line, []byte("..."))
	}
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// parse turns the document into JSON by the rules that kubectl reads YAML by.
// A second reader finds positions; where it fails, the document's first line
// has to do.
func (d *document) parse() *Error {
	if file, err := parser.ParseBytes(d.text, 0); err == nil && len(file.Docs) == 1 {
		d.tree = file.Docs[0].Body
	} else if err != nil {
		if complaint := d.syntax(err); complaint != nil {
			return complaint
		}
	}
	json, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return &Error{d.file, d.line, "", "this is not YAML that kubectl would read: " + oneLine(quoted.ReplaceAllString(err.Error(), "..."))}
	}
	d.json = json
	if d.tree != nil {
		d.line = max(d.line, d.tree.GetToken().Position.Line)
	}
	return nil
}

// quoted is text of the file in an error of kubectl's reader. In a Secret, a
// value that was not put into quotes can be read as the name of an anchor.
var quoted = regexp.MustCompile(`'[^']*'`)

// syntax places an error of the second reader, unless kubectl's reader takes
// the text.
func (d *document) syntax(err error) *Error {
	if _, strict := yaml.YAMLToJSONStrict(d.text); strict == nil {
		return nil
	}
	var located goyaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return nil
	}
	return &Error{d.file, located.GetToken().Position.Line, "", "this is not YAML: " + oneLine(located.GetMessage())}
}

// empty tells whether the document holds nothing but comments.
func (d *document) empty() bool { return string(bytes.TrimSpace(d.json)) == "null" }

// errorAt is a complaint about a field, at the line of what is there of it.
func (d *document) errorAt(path, msg string) *Error {
	return &Error{d.file, d.lineOf(path), path, msg}
}

// lineOf returns the line of a field such as spec.grants[0].where[repo]. Where
// the field is missing, it is the line of the nearest parent.
func (d *document) lineOf(path string) int {
	line, node := d.line, d.tree
	for node != nil && path != "" {
		next, at, rest := step(node, path)
		if next == nil {
			break
		}
		line, node, path = at, next, rest
	}
	return line
}

// step goes one field down and returns what is left of the path.
func step(node ast.Node, path string) (next ast.Node, line int, rest string) {
	switch n := node.(type) {
	case *ast.AnchorNode:
		return n.Value, n.Value.GetToken().Position.Line, path
	case *ast.TagNode:
		return n.Value, n.Value.GetToken().Position.Line, path
	case *ast.MappingValueNode: // a mapping of one
		return stepInto([]*ast.MappingValueNode{n}, path)
	case *ast.MappingNode:
		return stepInto(n.Values, path)
	case *ast.SequenceNode:
		for i, value := range n.Values {
			if rest, ok := cutIndex(path, i); ok {
				return value, value.GetToken().Position.Line, rest
			}
		}
	}
	return nil, 0, ""
}

// stepInto finds the longest key that path begins with: a key may hold dots.
func stepInto(values []*ast.MappingValueNode, path string) (next ast.Node, line int, rest string) {
	longest := -1
	for _, value := range values {
		key := value.Key.GetToken().Value
		if after, ok := cutKey(path, key); ok && len(key) > longest {
			longest = len(key)
			next, line, rest = value.Value, value.Key.GetToken().Position.Line, after
		}
	}
	return next, line, rest
}
