package reach

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// An Operation is one of an OpenAPI description.
type Operation struct {
	Method   string `json:"method"`
	Path     string `json:"path"` // as it is described
	ID       string `json:"id,omitempty"`
	segments []segment
}

// document is what is read of a description. Everything else of it, and that
// is most, is passed over.
type document struct {
	OpenAPI string              `json:"openapi" yaml:"openapi"`
	Swagger string              `json:"swagger" yaml:"swagger"`
	Paths   map[string]pathItem `json:"paths" yaml:"paths"`
	Common  components          `json:"components" yaml:"components"`
}

type components struct {
	PathItems  map[string]pathItem  `json:"pathItems" yaml:"pathItems"`
	Parameters map[string]parameter `json:"parameters" yaml:"parameters"`
}

type pathItem struct {
	Ref        string      `json:"$ref" yaml:"$ref"`
	Parameters []parameter `json:"parameters" yaml:"parameters"`
	Get        *operation  `json:"get" yaml:"get"`
	Put        *operation  `json:"put" yaml:"put"`
	Post       *operation  `json:"post" yaml:"post"`
	Delete     *operation  `json:"delete" yaml:"delete"`
	Options    *operation  `json:"options" yaml:"options"`
	Head       *operation  `json:"head" yaml:"head"`
	Patch      *operation  `json:"patch" yaml:"patch"`
}

func (p *pathItem) operations() map[string]*operation {
	return map[string]*operation{
		"GET": p.Get, "PUT": p.Put, "POST": p.Post, "DELETE": p.Delete, "OPTIONS": p.Options, "HEAD": p.Head, "PATCH": p.Patch,
	}
}

type operation struct {
	ID         string      `json:"operationId" yaml:"operationId"`
	Parameters []parameter `json:"parameters" yaml:"parameters"`
}

type parameter struct {
	Ref  string `json:"$ref" yaml:"$ref"`
	Name string `json:"name" yaml:"name"`
	In   string `json:"in" yaml:"in"`
	// Many says that the value may hold slashes, as file paths and refs do.
	Many bool `json:"x-multi-segment" yaml:"x-multi-segment"`
}

// Read reads the operations of an OpenAPI description, 3.x or 2.0, in JSON or
// YAML, in the order of their paths. It follows references within the
// description and no others.
func Read(text []byte) ([]Operation, error) {
	var d document
	decode := func() error { return yaml.Unmarshal(text, &d) }
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		decode = func() error { return json.Unmarshal(text, &d) }
	}
	if err := decode(); err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	if d.OpenAPI == "" && d.Swagger == "" {
		return nil, errors.New("reading the description: it has neither openapi nor swagger: give an OpenAPI description")
	}
	var out []Operation
	for path, item := range d.Paths {
		if name, ok := strings.CutPrefix(item.Ref, "#/components/pathItems/"); ok {
			item = d.Common.PathItems[name]
		}
		for method, op := range item.operations() {
			if op != nil {
				out = append(out, Operation{method, path, op.ID, segmentsOf(path, d.many(item.Parameters, op.Parameters))})
			}
		}
	}
	slices.SortFunc(out, func(a, b Operation) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return out, nil
}

func (d *document) many(lists ...[]parameter) map[string]bool {
	out := map[string]bool{}
	for _, p := range slices.Concat(lists...) {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Common.Parameters[name]
		}
		if p.In == "path" && p.Many {
			out[p.Name] = true
		}
	}
	return out
}

// segment is one of an operation's path.
type segment struct {
	literal string
	pattern string // of a segment that is a literal in part; empty: of none
	many    bool
}

func (s *segment) open() bool { return s.literal == "" }

var braces = regexp.MustCompile(`\{[^{}]*\}`)

// segmentsOf reads the path of an operation. A parameter is any text without a
// slash, or with some where the description says so and it stands last: many
// are those that may take more than one segment.
func segmentsOf(path string, many map[string]bool) []segment {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var out []segment
	for i, part := range parts {
		found := braces.FindAllStringIndex(part, -1)
		switch {
		case len(found) == 0:
			out = append(out, segment{literal: part})
		case len(found) == 1 && found[0][0] == 0 && found[0][1] == len(part):
			out = append(out, segment{many: i == len(parts)-1 && many[strings.Trim(part, "{}")]})
		default:
			out = append(out, segment{pattern: pattern(part, found)})
		}
	}
	return out
}

// pattern matches a segment in which parameters stand beside literal text.
func pattern(part string, found [][]int) string {
	var out strings.Builder
	at := 0
	for _, f := range found {
		out.WriteString(regexp.QuoteMeta(part[at:f[0]]) + ".+")
		at = f[1]
	}
	return out.String() + regexp.QuoteMeta(part[at:])
}

// template is the path in the scope language, with what its captures match.
func (o *Operation) template() (string, map[string]scope.Matcher) {
	if o.Path == "/" {
		return "/", nil
	}
	where := map[string]scope.Matcher{}
	var out strings.Builder
	for i, s := range o.segments {
		name := fmt.Sprintf("p%d", i)
		switch {
		case !s.open():
			out.WriteString("/" + s.literal)
			continue
		case s.many:
			out.WriteString("/{" + name + "...}")
		default:
			out.WriteString("/{" + name + "}")
		}
		if s.pattern != "" {
			where[name] = scope.Matcher{Pattern: &s.pattern}
		}
	}
	if strings.HasSuffix(o.Path, "/") {
		out.WriteString("/")
	}
	return out.String(), where
}

// yields reports whether a server takes a request that matches both for one to
// other: where they differ first, that has a literal.
func (o *Operation) yields(other *Operation) bool {
	if o.Method != other.Method || strings.HasSuffix(o.Path, "/") != strings.HasSuffix(other.Path, "/") {
		return false
	}
	mine, theirs := o.segments, other.segments
	for i := range min(len(mine), len(theirs)) {
		m, t := &mine[i], &theirs[i]
		switch {
		case m.open() && !t.open(), m.many && !t.many, m.pattern == "" && m.open() && t.pattern != "":
			return true
		case m.literal != t.literal, m.pattern != t.pattern, m.many != t.many:
			return false
		}
	}
	return false
}
