package graphql

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
)

// TestRead: every part of a document is handed on.
func TestRead(t *testing.T) {
	text := `query Q($a: [Int!]! = [1, -2], $b: B) {
  x: f(a: $a, b: {c: "d\n", e: [1.5e3, true, null, RED]}, g: """
    h
      i
  """) @skip(if: $b) { ... on T @include(if: false) { y } ...F z }
}
fragment F on T { w }`
	var r Reader
	d, err := r.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	one := syntax.Value{Kind: syntax.Int, Text: "1"}
	want := []syntax.Operation{{
		Kind: syntax.Query, Name: "Q",
		Variables: []syntax.Variable{
			{Name: "a", Default: &syntax.Value{Kind: syntax.List, Items: []syntax.Value{one, {Kind: syntax.Int, Text: "-2"}}}}, {Name: "b"},
		},
		Selections: []syntax.Selection{{
			Form: syntax.Field, Name: "f", Alias: "x",
			Arguments: []syntax.Argument{
				{Name: "a", Value: syntax.Value{Kind: syntax.Reference, Text: "a"}},
				{Name: "b", Value: syntax.Value{Kind: syntax.Object, Members: []syntax.Argument{
					{Name: "c", Value: syntax.Value{Kind: syntax.String, Text: "d\n"}},
					{Name: "e", Value: syntax.Value{Kind: syntax.List, Items: []syntax.Value{
						{Kind: syntax.Float, Text: "1.5e3"}, {Kind: syntax.Boolean, Text: "true"}, {Kind: syntax.Null, Text: "null"}, {Kind: syntax.Enum, Text: "RED"},
					}}},
				}}},
				{Name: "g", Value: syntax.Value{Kind: syntax.String, Text: "h\n  i"}},
			},
			Directives: []syntax.Directive{{Name: "skip", Arguments: []syntax.Argument{{Name: "if", Value: syntax.Value{Kind: syntax.Reference, Text: "b"}}}}},
			Selections: []syntax.Selection{
				{
					Form: syntax.Inline, On: "T", Selections: []syntax.Selection{{Form: syntax.Field, Name: "y"}},
					Directives: []syntax.Directive{{Name: "include", Arguments: []syntax.Argument{{Name: "if", Value: syntax.Value{Kind: syntax.Boolean, Text: "false"}}}}},
				},
				{Form: syntax.Spread, Name: "F"}, {Form: syntax.Field, Name: "z"},
			},
		}},
	}}
	if diff := cmp.Diff(want, d.Operations(), cmpopts.IgnoreUnexported(syntax.Operation{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	fragment := &syntax.Fragment{Name: "F", On: "T", Selections: []syntax.Selection{{Form: syntax.Field, Name: "w"}}}
	if diff := cmp.Diff(fragment, d.Fragment("F")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestErrors: what cannot be read is said without quoting it.
func TestErrors(t *testing.T) {
	for name, text := range map[string]string{
		"syntax":     `{ repository(owner: "evil" }`,
		"token":      `{ a(b: evil!) }`,
		"string":     `{ a(b: "evil`,
		"escape":     `{ a(b: "\evil") }`,
		"character":  `{ evil% }`,
		"tokens":     "{" + strings.Repeat("evil ", maxTokens) + "}",
		"comments":   "{" + strings.Repeat("#evil\n", maxTokens) + "a}",
		"nesting":    "{a(b:" + strings.Repeat("[", 5000) + "evil" + strings.Repeat("]", 5000) + ")}",
		"selections": strings.Repeat("{evil", 5000) + strings.Repeat("}", 5000),
		"types":      "query($a:" + strings.Repeat("[", 5000) + "Evil" + strings.Repeat("]", 5000) + "){a}",
	} {
		var r Reader
		d, err := r.Read(text)
		if err == nil || d != nil {
			t.Errorf("%s: it is read", name)
			continue
		}
		if strings.Contains(strings.ToLower(err.Error()), "evil") {
			t.Errorf("%s: %v quotes it", name, err)
		}
	}
}

// TestRemembered: a document is read once, its text is copied, and neither many
// nor large ones take more room than there is.
func TestRemembered(t *testing.T) {
	var r Reader
	buffer := []byte("{first}")
	a, err := r.Read(string(buffer))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := r.Read("{first}"); b != a {
		t.Error("it is read again")
	}
	if b, _ := r.Read("{First}"); b == a {
		t.Error("another is taken for it")
	}
	for i := range 2 * maxKept {
		if _, err := r.Read(fmt.Sprintf("{a%d}", i)); err != nil {
			t.Fatal(err)
		}
		if i%16 == 0 {
			_, _ = r.Read("{first}") // it is in use
		}
	}
	if b, _ := r.Read("{first}"); b != a {
		t.Error("one in use is forgotten")
	}
	if len(r.kept) > maxKept || r.order.Len() != len(r.kept) {
		t.Errorf("%d are kept, of which %d have an order", len(r.kept), r.order.Len())
	}
	for i := range 40 {
		if _, err := r.Read("{" + strings.Repeat(" ", maxText-100) + fmt.Sprintf("b%d}", i)); err != nil {
			t.Fatal(err)
		}
	}
	if r.bytes > maxTexts {
		t.Errorf("%d bytes are kept", r.bytes)
	}
	if _, err := r.Read("{" + strings.Repeat(" ", maxText) + "c}"); err != nil || r.bytes > maxTexts {
		t.Errorf("a large one is kept (%v)", err)
	}
}

func TestConcurrent(t *testing.T) {
	var r Reader
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				if d, err := r.Read(fmt.Sprintf("{a%d}", i%300)); err != nil || len(d.Operations()) != 1 {
					t.Errorf("got %v, %v", d, err)
				}
			}
		})
	}
	all.Wait()
}

// FuzzBlockString: where a block string is read at all, this reading and the
// parser's agree on its length and its text.
func FuzzBlockString(f *testing.F) {
	for _, inner := range []string{"", "a", "a\n  b", "\n  a\n\n    b\n", " \t\n a", "\r\n a\r b", `"a`, `a"b""c`, "\u00e9\n \u00e9", "  \n  \n"} {
		f.Add(inner)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		text := `{a(b:"""` + inner + `""")}`
		d, err := parse(text)
		if err != nil {
			return
		}
		end := strings.Index(inner, marks)
		if end >= 0 {
			return // something else follows it
		}
		got := d.Operations()[0].Selections[0].Arguments[0].Value
		if got.Kind != syntax.String || got.Text != blockValue(inner) {
			t.Errorf("%q is read as %q, by the specification it is %q", inner, got.Text, blockValue(inner))
		}
	})
}
