package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// target is one fuzz target of the module.
type target struct {
	dir, function string
	property      string // what it holds, in words
}

func (t *target) name() string { return t.dir + ": " + t.function }

// list finds the targets, sorted by name. Modules below this one have their own.
func list(ctx context.Context) ([]target, error) {
	out, err := exec.CommandContext(ctx, "git", "grep", "--untracked", "-lE", `^func Fuzz[A-Z]`, "--", "*_test.go", ":!hack/cluster").Output()
	if err != nil {
		return nil, fmt.Errorf("finding targets: %w", err)
	}
	var all []target
	for file := range strings.FieldsSeq(string(out)) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("finding targets: %w", err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				all = append(all, target{path.Dir(file), f.Name.Name, property(f)})
			}
		}
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.name(), b.name()) })
	return all, nil
}

// property is what the comment of a target says, in one line.
func property(f *ast.FuncDecl) string {
	text := strings.Join(strings.Fields(f.Doc.Text()), " ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, f.Name.Name), ":")
	return strings.ReplaceAll(strings.TrimSpace(text), "|", `\|`)
}

// describe names the revision that is fuzzed. What this command writes does not
// make it another one.
func describe(ctx context.Context) (string, error) {
	revision, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("naming the revision: %w", err)
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":!"+recordFile, ":!*/testdata/fuzz/*").Output()
	if err != nil {
		return "", fmt.Errorf("naming the revision: %w", err)
	}
	if len(changed) > 0 {
		return strings.TrimSpace(string(revision)) + "-dirty", nil
	}
	return strings.TrimSpace(string(revision)), nil
}
