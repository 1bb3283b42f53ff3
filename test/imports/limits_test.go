package imports

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unlisted are constants that are named like limits and are none that anybody
// meets.
var unlisted = map[string]string{
	"sidecar/audit: maxKept":        "memory that is kept between records",
	"sidecar/metrics: maxReasons":   "above the number of reasons there can be",
	"sidecar/websocket: maxControl": "RFC 6455, 5.5: of the protocol",
}

// bound matches the names of constants that bound something.
var bound = regexp.MustCompile(`^[mM]ax|Timeout$|Limit$|headerBytes$`)

// TestLimits holds docs/reference/limits.md to the code, both ways.
func TestLimits(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	text, err := os.ReadFile(path.Join(root, "docs/reference/limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]constant.Value{}
	for _, dir := range []string{
		"sidecar", "internal/scope", "internal/token", "internal/bundle", "internal/destination", "internal/mint", "cmd/sidecar",
		"controllers/broker", "controllers/identity", "controllers/minter",
	} {
		for file := range strings.FieldsSeq(git(t, root, "ls-files", "--cached", "--others", "--exclude-standard", dir+"/*.go")) {
			if !strings.HasSuffix(file, "_test.go") {
				numbers(t, root, file, code)
			}
		}
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| [^|]+ \\| ([^|]+) \\| [^|]*\\| `([a-z0-9/]+: [A-Za-z]+)` \\|$").FindAllStringSubmatch(string(text), -1) {
		listed[row[2]] = true
		if got, ok := code[row[2]]; !ok || !constant.Compare(got, token.EQL, constant.MakeInt64(amount(t, row[1]))) {
			t.Errorf("limits.md says %s of %s, the code %v", row[1], row[2], got)
		}
	}
	for name := range code {
		_, identifier, _ := strings.Cut(name, ": ")
		if bound.MatchString(identifier) && !listed[name] && unlisted[name] == "" && !strings.HasPrefix(name, "controllers/") {
			t.Errorf("limits.md does not list %s, which is %v", name, code[name])
		}
	}
	t.Logf("%d limits listed", len(listed))
}

// numbers adds the constants of a file that are whole numbers by themselves.
func numbers(t *testing.T, root, file string, into map[string]constant.Value) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path.Join(root, file), nil, 0)
	if os.IsNotExist(err) {
		return // deleted, not yet committed
	} else if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		for _, s := range block.Specs {
			v := s.(*ast.ValueSpec)
			for i := range v.Values {
				if n := number(v.Values[i]); n != nil {
					into[path.Dir(file)+": "+v.Names[i].Name] = n
				}
			}
		}
	}
}

var units = strings.NewReplacer("time.Millisecond", "1000000", "time.Second", "1000000000", "time.Minute", "60000000000", "time.Hour", "3600000000000")

func number(e ast.Expr) constant.Value {
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, units.Replace(types.ExprString(e)))
	if err != nil || v.Value == nil || v.Value.Kind() != constant.Int {
		return nil
	}
	return v.Value
}

// amount reads a number with a unit; times are in nanoseconds.
func amount(t *testing.T, text string) int64 {
	t.Helper()
	digits, unit, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	factor, ok := map[string]int64{
		"": 1, "KiB": 1 << 10, "MiB": 1 << 20,
		"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour),
	}[unit]
	if err != nil || !ok {
		t.Errorf("limits.md says %q, which is no number with a unit", text)
	}
	return n * factor
}

// TestSetLimits holds the documented defaults and bounds of what owners and authors
// may set to the schema.
func TestSetLimits(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	text, err := os.ReadFile(path.Join(root, "docs/reference/limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = fmt.Sprint(amount(t, row[2]), amount(t, row[3]), amount(t, row[4]))
	}
	found := map[string]string{}
	for _, of := range []struct {
		file, kind, path string
		fields           int
	}{
		{"upstreamsecret_types.go", "UpstreamLimits", "", 6},
		{"kinds_types.go", "GitPush", "git.push.", 2},
		{"kinds_types.go", "GraphQLLimits", "graphql.limits.", 3},
	} {
		bounds := schema(t, path.Join(root, "api/v1alpha1", of.file), of.kind)
		if len(bounds) != of.fields {
			t.Errorf("%s has %v, want %d fields", of.kind, bounds, of.fields)
		}
		for name, values := range bounds {
			found[of.path+name] = values
		}
	}
	for name, want := range found {
		if documented[name] != want {
			t.Errorf("%s: limits.md says %s, the schema %s", name, documented[name], want)
		}
	}
	if len(documented) != len(found) {
		t.Errorf("the schema has %v, limits.md %v", found, documented)
	}
}

// schema returns default, least and most of each number and duration of a type that
// has a default.
func schema(t *testing.T, file, kind string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	fields := f.Scope.Lookup(kind).Decl.(*ast.TypeSpec).Type.(*ast.StructType).Fields.List
	for _, field := range fields {
		var markers strings.Builder
		for _, line := range field.Doc.List {
			markers.WriteString(line.Text + "\n")
		}
		if !regexp.MustCompile(`:default="?[0-9]`).MatchString(markers.String()) {
			continue
		}
		name := regexp.MustCompile(`json:"(\w+)`).FindStringSubmatch(field.Tag.Value)[1]
		var values []int64
		for _, marker := range []string{`:default="?([^"\n]+)`, `(?:>= duration\('|:Minimum=)([0-9smh]+)`, `(?:<= duration\('|:Maximum=)([0-9smh]+)`} {
			values = append(values, inUnits(t, regexp.MustCompile(marker).FindStringSubmatch(markers.String())))
		}
		found[name] = strings.Trim(fmt.Sprint(values), "[]")
	}
	return found
}

func inUnits(t *testing.T, match []string) int64 {
	t.Helper()
	if len(match) < 2 {
		t.Fatal("a field has no default or no bounds")
	}
	if d, err := time.ParseDuration(match[1]); err == nil {
		return int64(d)
	}
	n, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
