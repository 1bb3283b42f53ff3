package cut_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
)

func keep(tb testing.TB, paths ...string) *cut.Keep {
	tb.Helper()
	k, err := cut.Compile(paths)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestCut(t *testing.T) {
	const event = `{ "id" : "e1", "status":"ok","attendees":[{"email":"a","self":true},{"email":"b"},7,[{"email":"c"}]], "start":{"dateTime":"x","tz":"y"}, "deep":{"a":{"b":[1,{"c":2,"d":3}]}} }`
	tests := map[string]struct {
		why   string
		keeps [][]string
		text  string
		want  string
	}{
		"fields":          {"members that are not named go", [][]string{{"id", "status"}}, event, `{"id":"e1","status":"ok"}`},
		"none":            {"an empty list leaves none", [][]string{{}}, event, `{}`},
		"none of array":   {"nor of an array", [][]string{{}}, `[1,2]`, `[]`},
		"child":           {"a child, and not what is beside it", [][]string{{"start.dateTime"}}, event, `{"start":{"dateTime":"x"}}`},
		"whole":           {"all that is below a field stays", [][]string{{"start"}}, event, `{"start":{"dateTime":"x","tz":"y"}}`},
		"whole and child": {"a field covers its children", [][]string{{"start", "start.tz"}}, event, `{"start":{"dateTime":"x","tz":"y"}}`},
		"elements":        {"of elements that are no objects nothing stays", [][]string{{"attendees[].self"}}, event, `{"attendees":[{"self":true},{}]}`},
		"whole elements":  {"every element", [][]string{{"attendees[]"}}, `{"attendees":[1,{"a":2}],"b":1}`, `{"attendees":[1,{"a":2}]}`},
		"nested":          {"elements of elements", [][]string{{"attendees[][].email"}}, event, `{"attendees":[[{"email":"c"}]]}`},
		"deep":            {"through all of them", [][]string{{"deep.a.b[].c"}}, event, `{"deep":{"a":{"b":[{"c":2}]}}}`},
		"other shape":     {"an object is no array", [][]string{{"start[]", "attendees.email", "id.x"}}, event, `{}`},
		"union":           {"what any keeps stays", [][]string{{"id"}, {"start.tz"}, {"start.dateTime"}}, event, `{"id":"e1","start":{"dateTime":"x","tz":"y"}}`},
		"document":        {"[] in front is the document", [][]string{{"[].id"}}, `[{"id":1,"x":2},{"x":3},4]`, `[{"id":1},{}]`},
		"document object": {"which is no array here", [][]string{{"[].id"}}, `{"id":1}`, `{}`},
		"document array":  {"and no object here", [][]string{{"id"}}, `[{"id":1}]`, `[]`},
		"case":            {"names are exact", [][]string{{"id"}}, `{"ID":1,"Id":2}`, `{}`},
		"escaped":         {"however they are written", [][]string{{"id"}}, `{"\u0069d":1}`, `{"\u0069d":1}`},
		"literal dot":     {"a name with a dot", [][]string{{`a\.b`}}, `{"a.b":1,"a":{"b":2}}`, `{"a.b":1}`},
		"spelling":        {"values stand as they stood", [][]string{{"a"}}, `{"a": [ 1.0, "\u00e4" ] ,"b":1}`, `{"a":[ 1.0, "\u00e4" ]}`},
		"scalar":          {"nothing of it is named", [][]string{{"a"}}, `"secret"`, ``},
		"null":            {"a value like any other", [][]string{{"a", "b.c"}}, `{"a":null,"b":null}`, `{"a":null}`},
	}
	var c cut.Cutter
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var keeps []*cut.Keep
			for _, paths := range test.keeps {
				keeps = append(keeps, keep(t, paths...))
			}
			got, ok := c.Cut(nil, []byte(test.text), keeps)
			if !ok || string(got) != test.want {
				t.Errorf("%s: %v\n got %s\nwant %s", test.why, ok, got, test.want)
			}
		})
	}
	for _, text := range []string{"", "<p>", `{"id":1`, `{"id":1}{"id":2}`, `{"id":1,"id":2}`, "\xff", "data: {}"} {
		if got, ok := c.Cut(nil, []byte(text), []*cut.Keep{keep(t, "id")}); ok || len(got) > 0 {
			t.Errorf("%q is cut to %q", text, got)
		}
	}
	if _, err := cut.Compile([]string{"a["}); err == nil {
		t.Error("a path that is none is compiled")
	}
}

// FuzzCut: what stays is JSON, holds only what encoding/json finds at the kept
// paths, and is the same when it is cut again.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{`{"a":{"b":[{"c":1,"d":2}]},"e":"x"}`, `{"a":{"b":1},"e":[1]}`, `[]`, `{"a":{"b":[[],{"c":{"x":null}}]}}`} {
		f.Add([]byte(seed))
	}
	keeps := []*cut.Keep{keep(f, "a.b[].c"), keep(f, "e")}
	var c cut.Cutter
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := c.Cut(nil, text, keeps)
		if !ok || len(got) == 0 {
			return
		}
		var before, after any
		if json.Unmarshal(text, &before) != nil || json.Unmarshal(got, &after) != nil {
			t.Fatalf("%q is cut to %q", text, got)
		}
		if root, ok := after.(map[string]any); ok {
			for key := range root {
				if key != "a" && key != "e" {
					t.Fatalf("%q is cut to %q", text, got)
				}
			}
			if inner, _ := root["a"].(map[string]any); inner != nil {
				delete(inner, "b")
				if len(inner) > 0 {
					t.Fatalf("%q is cut to %q", text, got)
				}
			}
		}
		if strings.Contains(string(got), `"d"`) && !bytes.Contains(text, []byte(`"e"`)) && !bytes.Contains(text, []byte(`"c"`)) && !bytes.Contains(text, []byte(`\u`)) {
			t.Fatalf("%q is cut to %q", text, got)
		}
		again, ok := c.Cut(nil, got, keeps)
		if !ok || !bytes.Equal(again, got) {
			t.Fatalf("%q is cut to %q and then to %q", text, got, again)
		}
	})
}

func TestIsJSON(t *testing.T) {
	field := func(name, value string) scope.Field { return scope.Field{Name: name, Value: value} }
	for name, test := range map[string]struct {
		fields []scope.Field
		want   bool
	}{
		"plain":     {[]scope.Field{field("content-type", "application/json; charset=utf-8")}, true},
		"suffixed":  {[]scope.Field{field("Content-Type", "application/problem+json")}, true},
		"identity":  {[]scope.Field{field("Content-Type", "application/json"), field("Content-Encoding", "identity")}, true},
		"none":      {nil, false},
		"html":      {[]scope.Field{field("Content-Type", "text/html")}, false},
		"events":    {[]scope.Field{field("Content-Type", "text/event-stream")}, false},
		"coded":     {[]scope.Field{field("Content-Type", "application/json"), field("content-encoding", "gzip")}, true},
		"latin":     {[]scope.Field{field("Content-Type", "application/json; charset=iso-8859-1")}, false},
		"twice":     {[]scope.Field{field("Content-Type", "application/json"), field("Content-Type", "application/json")}, false},
		"malformed": {[]scope.Field{field("Content-Type", "application/json,text/html")}, false},
	} {
		if got := cut.IsJSON(test.fields); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
