package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReasonsAreOneSet compares the reasons of refused requests that the API
// documents with those that the sidecar answers with: it cannot import the API
// and has its own list.
func TestReasonsAreOneSet(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	documented := constants(t, path.Join(root, "api/v1alpha1/conditions.go"), "ReasonMalformed")
	answered := constants(t, path.Join(root, "internal/scope/policy.go"), "Malformed")
	if len(answered) == 0 || !slices.Equal(documented, answered) {
		t.Errorf("the API documents %v\nthe sidecar answers %v", documented, answered)
	}
}

// constants returns the sorted values of the const block that begins with the
// constant named first.
func constants(t *testing.T, file, first string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, d := range f.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST || block.Specs[0].(*ast.ValueSpec).Names[0].Name != first {
			continue
		}
		for _, s := range block.Specs {
			text, err := strconv.Unquote(s.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, text)
		}
	}
	slices.Sort(values)
	return values
}
