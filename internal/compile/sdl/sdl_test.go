package sdl_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
)

const small = `
"Words" schema @x { query: Root mutation: Change }
directive @x on SCHEMA
type Root { "words" thing(id: ID! = "1", in: Box, tags: [[String!]!]): Thing! things: [Any!]! }
interface Thing { id: ID! }
type A implements Thing & Other { id: ID! }
type B implements Thing { id: ID! }
extend type B implements Other { more(n: Int): Color }
interface Other { x: Int }
union Any = A
extend union Any = B
enum Color { RED @deprecated(reason: "no") GREEN }
scalar Date @specifiedBy(url: "https://example.com")
input Box { size: Int = 1, inner: [Box] }
type Change { set(box: Box!): A }
`

func TestParse(t *testing.T) {
	s, err := sdl.Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimLeft(`
schema{query:Root mutation:Change}
type A implements Other&Thing{id:ID}
union Any=A|B
type B implements Other&Thing{id:ID more(n:Int):Color}
input Box{inner:[Box] size:Int}
type Change{set(box:Box):A}
enum Color{_}
scalar Date
interface Other{x:Int}
type Root{thing(id:ID in:Box tags:[[String]]):Thing things:[Any]}
interface Thing{id:ID}
`, "\n")
	if got := s.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	again, err := sdl.Parse(want)
	if err != nil || again.String() != want {
		t.Errorf("what is written reads as something else (%v)", err)
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":        "",
		"no root":      "type A { a: Int }",
		"no schema":    "schema { query: Q }",
		"a document":   "{ a }",
		"broken":       "type Query { a: secret-word }",
		"mutation":     "schema { mutation: M } type M { a: Int }",
		"deep":         "type Query { a: " + strings.Repeat("[", 5000) + "Int" + strings.Repeat("]", 5000) + " }",
		"half a field": "type Query { a",
		"two kinds":    "type Query { a: A } type A { b: Int } scalar A",
		"extended":     "type Query { a: A } input A { b: Int } extend type A { c: Int }",
		"no interface": "type Query implements A { a: Int }",
		"a scalar":     "type Query implements A { a: Int } scalar A",
	} {
		if _, err := sdl.Parse(text); err == nil {
			t.Errorf("%s: it is read", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v quotes it", name, err)
		}
	}
}

// FuzzParse: a schema that is read says, once written, the same to whoever reads it
// again, and has lost no type, and no type all its fields.
func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add("type Query")
	f.Add("type Query { a: A } union A interface B input C enum D extend schema { mutation: Query }")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := sdl.Parse(text)
		if err != nil {
			return
		}
		written := s.String()
		again, err := sdl.Parse(written)
		if err != nil || again.String() != written {
			t.Fatalf("%q is written %q, which is refused or read as something else: %v", text, written, err)
		}
		doc, err := parser.ParseSchema(&ast.Source{Input: text})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, d := range slices.Concat(doc.Definitions, doc.Extensions) {
			if got := again.Type(d.Name); got == nil {
				t.Errorf("%q: %s is lost", text, d.Name)
			} else if n := len(d.Fields); n > 0 && len(got.Fields)+len(got.Inputs) == 0 {
				t.Errorf("%q: %d fields of %s are lost", text, n, d.Name)
			}
		}
	})
}

// TestGitHub holds the file to what it was made of.
func TestGitHub(t *testing.T) {
	s := sdl.GitHub()
	if s.Query != "Query" || s.Mutation != "Mutation" {
		t.Errorf("operations begin at %q and %q", s.Query, s.Mutation)
	}
	if got := len(s.Type("Mutation").Fields); got < 240 {
		t.Errorf("%d mutations, want those of the package", got)
	}
	for _, at := range []struct{ typ, field, result string }{
		{"Query", "repository", "Repository"}, {"Repository", "owner", "RepositoryOwner"}, {"RepositoryOwner", "repositories", "RepositoryConnection"},
		{"Mutation", "createCommitOnBranch", "CreateCommitOnBranchPayload"}, {"Query", "node", "Node"}, {"Issue", "labels", "LabelConnection"},
	} {
		f := s.Type(at.typ).Fields[at.field]
		if f == nil || f.Type.Name != at.result {
			t.Errorf("%s.%s is %+v, want %s", at.typ, at.field, f, at.result)
		}
	}
	branch := s.Type("CommittableBranch")
	if branch == nil || branch.Kind != sdl.Input || branch.Inputs["repositoryNameWithOwner"].Name != "String" || branch.Inputs["id"].Name != "ID" {
		t.Errorf("CommittableBranch is %+v", branch)
	}
	if actor := s.Type("Actor"); actor.Kind != sdl.Interface || len(actor.Possible) < 5 {
		t.Errorf("Actor is %+v", actor)
	}
}

func BenchmarkGitHub(b *testing.B) {
	text := sdl.GitHub().String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sdl.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
