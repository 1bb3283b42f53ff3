package field_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope/field"
)

func TestParse(t *testing.T) {
	name := func(s string) field.Step { return field.Step{Name: s} }
	item := field.Step{Item: true}
	for path, want := range map[string][]field.Step{
		"a":           {name("a")},
		"a.b.c":       {name("a"), name("b"), name("c")},
		"a[]":         {name("a"), item},
		"a[].b":       {name("a"), item, name("b")},
		"a[][].b[]":   {name("a"), item, item, name("b"), item},
		"[]":          {item},
		"[].a":        {item, name("a")},
		"[][]":        {item, item},
		`a\.b`:        {name("a.b")},
		`a\[\]`:       {name("a[]")},
		`a\\.b`:       {name(`a\`), name("b")},
		`\..\[[].\]`:  {name("."), name("["), item, name("]")},
		"ä b-c_d:/$@": {name("ä b-c_d:/$@")},
	} {
		got, err := field.Parse(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
		if again := field.Join(got); again != path {
			t.Errorf("%s is written as %s", path, again)
		}
	}
	for _, path := range []string{
		"", ".", "a.", ".a", "a..b", "a.[]", "a.[].b", "[]a", "a[]b", "a[", "a]", "a[0]", "a[b]", "[a]", "a[].", "[].", "[]..a", `a\`, `a\b`, `\`, `a[\]`, "a[] .b",
	} {
		if got, err := field.Parse(path); err == nil {
			t.Errorf("%s is read as %+v", path, got)
		}
	}
}
